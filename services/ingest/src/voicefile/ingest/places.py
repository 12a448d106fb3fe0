"""Places: how many uploads are read at the same time, and how many of them may be one sender's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from voicefile.identity.principal import Principal
from voicefile.ingest.errors import VaultBusy
from voicefile.ingest.metrics import places_taken, places_waiting
from voicefile.ingest.settings import IngestSettings


@dataclass
class _Share:
    """The places of one partner or tenant, for as long as somebody has or wants one of them."""

    places: asyncio.Semaphore
    users: int = 0


class Places:
    """Each place holds memory, a socket and a file, so there are only so many.

    A partner has part of them, a tenant a larger one: whoever takes all that is to be had, or
    holds it with a trickle, shuts out nobody but himself. What they bound is this process, so each
    instance counts its own.
    """

    def __init__(self, settings: IngestSettings) -> None:
        self._all = asyncio.Semaphore(settings.uploads_max)
        self._of_tenant = _part(settings.uploads_max, settings.uploads_tenant_part)
        self._of_partner = _part(settings.uploads_max, settings.uploads_partner_part)
        self._shares: dict[tuple[str, ...], _Share] = {}

    @asynccontextmanager
    async def taken(self, by: Principal, *, wait_s: float) -> AsyncIterator[None]:
        """One of them, in the order of asking. Raises VaultBusy."""
        async with AsyncExitStack() as held:
            try:
                with places_waiting().track_inprogress():
                    await self._take(by, held, wait_s=wait_s)
            except TimeoutError:
                raise VaultBusy from None
            with places_taken().track_inprogress():
                yield

    async def _take(self, by: Principal, held: AsyncExitStack, *, wait_s: float) -> None:
        async with asyncio.timeout(wait_s):
            # The narrowest first: who waits for his own share holds nothing of others'.
            partner = self._share(by.tenant, by.id, count=self._of_partner)
            await held.enter_async_context(partner)
            tenant = self._share(by.tenant, count=self._of_tenant)
            await held.enter_async_context(tenant)
            await held.enter_async_context(self._all)

    @asynccontextmanager
    async def _share(self, *whose: str, count: int) -> AsyncIterator[None]:
        share = self._shares.setdefault(whose, _Share(asyncio.Semaphore(count)))
        share.users += 1
        try:
            async with share.places:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[whose]


def _part(count: int, part: float) -> int:
    return max(1, int(count * part))
