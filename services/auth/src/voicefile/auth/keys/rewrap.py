"""Re-wrapping: what a tenant's retired epochs still wrap moves to its open one, a page at a time.

A page is computed while the one before it is being written, in one commit of the store. What
lost its race, to a customer or to another instance, still names the old epoch and is found again
by the next run.
"""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Stored, TenantRecords
from voicefile.auth.store import Access, Recording, Slip
from voicefile.crypto.envelope import object_id
from voicefile.crypto.errors import Tampered
from voicefile.crypto.keyring import EpochKey, EpochState, KeyNamespace, rewrap_slip
from voicefile.docstore.port import Document, DocumentExists

PAGE_DOCUMENTS = 128
"""Access documents that share a commit, and hold up the store's other writers for as long."""
IN_A_ROW = 8
"""Documents that are re-wrapped before others have their turn: whoever listens does not wait."""

Change = tuple[Stored[Access], Access]


async def rewrap(tenant_id: str, *, forged: list[RecordForged], ports: Ports) -> int:
    """Answers how many documents were moved; adds what can't be to `forged`."""
    keys = await _fresh_namespace(tenant_id, ports=ports)
    done = 0
    for epoch in keys.epochs:
        if epoch.state is EpochState.RETIRED:
            done += await _emptied(tenant_id, epoch.id, forged=forged, ports=ports)
    return done


async def _fresh_namespace(tenant_id: str, *, ports: Ports) -> KeyNamespace:
    ports.custody.forget(tenant_id)
    return await ports.custody.namespace(tenant_id)


async def _emptied(
    tenant_id: str, epoch_id: str, *, forged: list[RecordForged], ports: Ports
) -> int:
    records = ports.access.of(tenant_id)
    page = await records.sift("epoch", epoch_id, limit=PAGE_DOCUMENTS)
    done = 0
    writing: asyncio.Task[int] | None = None
    async with asyncio.TaskGroup() as group:
        while page.last:
            forged += page.forged
            # Asked for each page: a large tenant takes longer than a key may stay in memory.
            old = await ports.custody.epoch(tenant_id, epoch_id)
            new = await ports.custody.epoch(tenant_id)
            changes = await _rewrapped(page.believed, old, new, forged=forged)
            if writing is not None:
                done += await writing
            writing = group.create_task(_stored(changes, records=records, forged=forged))
            page = await records.sift("epoch", epoch_id, after=page.last, limit=PAGE_DOCUMENTS)
    return done if writing is None else done + writing.result()


async def _rewrapped(
    page: Sequence[Stored[Access]], old: EpochKey, new: EpochKey, *, forged: list[RecordForged]
) -> list[Change]:
    changes: list[Change] = []
    for number, stored in enumerate(page):
        if number % IN_A_ROW == 0:
            await asyncio.sleep(0)
        try:
            changes.append((stored, _rewrapped_access(stored.record, old, new)))
        except Tampered:
            # It carries its MAC, but what it wraps does not open: nothing to move.
            forged.append(RecordForged(stored.document))
    return changes


async def _stored(
    changes: Sequence[Change], *, records: TenantRecords[Access], forged: list[RecordForged]
) -> int:
    done = 0
    outcomes = await records.rewrap_many(changes)
    for (stored, _), outcome in zip(changes, outcomes, strict=True):
        done += isinstance(outcome, Document)
        if isinstance(outcome, DocumentExists):
            # A name that is its own, by what it carries a MAC over, was given to another document.
            forged.append(RecordForged(stored.document))
    return done


def _rewrapped_access(access: Access, old: EpochKey, new: EpochKey) -> Access:
    subject = access.subject
    return replace(
        access,
        subject=replace(subject, key=_moved(subject.key, object_id(subject.id, "key"), old, new)),
        recordings=tuple(_moved_recording(each, old, new) for each in access.recordings),
    )


def _moved_recording(recording: Recording, old: EpochKey, new: EpochKey) -> Recording:
    slip = _moved(recording.slip, object_id(recording.id, "slip"), old, new)
    return replace(recording, slip=slip)


def _moved(slip: Slip, name: bytes, old: EpochKey, new: EpochKey) -> Slip:
    if slip.epoch != old.id:
        return slip
    return Slip(new.id, rewrap_slip(slip.sealed, name, old=old, new=new))
