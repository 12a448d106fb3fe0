"""Tiles as stored: read for proofs and for the public, grown when a log is integrated."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from voicefile.audit.errors import LogDamaged, LogMoved
from voicefile.audit.store import TILES, TileRecord, body_of, record_of, tile_id
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.docstore.tenant import TenantCollection
from voicefile.translog.merkle import leaf_hash
from voicefile.translog.tiles import TILE_WIDTH, TileId, edge_tiles, grown_tiles

Tiles = Mapping[TileId, TileRecord]


async def read_tiles(docs: DocStore, tenant: str, wanted: Iterable[TileId]) -> Tiles:
    """Those of the tiles that are there."""
    theirs = TenantCollection(docs, TILES, tenant)
    async with asyncio.TaskGroup() as reads:
        found = {tile: reads.create_task(theirs.get(tile_id(tenant, tile))) for tile in set(wanted)}
    return {
        tile: record_of(document, TileRecord)
        for tile, read in found.items()
        if (document := read.result()) is not None
    }


def hashes_of(tiles: Tiles) -> dict[TileId, bytes]:
    """The hashes alone, as the arithmetic takes them."""
    return {tile: record.hashes for tile, record in tiles.items()}


def grown(size: int, leaves: Sequence[bytes], edge: Tiles) -> dict[TileId, TileRecord]:
    """The tiles that change when these leaves are appended to a log of `size`."""
    changed = grown_tiles(size, [leaf_hash(leaf) for leaf in leaves], hashes_of(edge))
    return {
        tile: TileRecord(hashes, _bundle(tile, size, leaves, edge) if tile.level == 0 else b"")
        for tile, hashes in changed.items()
    }


def _bundle(tile: TileId, size: int, leaves: Sequence[bytes], edge: Tiles) -> bytes:
    begin = tile.index * TILE_WIDTH
    added = b"".join(leaves[max(begin - size, 0) : begin + TILE_WIDTH - size])
    held = max(size - begin, 0) * len(leaves[0])
    return edge[tile].leaves[:held] + added if held else added


async def edge_of(docs: DocStore, tenant: str, size: int) -> Tiles:
    """The tiles that a log of `size` goes on with. Raises LogDamaged."""
    wanted = edge_tiles(size)
    edge = await read_tiles(docs, tenant, wanted)
    if len(edge) != len(wanted):
        raise LogDamaged("a tile at the edge is missing")
    return edge


async def store_tiles(docs: DocStore, tenant: str, tiles: Tiles) -> None:
    """Brings the stored tiles up to these; done twice it changes nothing."""
    async with asyncio.TaskGroup() as writes:
        for tile, record in tiles.items():
            writes.create_task(_store(docs, tenant, tile, record))


async def _store(docs: DocStore, tenant: str, tile: TileId, record: TileRecord) -> None:
    name = tile_id(tenant, tile)
    stored = await docs.get(TILES, name)
    try:
        if stored is None:
            await docs.insert(TILES, Document(name, tenant, body_of(record)))
            return
        before = record_of(stored, TileRecord)
        if not (_continues(before, record) or _continues(record, before)):
            raise LogDamaged("a stored tile holds other hashes")
        if len(record.hashes) > len(before.hashes):
            await docs.replace(TILES, Document(name, tenant, body_of(record), stored.version))
    except (DocumentExists, VersionConflict) as raced:
        raise LogMoved from raced


def _continues(before: TileRecord, after: TileRecord) -> bool:
    return after.hashes.startswith(before.hashes) and after.leaves.startswith(before.leaves)
