"""Marking: once auth has issued a recording, ingest says so, tells the others and tidies up."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.deeds.deed import Action, Actor, Deed, Role
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import VersionConflict
from voicefile.ingest.ask_auth import Auth
from voicefile.ingest.events import RecordingStored
from voicefile.ingest.reservations import Reservations
from voicefile.ingest.store import Reservation

MARK_ATTEMPTS_MAX: Final = 10


@dataclass(frozen=True)
class Marking:
    """What marking needs."""

    auth: Auth
    blobs: BlobStore
    reservations: Reservations
    deeds: DeedSeries[RecordingStored]


async def mark_issued(
    reservation: Reservation, *, request_id: str, at: Marking, sole: bool = False
) -> None:
    """Deed, fact and mark in one write, once per recording; then blobs that lost are deleted.

    `sole`: only one attempt ever worked on it, so the blobs with an owner are its own. Otherwise
    auth says which ones it took: of two attempts the first to reach it counts.
    """
    names = set(reservation.names)
    for _ in range(MARK_ATTEMPTS_MAX):
        if reservation.marked:
            break
        owned = names if sole else await at.auth.known(sorted(names))
        try:
            await _write(reservation, sorted(owned), request_id=request_id, at=at)
            break
        except VersionConflict:
            sole = False
            found = await at.reservations.find(reservation.id, tenant=reservation.tenant)
            if found is None:
                break  # erased meanwhile, and with it the reservation
            reservation = found
            names |= set(found.names)
    if not sole:
        await _delete_losers(names, at=at)


async def _write(
    reservation: Reservation, owned: list[str], *, request_id: str, at: Marking
) -> None:
    deed = Deed(
        actor=Actor(reservation.client, Role.ROLE_PARTNER),
        action=Action.ACTION_RECORDING_STORED,
        tenant=reservation.tenant,
        object_id=reservation.recording,
        request_id=request_id,
    )
    fact = RecordingStored(
        tenant=reservation.tenant, recording=reservation.recording, blobs=tuple(owned)
    )
    marked = partial(at.reservations.mark, reservation, issued=fact.blobs)
    await at.deeds.write(deed, marked, fact)


async def _delete_losers(names: set[str], *, at: Marking) -> None:
    # The recording is decided, so what auth does not know now it will never know.
    for name in sorted(names - await at.auth.known(sorted(names))):
        keeper = await at.reservations.naming(name)
        # What is marked as issued outlives an auth that answers from another database.
        if keeper is None or not keeper.marked:
            await at.blobs.delete(BlobName(name))
