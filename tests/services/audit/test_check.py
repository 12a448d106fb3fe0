"""The check finds whatever is changed in a stored log."""

from typing import Any

import msgspec
import pytest

from voicefile.audit.errors import LogDamaged
from voicefile.audit.store import (
    HEADS,
    SEGMENTS,
    TILES,
    Head,
    Segment,
    TileRecord,
    body_of,
    record_of,
)
from voicefile.crypto.primitives import SigningKey
from voicefile.docstore.port import Document
from voicefile.translog.checkpoint import Checkpoint, sign_checkpoint
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.origin import origin_of


@pytest.fixture
async def log(docs, tenant, instance, keeper_of) -> Any:
    """A log of 300 deeds in segments of 7, published."""
    keeper = keeper_of(docs)
    for _ in range(3):
        await keeper.append(instance.does_often(tenant, 100))
        await keeper.publish(tenant)
    return docs


async def rewrite(docs: Any, collection: Any, at: int, change: Any, kind: Any) -> None:
    document = (await docs.scan(collection, limit=1000))[at]
    changed = change(record_of(document, kind))
    await docs.replace(
        collection, Document(document.id, document.tenant, body_of(changed), document.version)
    )


def flipped(text: bytes, at: int = 40) -> bytes:
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]


def with_entry(segment: Segment) -> Segment:
    entries = [flipped(segment.entries[0]), *segment.entries[1:]]
    return msgspec.structs.replace(segment, entries=entries)


def swapped(segment: Segment) -> Segment:
    return msgspec.structs.replace(segment, entries=segment.entries[::-1])


def shortened(segment: Segment) -> Segment:
    return msgspec.structs.replace(
        segment, entries=segment.entries[:-1], event_ids=segment.event_ids[:-1]
    )


def doubled(segment: Segment) -> Segment:
    boot, numbers = next(iter(segment.numbers.items()))
    return msgspec.structs.replace(segment, numbers={boot: [*numbers[:-1], 1]})


@pytest.mark.parametrize(
    "change",
    [
        with_entry,
        swapped,
        shortened,
        doubled,
        lambda s: msgspec.structs.replace(s, salts=flipped(s.salts)),
        lambda s: msgspec.structs.replace(s, leaves=flipped(s.leaves)),
        lambda s: msgspec.structs.replace(s, stop=s.stop - 1),
    ],
)
@pytest.mark.parametrize("at", [1, 20, -1])
async def test_a_changed_segment_is_found(log, tenant, check, change, at) -> None:
    await check(log, tenant)
    await rewrite(log, SEGMENTS, at, change, Segment)
    with pytest.raises(LogDamaged):
        await check(log, tenant)


async def test_a_frontier_that_is_another_is_found(log, tenant, check) -> None:
    def change(segment: Segment) -> Segment:
        return msgspec.structs.replace(
            segment, peaks=[*segment.peaks[:-1], flipped(segment.peaks[-1], 3)]
        )

    await rewrite(log, SEGMENTS, -1, change, Segment)
    with pytest.raises(LogDamaged):
        await check(log, tenant)


@pytest.mark.parametrize("at", [0, 5, -1])
async def test_a_missing_segment_is_found(log, tenant, check, at) -> None:
    await log.delete(SEGMENTS, (await log.scan(SEGMENTS, limit=1000))[at])
    with pytest.raises(LogDamaged):
        await check(log, tenant)


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_changed_or_missing_tile_is_found(log, tenant, check, at) -> None:
    def change(tile: TileRecord) -> TileRecord:
        return msgspec.structs.replace(tile, hashes=flipped(tile.hashes, 5))

    await rewrite(log, TILES, at, change, TileRecord)
    with pytest.raises(LogDamaged):
        await check(log, tenant)
    await log.delete(TILES, (await log.scan(TILES, limit=1000))[at])
    with pytest.raises(LogDamaged):
        await check(log, tenant)


async def test_entries_beside_their_hashes_are_checked_too(log, tenant, check) -> None:
    def change(tile: TileRecord) -> TileRecord:
        return msgspec.structs.replace(tile, leaves=flipped(tile.leaves))

    await rewrite(log, TILES, 0, change, TileRecord)
    with pytest.raises(LogDamaged):
        await check(log, tenant)


async def test_a_head_of_another_tree_is_found(log, tenant, check) -> None:
    def change(head: Head) -> Head:
        return msgspec.structs.replace(head, root=flipped(head.root, 5))

    await rewrite(log, HEADS, 0, change, Head)
    with pytest.raises(LogDamaged):
        await check(log, tenant)


async def test_a_head_signed_by_somebody_else_is_found(log, tenant, check) -> None:
    def change(head: Head) -> Head:
        stated = Checkpoint(origin_of("test", tenant), head.size, head.root)
        note = sign_checkpoint(stated, SigningKey.generate())
        return msgspec.structs.replace(head, checkpoint=note)

    await rewrite(log, HEADS, 0, change, Head)
    with pytest.raises(NoteInvalid):
        await check(log, tenant)


async def test_more_signed_than_there_is_found(log, tenant, check) -> None:
    for segment in (await log.scan(SEGMENTS, limit=1000))[-3:]:
        await log.delete(SEGMENTS, segment)
    with pytest.raises(LogDamaged):
        await check(log, tenant)
