"""The pulse: by it every instance sees whether the leading one can write to the logs just now.

The leader rewrites one document several times a second for as long as its sequencer is alive.
Who wants to know looks whether the document moves. No clocks are compared, and no word of the
leader's is believed that is older than a moment.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import PULSE
from voicefile.chassis.metrics import loop_failures
from voicefile.docstore.port import (
    DocStore,
    DocStoreError,
    Document,
    DocumentExists,
    VersionConflict,
)

PULSE_ID: Final = "sequencer"


class Alive(Protocol):
    """Whose pulse it is."""

    @property
    def alive(self) -> bool: ...


class Pulse:
    """One document, whose version moves while somebody leads."""

    def __init__(
        self,
        docs: DocStore,
        *,
        settings: AuditSettings,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._docs = docs
        self._settings = settings
        self._monotonic = monotonic
        self._sleep = sleep
        self._own: Document | None = None
        self._looking = asyncio.Lock()
        self._seen: int | None = None
        self._looked_s = float("-inf")
        self._moved_s = float("-inf")

    async def beat_while(self, who: Alive) -> None:
        """For ever: a beat every moment, while it is alive."""
        while True:
            if who.alive:
                try:
                    await self.beat()
                except DocStoreError:
                    # Then there is no beat, and that is what everybody sees.
                    loop_failures().labels(loop="pulse").inc()
            await self._sleep(self._settings.pulse_every_s)

    async def beat(self) -> None:
        """Moves the document. Raises DocStoreError."""
        own = self._own or await self._docs.get(PULSE, PULSE_ID)
        try:
            if own is None:
                self._own = await self._docs.insert(PULSE, Document(PULSE_ID, "", {}))
            else:
                self._own = await self._docs.replace(PULSE, own)
        except (DocumentExists, VersionConflict):
            self._own = None  # somebody led before or leads after us: look anew

    async def beats(self) -> bool:
        """Whether it has moved within the last moment. Raises DocStoreError."""
        async with self._looking:  # who waits here profits from the look before
            if self._monotonic() - self._looked_s < self._settings.pulse_every_s:
                return self._is_fresh()
            await self._look()
            if not self._is_fresh():
                # Not looked at for long, perhaps: whether it moves shows in a second look.
                await self._sleep(1.5 * self._settings.pulse_every_s)
                await self._look()
            return self._is_fresh()

    async def _look(self) -> None:
        document = await self._docs.get(PULSE, PULSE_ID)
        version = 0 if document is None else document.version
        if self._seen not in {None, version}:
            # It moved at some time since the last look; more is not known.
            self._moved_s = self._looked_s
        self._seen, self._looked_s = version, self._monotonic()

    def _is_fresh(self) -> bool:
        return self._monotonic() - self._moved_s <= self._settings.pulse_lasts_s
