import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.translog.errors import TileMissing, TilePathInvalid
from voicefile.translog.merkle import Frontier
from voicefile.translog.proofs import consistency_proof, inclusion_proof
from voicefile.translog.tiles import (
    TILE_BYTES,
    TileId,
    TilePath,
    edge_tiles,
    entry_bundle,
    grown_tiles,
    hash_reader,
    parse_tile_path,
    tile_width,
    tiles_read,
)

HASHES = [os.urandom(32) for _ in range(70_000)]
WHOLE = grown_tiles(0, HASHES, {})


def test_a_tree_of_70_000_has_the_tiles_the_specification_names() -> None:
    by_level = {
        level: [len(WHOLE[t]) // 32 for t in sorted(WHOLE) if t.level == level]
        for level in (0, 1, 2)
    }
    assert by_level == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    assert edge_tiles(70_000) == [TileId(0, 273), TileId(1, 1), TileId(2, 0)]


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above() -> None:
    assert {t: len(h) // 32 for t, h in grown_tiles(0, HASHES[:256], {}).items()} == {
        TileId(0, 0): 256,
        TileId(1, 0): 1,
    }


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_widths_are_those_of_the_tree(size: int) -> None:
    tiles = grown_tiles(0, HASHES[:size], {})
    for tile, hashes in tiles.items():
        assert tile_width(tile.level, tile.index, size) == len(hashes) // 32
    assert tile_width(0, -(-size // 256), size) == 0
    assert set(edge_tiles(size)) == {t for t, h in tiles.items() if len(h) < TILE_BYTES}


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 70_000), max_size=5))
def test_tiles_grown_in_pieces_are_the_tiles_of_the_whole(cuts: list[int]) -> None:
    tiles: dict[TileId, bytes] = {}
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 70_000], strict=True):
        edge = {tile: tiles[tile] for tile in edge_tiles(begin)}
        tiles |= grown_tiles(begin, HASHES[begin:end], edge)
    assert tiles == WHOLE


def test_growing_twice_is_growing_once() -> None:
    tiles = grown_tiles(0, HASHES[:300], {})
    once = grown_tiles(300, HASHES[300:900], tiles)
    assert grown_tiles(300, HASHES[300:900], tiles | once) == once


def test_growing_without_the_edge_is_refused() -> None:
    with pytest.raises(TileMissing):
        grown_tiles(300, HASHES[300:310], {})


def test_a_proof_reads_few_tiles_and_only_those_it_named() -> None:
    some = random.Random(7)
    root_reader = hash_reader(WHOLE)
    for _ in range(100):
        size = some.randrange(1, 70_001)
        index, old_size = some.randrange(size), some.randrange(size)
        wanted = tiles_read(lambda read, i=index, s=size: inclusion_proof(i, s, read))
        wanted |= tiles_read(lambda read, o=old_size, s=size: consistency_proof(o, s, read))
        assert len(wanted) <= 12
        few = hash_reader({tile: WHOLE[tile] for tile in wanted})
        assert inclusion_proof(index, size, few) == inclusion_proof(index, size, root_reader)
        assert consistency_proof(old_size, size, few) == consistency_proof(
            old_size, size, root_reader
        )


def test_a_hash_that_no_tile_holds_is_missing() -> None:
    read = hash_reader(grown_tiles(0, HASHES[:300], {}))
    assert read(0, 299) == HASHES[299]
    for level, index in [(0, 300), (3, 37), (8, 1), (16, 0)]:
        with pytest.raises(TileMissing):
            read(level, index)


def test_the_frontier_is_read_from_tiles() -> None:
    for size in (1, 255, 256, 1_000, 65_536, 70_000):
        read = hash_reader(WHOLE)
        assert Frontier.read(size, read) == Frontier().extended(HASHES[:size])


@given(
    level=st.none() | st.integers(0, 63), index=st.integers(0, 10**15), width=st.integers(1, 256)
)
def test_a_path_names_one_tile_and_comes_back(level: int | None, index: int, width: int) -> None:
    path = TilePath(level, index, width)
    assert parse_tile_path(str(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0/", "0/0", "0/00", "0/1000", "00/000", "64/000", "-1/000", "0/000/"),
        *("0/x000/000", "0/000/000", "0/x01/000", "x0/000", "0/000.p/0", "0/000.p/256"),
        *("0/000.p/01", "0/000.p/", "0/000.p/1/", "0/../000", "entries", "0/000.p/-1", "0/٠٠٠"),
        *("0/000\n", " 0/000", "0/" + "x001/" * 7 + "001"),
    ],
)
def test_what_names_no_tile_is_refused(text: str) -> None:
    with pytest.raises(TilePathInvalid):
        parse_tile_path(text)


def test_a_bundle_tells_the_length_of_each_entry() -> None:
    assert entry_bundle([b"", b"ab", b"x" * 258]) == b"\0\0\0\2ab\1\2" + b"x" * 258
