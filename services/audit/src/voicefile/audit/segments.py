"""Segments: received deeds given their places, salts and leaves in one log."""

import secrets
from collections.abc import Callable, Sequence

from voicefile.audit.entry import commitment
from voicefile.audit.events import Received
from voicefile.audit.store import (
    SALT_BYTES,
    SEGMENTS,
    Segment,
    Vouched,
    body_of,
    mark_of,
    record_of,
    segment_id,
)
from voicefile.docstore.port import DocStore, Document
from voicefile.translog.merkle import Frontier, leaf_hash

Random = Callable[[int], bytes]


def segment_of(
    deeds: Sequence[Received],
    *,
    after: Frontier,
    at_ms: int,
    random: Random = secrets.token_bytes,
) -> Segment:
    """The segment that appends these deeds to the log."""
    salts = random(SALT_BYTES * len(deeds))
    leaves = [
        commitment(salts[at * SALT_BYTES : (at + 1) * SALT_BYTES], deed.entry)
        for at, deed in enumerate(deeds)
    ]
    frontier = after.extended(leaf_hash(leaf) for leaf in leaves)
    numbers: dict[str, list[int]] = {}
    stored_through: dict[str, int] = {}
    for deed in deeds:
        if deed.n:
            numbers.setdefault(deed.boot, []).append(deed.n)
            through = max(stored_through.get(deed.boot, 0), deed.stored_through)
            stored_through[deed.boot] = through
    return Segment(
        first=after.size,
        stop=frontier.size,
        event_ids=[deed.event_id for deed in deeds],
        entries=[deed.entry for deed in deeds],
        salts=salts,
        leaves=b"".join(leaves),
        peaks=list(frontier.peaks),
        numbers=numbers,
        marks=sorted({mark_of(deed.event_id, deed.boot, deed.n) for deed in deeds}),
        vouched=[Vouched(deed.recording, at) for at, deed in enumerate(deeds) if deed.recording],
        sequenced_at_ms=at_ms,
        stored_through=stored_through,
    )


def document_of(tenant: str, segment: Segment) -> Document:
    """The segment as it is stored."""
    return Document(segment_id(tenant, segment.first), tenant, body_of(segment))


async def newest_frontier(docs: DocStore, tenant: str) -> Frontier:
    """How far the log has been sequenced."""
    document = await docs.newest(SEGMENTS, "stop", tenant=tenant)
    if document is None:
        return Frontier()
    return record_of(document, Segment).frontier


async def segments_from(docs: DocStore, tenant: str, index: int, *, limit: int) -> list[Segment]:
    """The segments that hold entry `index` and what follows it, in order."""
    found = await docs.ranged(SEGMENTS, "stop", index + 1, tenant=tenant, limit=limit)
    return [record_of(document, Segment) for document in found]
