"""Fsck: recounts a whole log from its published entries, and holds everything else against it.

Reads `checkpoint`, `tile/<level>/…` and `tile/entries/…` (C2SP tlog-tiles), and, where a tenant's
auditor has exported them, the deeds with their salts from `entries.jsonl`. Trusts the log's key,
and checkpoints that somebody kept: a log that was cut back or forked since contradicts them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from voicefile.translog.checkpoint import Checkpoint, open_checkpoint
from voicefile.translog.deed_leaf import commitment
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.merkle import HASH_BYTES, Frontier, leaf_hash
from voicefile.translog.note import VerifierKey
from voicefile.translog.tiles import (
    TILE_BYTES,
    TILE_WIDTH,
    TileId,
    TilePath,
    edge_tiles,
    grown_tiles,
    hash_reader,
    tile_width,
)
from voicefile.verify.cosigned import require_single
from voicefile.verify.entry_json import entry_of, parse_canonical
from voicefile.verify.refuted import Refuted
from voicefile.verify.source import Read

CHECKPOINT: Final = "checkpoint"
ENTRIES: Final = "entries.jsonl"
LENGTH_BYTES: Final = 2


@dataclass
class Counted:
    """What was recounted."""

    checkpoint: Checkpoint
    deeds: int = 0
    """Entries that were shown with salt and deed."""
    tiles: int = 0
    numbers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


class LogCheck:
    """One check of one log. `known` are checkpoints of it that somebody kept, as signed notes."""

    def __init__(self, read: Read, key: VerifierKey, known: Sequence[str] = ()) -> None:
        self._read = read
        self._key = key
        self._known = known

    def run(self) -> Counted:
        """Returns if everything fits together. Raises Refuted, SourceAway."""
        head = self.head()
        counted = Counted(head)
        signed = [head, *self.kept(head)]
        deeds = self._deeds()
        edge: dict[TileId, bytes] = {}
        for bundle in range(-(-head.size // TILE_WIDTH)):
            first = bundle * TILE_WIDTH
            leaves = self.leaves(bundle, tile_width(0, bundle, head.size))
            changed = grown_tiles(first, [leaf_hash(leaf) for leaf in leaves], edge)
            after = {**edge, **changed}
            stop = first + len(leaves)
            # What is full is final; of the others only the last state is looked at.
            final = edge_tiles(stop) if stop == head.size else []
            self._tiles(
                {t: h for t, h in after.items() if t in final or (t in changed and _full(h))},
                head.size,
                counted,
            )
            self._match_deeds(first, leaves, deeds, counted)
            self.roots(signed, after, first, stop)
            edge = {tile: after[tile] for tile in edge_tiles(stop)}
        self.roots(signed, {}, -1, 0)
        if deeds is not None and next(deeds, None) is not None:
            raise Refuted(ENTRIES, f"line {head.size + 1}", "more entries than the log has")
        return counted

    def kept(self, head: Checkpoint) -> list[Checkpoint]:
        """The checkpoints that somebody kept; a log never has fewer leaves than before."""
        kept = [self._opened(note, f"known {place}") for place, note in enumerate(self._known)]
        for place, each in enumerate(kept):
            if each.size > head.size:
                what = f"cut back: {each.size} leaves were signed before, now {head.size}"
                raise Refuted(CHECKPOINT, f"known {place}", what)
        return kept

    def head(self) -> Checkpoint:
        """The signed head."""
        raw = self._read(CHECKPOINT)
        if raw is None:
            raise Refuted(CHECKPOINT, "whole", "missing")
        try:
            return self._opened(raw.decode(), "signature")
        except UnicodeDecodeError:
            raise Refuted(CHECKPOINT, "whole", "not text") from None

    def _opened(self, note: str, place: str) -> Checkpoint:
        try:
            checkpoint = open_checkpoint(note, self._key)
            require_single(note)
        except NoteInvalid as invalid:
            raise Refuted(CHECKPOINT, place, str(invalid)) from None
        return checkpoint

    def leaves(self, bundle: int, width: int) -> list[bytes]:
        """The commitments of one bundle of entries."""
        path = f"tile/{TilePath(None, bundle, width)}"
        raw = self._read(path)
        if raw is None:
            raise Refuted(path, "whole", "missing")
        row = LENGTH_BYTES + HASH_BYTES
        length = HASH_BYTES.to_bytes(LENGTH_BYTES, "big")
        leaves = [raw[at : at + row] for at in range(0, len(raw), row)]
        for place, leaf in enumerate(leaves):
            if len(leaf) != row or leaf[:LENGTH_BYTES] != length:
                raise Refuted(path, f"leaf {bundle * TILE_WIDTH + place}", "not 32 bytes long")
        if len(leaves) != width:
            raise Refuted(path, "whole", f"holds {len(leaves)} leaves, not {width}")
        return [leaf[LENGTH_BYTES:] for leaf in leaves]

    def _tiles(self, tiles: dict[TileId, bytes], size: int, counted: Counted) -> None:
        for tile, hashes in tiles.items():
            self.tile(tile, hashes, size)
            counted.tiles += 1

    def tile(self, tile: TileId, right: bytes, size: int) -> None:
        """A stored tile is what the entries make it."""
        path = f"tile/{TilePath(tile.level, tile.index, len(right) // HASH_BYTES)}"
        held = self._read(path)
        if held is None:
            raise Refuted(path, "whole", "missing")
        if len(held) != len(right):
            raise Refuted(path, "whole", f"{len(held)} bytes long, not {len(right)}")
        for at in range(len(right) // HASH_BYTES):
            here = slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)
            if held[here] != right[here]:
                raise Refuted(path, f"hash {at}", f"not that of {_below(tile, at, size)}")

    def roots(
        self, signed: Sequence[Checkpoint], tiles: dict[TileId, bytes], first: int, stop: int
    ) -> None:
        """Each checkpoint of a size in first+1..stop states the root that the entries make."""
        for place, checkpoint in enumerate(signed):
            if not first < checkpoint.size <= stop:
                continue
            if Frontier.read(checkpoint.size, hash_reader(tiles)).root() != checkpoint.root:
                where = "root" if place == 0 else f"known {place - 1}"
                what = f"the first {checkpoint.size} entries make another root than was signed"
                raise Refuted(CHECKPOINT, where, what)

    def _deeds(self) -> Iterator[bytes] | None:
        raw = self._read(ENTRIES)
        if raw is None:
            return None
        if raw and not raw.endswith(b"\n"):
            raise Refuted(ENTRIES, "whole", "the last line has no end")
        return iter(raw.split(b"\n")[:-1])

    def _match_deeds(
        self, first: int, leaves: list[bytes], deeds: Iterator[bytes] | None, counted: Counted
    ) -> None:
        if deeds is None:
            return
        for index, leaf in enumerate(leaves, first):
            line = next(deeds, None)
            if line is None:
                raise Refuted(ENTRIES, f"line {index + 1}", f"the deed of leaf {index} is missing")
            self.deed(index, leaf, line, counted)
            counted.deeds += 1

    def deed(self, index: int, leaf: bytes, line: bytes, counted: Counted) -> None:
        """An exported deed is the one its leaf commits to, and has a number nobody else has."""
        place = f"line {index + 1}"
        said = parse_canonical(line, file=ENTRIES, place=place)
        shown = entry_of(said, file=ENTRIES, place=place)
        if shown.index != index:
            raise Refuted(ENTRIES, place, f"not the entry of leaf {index}")
        if commitment(shown.salt, shown.entry) != leaf:
            raise Refuted(ENTRIES, place, f"another deed than leaf {index} commits to")
        deed = shown.deed
        if deed.n and deed.n in counted.numbers[deed.boot_id]:
            raise Refuted(ENTRIES, place, f"leaf {index} is a deed that stands in the log before")
        counted.numbers[deed.boot_id].add(deed.n)


def _full(hashes: bytes) -> bool:
    return len(hashes) == TILE_BYTES


def _below(tile: TileId, at: int, size: int) -> str:
    """What a tile's hash is the hash of."""
    place = tile.index * TILE_WIDTH + at
    if tile.level:
        return f"tile/{TilePath(tile.level - 1, place, TILE_WIDTH)}"
    bundle = TilePath(None, tile.index, tile_width(0, tile.index, size))
    return f"leaf {place} in tile/{bundle}"
