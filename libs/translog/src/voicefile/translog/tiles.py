"""Tiles (C2SP tlog-tiles): which hashes lie in which tile, how tiles are named, how they grow.

Tile (level, index) holds up to 256 hashes; each is the root of a complete subtree of 256**level
leaves. What is full never changes any more, and what is partial only grows at its end.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from voicefile.translog.errors import TileMissing, TilePathInvalid
from voicefile.translog.merkle import HASH_BYTES, HashReader, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVEL_MAX = 63
_PATH = re.compile(r"(entries|0|[1-9]\d?)/((?:x\d{3}/){0,6}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class TileId:
    """A tile's place, whatever its width."""

    level: int
    index: int


@dataclass(frozen=True, slots=True)
class TilePath:
    """A tile as asked for: level None means the bundle of the entries themselves."""

    level: int | None
    index: int
    width: int

    def __str__(self) -> str:
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level is None else self.level
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"{level}/{'/'.join(reversed(groups))}{partial}"


def parse_tile_path(text: str) -> TilePath:
    """The tile named by `<level>/<index>[.p/<width>]`. Raises TilePathInvalid."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise TilePathInvalid("not a tile's path")
    level = None if match[1] == "entries" else int(match[1])
    width = int(match[3]) if match[3] else TILE_WIDTH
    path = TilePath(level, int(match[2].replace("x", "").replace("/", "")), width)
    # Each tile has one name: leading zero groups and `.p/256` would be second ones.
    if str(path) != text or (level or 0) > LEVEL_MAX or width > TILE_WIDTH:
        raise TilePathInvalid("not a tile's path")
    return path


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes that tile has in a tree of `size`; 0 if it has none."""
    hashes = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def edge_tiles(size: int) -> list[TileId]:
    """The partial tiles of a tree of `size`: the ones that appending goes on with."""
    found: list[TileId] = []
    hashes, level = size, 0
    while hashes:
        if hashes % TILE_WIDTH:
            found.append(TileId(level, hashes // TILE_WIDTH))
        hashes, level = hashes // TILE_WIDTH, level + 1
    return found


def grown_tiles(
    size: int, leaf_hashes: Sequence[bytes], edge: Mapping[TileId, bytes]
) -> dict[TileId, bytes]:
    """The tiles that change when these leaves are appended, as they are afterwards.

    `edge` holds at least the partial tiles of `size` (`edge_tiles`). Raises TileMissing.
    """
    changed: dict[TileId, bytes] = {}
    level, first, added = 0, size, list(leaf_hashes)
    while added:
        above: list[bytes] = []
        while added:
            tile = TileId(level, first // TILE_WIDTH)
            held = first % TILE_WIDTH
            before = _prefix(edge, tile, held)
            fitting, added = added[: TILE_WIDTH - held], added[TILE_WIDTH - held :]
            changed[tile] = before + b"".join(fitting)
            if held + len(fitting) == TILE_WIDTH:
                above.append(_tile_root(changed[tile]))
            first += len(fitting)
        first = size >> (TILE_HEIGHT * (level + 1))
        level, added = level + 1, above
    return changed


def hash_reader(tiles: Mapping[TileId, bytes]) -> HashReader:
    """Reads any complete subtree's root from tiles in hand. Raises TileMissing."""

    def read(level: int, index: int) -> bytes:
        tile, begin, end = _place(level, index)
        held = tiles.get(tile, b"")
        if len(held) < end * HASH_BYTES:
            raise TileMissing(f"tile {tile.level}/{tile.index} does not hold {end} hashes")
        return _root_of(held[begin * HASH_BYTES : end * HASH_BYTES])

    return read


def tiles_read(compute: Callable[[HashReader], object]) -> set[TileId]:
    """The tiles `compute` will read: fetch these first, then compute with `hash_reader`.

    tiles_read(lambda read: inclusion_proof(index, size, read))
    """
    wanted: set[TileId] = set()

    def note(level: int, index: int) -> bytes:
        wanted.add(_place(level, index)[0])
        return bytes(HASH_BYTES)

    compute(note)
    return wanted


def entry_bundle(leaves: Iterable[bytes]) -> bytes:
    """The entries of one tile as served: each behind its length in two bytes."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def _place(level: int, index: int) -> tuple[TileId, int, int]:
    """The tile holding a subtree's root or what it is made of, and from which hash to which."""
    tile_level, height = divmod(level, TILE_HEIGHT)
    first = index << height
    tile = TileId(tile_level, first // TILE_WIDTH)
    return tile, first % TILE_WIDTH, first % TILE_WIDTH + (1 << height)


def _root_of(hashes: bytes) -> bytes:
    """The root over a power of two of concatenated hashes."""
    row = [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def _tile_root(tile: bytes) -> bytes:
    assert len(tile) == TILE_BYTES, "only a full tile is hashed into the level above"
    return _root_of(tile)


def _prefix(edge: Mapping[TileId, bytes], tile: TileId, held: int) -> bytes:
    """What the tile held before; the edge may be further ahead (an append done twice)."""
    before = edge.get(tile, b"")[: held * HASH_BYTES]
    if len(before) != held * HASH_BYTES:
        raise TileMissing(f"tile {tile.level}/{tile.index} does not hold {held} hashes")
    return before
