"""Prove: what a log tells, to the public, to a tenant's auditor, to whoever holds a receipt.

Everything is told as of the log's published head, so that whatever is told can be checked
against a signed checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voicefile.audit.cosigned import best_over
from voicefile.audit.errors import LogDamaged, NotFound
from voicefile.audit.events import actor_of, later_key_of, names_receipt_key
from voicefile.audit.segments import segments_from
from voicefile.audit.store import (
    COMMITMENT_BYTES,
    HEADS,
    SEGMENTS,
    Head,
    Segment,
    record_of,
)
from voicefile.audit.tiles import hashes_of, read_tiles
from voicefile.docstore.port import DocStore
from voicefile.docstore.tenant import TenantCollection
from voicefile.translog.merkle import HASH_BYTES, HashReader
from voicefile.translog.origin import PLATFORM_LOG, log_of
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.proofs import inclusion_proof
from voicefile.translog.tiles import (
    TileId,
    TilePath,
    entry_bundle,
    hash_reader,
    tile_width,
    tiles_read,
)

PAGE_DOCUMENTS = 8


@dataclass(frozen=True)
class Entry:
    """One deed as it stands in a log."""

    index: int
    salt: bytes
    entry: bytes


@dataclass(frozen=True)
class Proof:
    """That a deed is in a log under a signed checkpoint."""

    entry: Entry
    hashes: tuple[bytes, ...]
    size: int
    """Leaves under the checkpoint."""
    checkpoint: str
    receipt_key: "Proof | None" = None
    """The same of the deed that names the key receipts are signed with, for a receipt's proof."""

    @property
    def text(self) -> str:
        """As C2SP tlog-proof; the extra data are salt and entry, from which the leaf follows."""
        extra = self.entry.salt + self.entry.entry
        return str(TlogProof(self.entry.index, self.hashes, self.checkpoint, extra))


def tenant_of(log: str) -> str:
    """Whose log that is."""
    return "" if log == PLATFORM_LOG else log


async def read_head(docs: DocStore, tenant: str) -> Head:
    """The published head of a log. Raises NotFound."""
    stored = await docs.get(HEADS, log_of(tenant))
    head = record_of(stored, Head) if stored is not None else None
    if head is None or not head.checkpoint:
        raise NotFound
    return head


async def read_tile(docs: DocStore, tenant: str, path: TilePath) -> bytes:
    """A tile, or the bundle of its entries, as served. Raises NotFound."""
    head = await read_head(docs, tenant)
    tile = TileId(path.level or 0, path.index)
    # A full tile answers for each of its beginnings; what is not published is not there yet.
    if path.width > tile_width(tile.level, tile.index, head.size):
        raise NotFound
    record = (await read_tiles(docs, tenant, [tile])).get(tile)
    if record is None:
        raise LogDamaged("a published tile is missing")
    if path.level is not None:
        return record.hashes[: path.width * HASH_BYTES]
    leaves = record.leaves[: path.width * COMMITMENT_BYTES]
    return entry_bundle(
        leaves[at : at + COMMITMENT_BYTES] for at in range(0, len(leaves), COMMITMENT_BYTES)
    )


async def read_entries(
    docs: DocStore, tenant: str, *, start: int, limit: int
) -> tuple[Head, list[Entry]]:
    """Published entries from `start` on, and the head they are under. Raises NotFound."""
    head = await read_head(docs, tenant)
    stop = min(start + limit, head.size)
    entries: list[Entry] = []
    while start < stop:
        segments = await segments_from(docs, tenant, start, limit=PAGE_DOCUMENTS)
        if not segments or segments[0].first > start:
            raise LogDamaged("a published segment is missing")
        for segment in segments:
            until = min(segment.stop, stop)
            entries += [_entry(segment, index) for index in range(start, until)]
            start = max(start, until)
    return head, entries


async def prove_recording(
    docs: DocStore, tenant: str, recording: str, *, brought_by: str | None = None
) -> Proof:
    """That the deed which vouches for a recording's receipt is in the log. Raises NotFound.

    A deed not yet under a checkpoint is not found either: the receipt promises minutes. Nor is,
    with `brought_by`, a recording that somebody else brought.
    """
    head = await read_head(docs, tenant)
    entry = await _vouching(docs, tenant, recording)
    if entry.index >= head.size or brought_by not in (None, actor_of(entry.entry)):
        raise NotFound
    under = await best_over(docs, tenant, entry.index, head)
    # The key's under the same checkpoint, so that one of them is enough.
    key = await _naming_key(docs, tenant, later_key_of(entry.entry))
    entries = [each for each in (entry, key) if each is not None and each.index < under.size]
    ways = await inclusion_proofs(docs, tenant, [each.index for each in entries], under.size)
    receipts, *keys = [
        Proof(each, way, under.size, under.checkpoint)
        for each, way in zip(entries, ways, strict=True)
    ]
    return replace(receipts, receipt_key=keys[0] if keys else None)


async def _naming_key(docs: DocStore, tenant: str, later: str) -> Entry | None:
    if later:
        try:
            return await _vouching(docs, tenant, later)
        except NotFound:
            return None  # on its way: whoever asks later finds both
    try:
        return await _vouching(docs, tenant, tenant)
    except NotFound:
        # Earlier versions did not note its place; it is what a tenant's log begins with.
        for segment in await segments_from(docs, tenant, 0, limit=PAGE_DOCUMENTS):
            for at, entry in enumerate(segment.entries):
                if names_receipt_key(entry):
                    return _entry(segment, segment.first + at)
    return None


async def require_filed(docs: DocStore, tenant: str, recording: str, *, head: Head) -> None:
    """Raises NotFound unless the recording's receipt is in this log, under this head."""
    if (await _vouching(docs, tenant, recording)).index >= head.size:
        raise NotFound


async def _vouching(docs: DocStore, tenant: str, recording: str) -> Entry:
    theirs = TenantCollection(docs, SEGMENTS, tenant)
    # Ordered by id, and so by place: the first deed that vouches counts.
    for document in await theirs.find("vouched", recording, limit=1):
        segment = record_of(document, Segment)
        for vouched in segment.vouched:
            if vouched.recording == recording:
                return _entry(segment, segment.first + vouched.at)
    raise NotFound


async def inclusion_proofs(
    docs: DocStore, tenant: str, indexes: Sequence[int], size: int
) -> list[tuple[bytes, ...]]:
    """The hashes from each of these leaves up to the root of `size`; each tile is read once."""

    def prove(read: HashReader) -> list[tuple[bytes, ...]]:
        return [tuple(inclusion_proof(index, size, read)) for index in indexes]

    tiles = await read_tiles(docs, tenant, tiles_read(prove))
    return prove(hash_reader(hashes_of(tiles)))


def _entry(segment: Segment, index: int) -> Entry:
    at = index - segment.first
    return Entry(index, segment.salt(at), segment.entries[at])
