"""Check: recounts a whole log from its segments and holds everything else against it.

Reads only; takes the log's public key and trusts nothing stored. What is found wrong is named by
its place, so that an operator knows where to look.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from voicefile.audit.entry import commitment
from voicefile.audit.errors import LogDamaged
from voicefile.audit.numbering import Numbers
from voicefile.audit.segments import segments_from
from voicefile.audit.store import HEADS, SALT_BYTES, Head, Segment, TileRecord, record_of
from voicefile.audit.tiles import Tiles, grown, hashes_of, read_tiles
from voicefile.docstore.port import DocStore
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.merkle import HASH_BYTES, Frontier
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import log_of
from voicefile.translog.tiles import edge_tiles, hash_reader, tile_width

PAGE_SEGMENTS = 64


@dataclass
class Report:
    """What a check has counted."""

    sequenced: int = 0
    published: int = 0
    numbers: dict[str, Numbers] = field(default_factory=dict)


async def check_log(docs: DocStore, tenant: str, key: VerifierKey) -> Report:
    """Returns if everything stored about the log fits together. Raises LogDamaged, NoteInvalid."""
    head = await _signed_head(docs, tenant, key)
    report = Report(published=head.size)
    edge: Tiles = {}
    async for segments in _runs(docs, tenant):
        leaves: list[bytes] = []
        for segment in segments:
            _check_segment(segment, report)
            leaves += [segment.leaf(at) for at in range(len(segment.entries))]
        changed = grown(segments[0].first, leaves, edge)
        after = {**edge, **changed}
        _check_frontier(segments[-1], after)
        _check_head(head, after, segments)
        await _check_tiles(docs, tenant, changed, published=head.size)
        edge = {tile: after[tile] for tile in edge_tiles(segments[-1].stop)}
    if report.sequenced < head.size:
        raise LogDamaged("more is signed than is there")
    return report


async def _signed_head(docs: DocStore, tenant: str, key: VerifierKey) -> Head:
    stored = await docs.get(HEADS, log_of(tenant))
    if stored is None:
        raise LogDamaged("the log has no head")
    head = record_of(stored, Head)
    if head.checkpoint:
        signed = open_checkpoint(head.checkpoint, key)
        if (signed.size, signed.root) != (head.size, head.root):
            raise LogDamaged("the head is not the one signed")
    elif head.size:
        raise LogDamaged("the head is not signed")
    return head


async def _runs(docs: DocStore, tenant: str) -> AsyncIterator[list[Segment]]:
    at = 0
    while segments := await segments_from(docs, tenant, at, limit=PAGE_SEGMENTS):
        yield segments
        at = segments[-1].stop


def _check_segment(segment: Segment, report: Report) -> None:
    count = segment.stop - segment.first
    parts = {len(segment.entries), len(segment.event_ids), len(segment.salts) // SALT_BYTES}
    if segment.first != report.sequenced or parts != {count}:
        raise LogDamaged(f"segment {segment.first}: deeds are missing or too many")
    for at, entry in enumerate(segment.entries):
        if commitment(segment.salt(at), entry) != segment.leaf(at):
            raise LogDamaged(f"entry {segment.first + at}: another deed than was committed to")
    for boot, listed in segment.numbers.items():
        numbers = report.numbers.setdefault(boot, Numbers())
        for n in listed:
            if n in numbers:
                raise LogDamaged(f"segment {segment.first}: a deed stands twice")
            numbers.add(n)
    report.sequenced = segment.stop


def _check_frontier(last: Segment, tiles: Tiles) -> None:
    frontier = Frontier.read(last.stop, hash_reader(hashes_of(tiles)))
    if frontier.peaks != tuple(last.peaks):
        raise LogDamaged(f"segment {last.first}: its frontier is another")


def _check_head(head: Head, tiles: Tiles, segments: list[Segment]) -> None:
    if not segments[0].first < head.size <= segments[-1].stop:
        return  # its place is in another run
    if Frontier.read(head.size, hash_reader(hashes_of(tiles))).root() != head.root:
        raise LogDamaged("the signed root is not that of the segments")


async def _check_tiles(docs: DocStore, tenant: str, tiles: Tiles, *, published: int) -> None:
    stored = await read_tiles(docs, tenant, tiles)
    for tile, right in tiles.items():
        width = tile_width(tile.level, tile.index, published)
        held = stored.get(tile, TileRecord(b""))
        common = min(len(held.hashes), len(right.hashes))
        if (
            len(held.hashes) < width * HASH_BYTES
            or held.hashes[:common] != right.hashes[:common]
            or (tile.level == 0 and held.leaves[:common] != right.leaves[:common])
        ):
            raise LogDamaged(f"tile {tile.level}/{tile.index}: other hashes than the segments'")
