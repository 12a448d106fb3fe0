"""The sweeper: finds what crashes left, and deletes nothing without asking auth first."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from voicefile.chassis.metrics import loop_failures
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.mark import Marking, mark_issued
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import Reservation

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Swept:
    """What one pass did."""

    blobs: int = 0
    marked: int = 0
    expired: int = 0


class Sweeper:
    """Goes through blobs and reservations that are too old for an upload under way."""

    def __init__(
        self,
        marking: Marking,
        *,
        settings: IngestSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._marking = marking
        self._settings = settings
        self._now_s = now_s

    async def keep_sweeping(self) -> None:
        """One pass every interval, for as long as the service runs."""
        while True:
            await asyncio.sleep(self._settings.sweep_interval_s)
            try:
                await self.sweep()
            except Exception:
                # The edge of the loop: what this pass did not reach, the next one will.
                loop_failures().labels("sweep").inc()
                log.exception("sweep_failed")

    async def sweep(self) -> Swept:
        """One pass. Reservations first: marking one settles whose blobs count."""
        marked, expired = await self._sweep_reservations()
        blobs = await self._sweep_blobs()
        await self._marking.blobs.sweep_unfinished(self._settings.sweep_after_s)
        log.info("swept", blobs=blobs, documents=marked + expired)
        return Swept(blobs=blobs, marked=marked, expired=expired)

    async def _sweep_reservations(self) -> tuple[int, int]:
        marked = expired = 0
        for _ in range(self._settings.sweep_pages_max):
            due = await self._marking.reservations.due(limit=self._settings.sweep_page)
            if not due:
                break
            for reservation in due:
                if await self._settle(reservation):
                    marked += 1
                else:
                    expired += 1
        return marked, expired

    async def _settle(self, reservation: Reservation) -> bool:
        """Whether it was issued. Either way it is not due any more."""
        who = Who(reservation.tenant, reservation.client)
        if await self._marking.auth.status(reservation.recording, who=who) is None:
            await self._marking.reservations.free(reservation)
            return False
        await mark_issued(reservation, request_id="", at=self._marking)
        return True

    async def _sweep_blobs(self) -> int:
        deleted = 0
        after = ""
        # No upload lasts a day, so what is older and unknown now has no pointer on its way.
        old_s = self._now_s() - self._settings.sweep_after_s
        while page := await self._marking.blobs.entries(
            after=after, limit=self._settings.sweep_page
        ):
            after = page[-1].name
            old = [entry.name for entry in page if entry.stored_at_s < old_s]
            known = await self._marking.auth.known(old) if old else set()
            for name in old:
                if name not in known:
                    await self._marking.blobs.delete(name)
                    deleted += 1
        return deleted
