"""The sweeper: finds what crashes left, and deletes nothing that auth or ingest itself knows.

One instance sweeps for all. What another has in hand it knows by the date in the reservation, put
off by a day with each renewal; so their clocks would have to differ by a day to do harm.

Auth alone is no sufficient witness: one that answers from an empty or older database denies
recordings that exist. So a blob goes only if auth denies it and no reservation names it; and if
auth denies one that was issued, nothing at all is swept until it agrees again.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from voicefile.blobstore.port import BlobName
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.erase import Erasing, erase_recording
from voicefile.ingest.events import ERASED
from voicefile.ingest.mark import Marking, mark_issued
from voicefile.ingest.metrics import sweeping_halted
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.steady_clock import SteadyClock
from voicefile.ingest.store import Reservation

log = structlog.get_logger(__name__)

Recorded = tuple[str, str]
"""A recording and its tenant."""
ORPHANS_MAX: Final = 100_000
"""Names kept in memory between looking and deleting; what is left waits for the next pass."""


@dataclass(frozen=True)
class Swept:
    """What one pass did."""

    blobs: int = 0
    marked: int = 0
    expired: int = 0
    erased: int = 0
    """Recordings that auth has erased, and whose event was never heard."""
    halted: bool = False
    """Auth denied a blob that it has issued, so nothing was touched."""


class _IssuedBlobDenied(Exception):
    """Auth does not know a blob that ingest has marked as issued."""

    def __init__(self, name: BlobName, reservation: Reservation) -> None:
        super().__init__("issued blob denied")
        self.name = name
        self.reservation = reservation


async def _none(_name: BlobName) -> bool:
    return False


class Sweeper:
    """Goes through blobs and reservations that are too old for an upload under way."""

    def __init__(
        self,
        marking: Marking,
        erasing: Erasing,
        *,
        settings: IngestSettings,
        spared: Callable[[BlobName], Awaitable[bool]] = _none,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marking = marking
        self._erasing = erasing
        self._settings = settings
        self._spared = spared
        self._clock = SteadyClock(now_s=now_s, monotonic_s=monotonic_s)

    async def sweep(self) -> Swept:
        """One pass: looks at everything before it touches anything."""
        erased: set[Recorded] = set()
        try:
            orphans = [name async for name in self._orphans(erased)]
        except _IssuedBlobDenied as denied:
            sweeping_halted().set(1)
            issued = denied.reservation
            log.error(  # noqa: TRY400 - where it was raised says nothing, what was denied does
                "sweeping_halted",
                reason="auth-denies-issued-blob",
                blob=denied.name,
                recording=issued.recording,
                tenant=issued.tenant,
            )
            return Swept(halted=True)
        sweeping_halted().set(0)
        for recording, tenant in sorted(erased):
            await erase_recording(recording, tenant=tenant, at=self._erasing)
        # Reservations before blobs: settling one decides whose blobs count.
        marked, expired = await self._sweep_reservations()
        blobs = await self._delete_unnamed(orphans)
        await self._marking.blobs.sweep_unfinished(
            self._settings.sweep_after_s + self._clock.jumped_s()
        )
        log.info("swept", blobs=blobs, documents=marked + expired + len(erased))
        return Swept(blobs=blobs, marked=marked, expired=expired, erased=len(erased))

    async def _orphans(self, erased: set[Recorded]) -> AsyncIterator[BlobName]:
        """Old blobs that auth does not know; adds what it has erased. Raises _IssuedBlobDenied."""
        found = 0
        after = ""
        # No upload lasts a day, so what is older and unknown now has no pointer on its way.
        old_s = self._clock.now_s() - self._settings.sweep_after_s
        while page := await self._marking.blobs.entries(
            after=after, limit=self._settings.sweep_page
        ):
            after = page[-1].name
            old = [entry.name for entry in page if entry.stored_at_s < old_s]
            known = await self._marking.auth.known(old) if old else set()
            for name in old:
                if name in known or await self._issued(name, erased) or await self._spared(name):
                    continue
                found += 1
                if found <= ORPHANS_MAX:
                    yield name

    async def _issued(self, name: BlobName, erased: set[Recorded]) -> bool:
        """Whether a mark protects a blob that auth denies; what is erased goes by its recording."""
        reservation = await self._marking.reservations.naming(name)
        if reservation is None or not reservation.marked:
            return False
        # Asked once more: the mark may be younger than the first answer, and auth's write is older.
        if await self._marking.auth.known([name]):
            return True
        who = Who(reservation.tenant, reservation.client)
        status = await self._marking.auth.status(reservation.recording, who=who)
        if status is None or status.state != ERASED:
            raise _IssuedBlobDenied(name, reservation)
        erased.add((reservation.recording, reservation.tenant))
        return True

    async def _sweep_reservations(self) -> tuple[int, int]:
        marked = expired = 0
        for _ in range(self._settings.sweep_pages_max):
            due = await self._marking.reservations.due(
                self._clock.now_s(), limit=self._settings.sweep_page
            )
            idle = [each for each in due if not self._marking.reservations.in_hand(each)]
            if not idle:
                break
            for reservation in idle:
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

    async def _delete_unnamed(self, orphans: list[BlobName]) -> int:
        deleted = 0
        for name in orphans:
            # Named: issued and marked just now, or an attempt is alive that may yet be issued.
            if await self._marking.reservations.naming(name) is None:
                await self._marking.blobs.delete(name)
                deleted += 1
        return deleted
