"""Time stamps as they are told: for each day a proof from the log's head to what was stamped."""

from dataclasses import dataclass
from typing import Final

from voicefile.audit.stamp_day import part_id
from voicefile.audit.store import DAY_STAMPS, STAMPED_HEADS, DayStamp, StampedHead, record_of
from voicefile.docstore.port import DocStore, Document
from voicefile.docstore.tenant import TenantCollection
from voicefile.translog.origin import log_of
from voicefile.translog.proof_text import TlogProof

_AFTER_ALL_OF_A_DAY: Final = "~"
"""Sorts behind every name of a tree."""


@dataclass(frozen=True)
class TimeStamp:
    """That a log's checkpoint existed on a day."""

    day: str
    stamped_at_s: int
    proof: str
    """C2SP tlog-proof: the extra data are the log's checkpoint, the note is what was stamped."""
    response: bytes


async def read_timestamps(
    docs: DocStore, tenant: str, *, after: str, limit: int
) -> list[TimeStamp]:
    """A log's days behind `after` (2026-11-28, or nothing), oldest first."""
    theirs = TenantCollection(docs, STAMPED_HEADS, tenant)
    found: list[TimeStamp] = []
    cursor = f"{log_of(tenant)}:{after}{_AFTER_ALL_OF_A_DAY if after else ''}"
    while len(found) < limit and (page := await theirs.scan(after=cursor, limit=limit)):
        for part in page:
            stamp = await _of_the_day(docs, tenant, part)
            if stamp is not None and len(found) < limit:
                found.append(stamp)
        cursor = page[-1].id
    return found


async def _of_the_day(docs: DocStore, tenant: str, document: Document) -> TimeStamp | None:
    part = record_of(document, StampedHead)
    stored = await docs.get(DAY_STAMPS, part.day)
    day = None if stored is None else record_of(stored, DayStamp)
    # A part of a tree that was never stamped, because its instance died, counts for nothing.
    if day is None or document.id != part_id(tenant, part.day, day.heads):
        return None
    proof = TlogProof(part.index, tuple(part.hashes), day.heads, part.checkpoint.encode())
    return TimeStamp(part.day, day.stamped_at_s, str(proof), day.response)
