import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicefile.blobstore.conformance import yielding
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import BlobMissing, BlobName
from voicefile.blobstore.sealed import RUN_CHUNKS_MAX, SealedBlob
from voicefile.crypto.envelope import Context, Kind, Suite, object_id
from voicefile.crypto.errors import Tampered
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import CHUNK, HEADER, TAG, seal

TENANT = "11" * 16
RECORDING = "22" * 16
CONTEXT = Context(b"test", TENANT, object_id(RECORDING, "original"), Kind.AUDIO)
LONG = os.urandom(40 * CHUNK + 12_345)
BORDERS = [CHUNK * i + d for i in (0, 1, 2, 15, 16, 17, 32, 39, 40, 41) for d in (-1, 0, 1)]


class CountingStore(MemoryBlobStore):
    """A store that tells how often and how much it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    async def read(self, name: BlobName, start: int, stop: int) -> bytes:
        answer = await super().read(name, start, stop)
        self.reads.append(len(answer))
        return answer


@dataclass
class Shelf:
    """One sealed recording in a store."""

    store: CountingStore
    name: BlobName
    key: DataKey

    async def opened(self) -> SealedBlob:
        return await SealedBlob.open(self.store, self.name, self.key, CONTEXT)


async def shelved(plain: bytes, *, suite: Suite | None = None, pad: bool = False) -> Shelf:
    shelf = Shelf(CountingStore(), new_blob_name(), DataKey.random())
    await shelf.store.put(
        shelf.name, yielding([seal(shelf.key, CONTEXT, plain, suite=suite, pad=pad)])
    )
    return shelf


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize(
    "length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 16 * CHUNK, 16 * CHUNK + 1, len(LONG)]
)
async def test_the_whole_is_what_was_sealed(length: int, suite: Suite) -> None:
    sealed = await (await shelved(LONG[:length], suite=suite)).opened()
    assert sealed.plain_bytes == length
    assert await sealed.read(0, length) == LONG[:length]
    assert await sealed.read(-5, length + CHUNK) == LONG[:length]


async def test_every_range_between_borders_is_the_plain_range() -> None:
    sealed = await (await shelved(LONG)).opened()
    for start in BORDERS:
        for stop in BORDERS:
            expected = LONG[max(start, 0) : max(stop, 0)]
            assert await sealed.read(start, stop) == expected, (start, stop)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    length=st.integers(0, 3 * CHUNK + 5),
    start=st.integers(0, 4 * CHUNK),
    span=st.integers(0, 4 * CHUNK),
    pad=st.booleans(),
)
async def test_any_range_of_any_length_is_the_plain_range(
    length: int, start: int, span: int, pad: bool
) -> None:
    sealed = await (await shelved(LONG[:length], pad=pad)).opened()
    plain = LONG[:length] + bytes(sealed.plain_bytes - length)
    assert await sealed.read(start, start + span) == plain[start : start + span]


async def test_what_is_opened_follows_what_is_asked_not_the_length() -> None:
    shelf = await shelved(LONG, pad=True)
    sealed = await shelf.opened()
    opened_before, read_before = sealed.opened_bytes, sum(shelf.store.reads)
    await sealed.read(20 * CHUNK + 100, 20 * CHUNK + 200)
    assert sealed.opened_bytes - opened_before == CHUNK
    assert sum(shelf.store.reads) - read_before == CHUNK + TAG
    for chunks in (1, 2, 7, 30):
        before = sealed.opened_bytes
        await sealed.read(CHUNK, CHUNK + chunks * CHUNK)
        assert sealed.opened_bytes - before == chunks * CHUNK


async def test_opening_reads_the_header_and_the_last_chunk_only() -> None:
    shelf = await shelved(LONG, pad=True)
    await shelf.opened()
    assert sum(shelf.store.reads) == HEADER + TAG


async def test_consecutive_chunks_are_fetched_together() -> None:
    shelf = await shelved(LONG)
    sealed = await shelf.opened()
    shelf.store.reads.clear()
    await sealed.read(0, 40 * CHUNK)
    assert shelf.store.reads == [
        RUN_CHUNKS_MAX * (CHUNK + TAG),
        RUN_CHUNKS_MAX * (CHUNK + TAG),
        8 * (CHUNK + TAG),
    ]


async def test_a_stream_left_early_opens_no_more() -> None:
    sealed = await (await shelved(LONG)).opened()
    before = sealed.opened_bytes
    pieces: AsyncIterator[bytes] = sealed.stream(0, len(LONG))
    await anext(pieces)
    assert sealed.opened_bytes - before == CHUNK


async def mutated(shelf: Shelf, sealed: bytes) -> None:
    await shelf.store.delete(shelf.name)
    await shelf.store.put(shelf.name, yielding([sealed]))


async def sealed_bytes_of(shelf: Shelf) -> bytes:
    return await shelf.store.read(shelf.name, 0, 1 << 30)


@pytest.mark.parametrize("cut", [1, TAG, CHUNK + TAG, 2 * (CHUNK + TAG), 3 * CHUNK])
async def test_a_cut_blob_never_passes_for_whole(cut: int) -> None:
    shelf = await shelved(LONG[: 3 * CHUNK])
    await mutated(shelf, (await sealed_bytes_of(shelf))[:-cut])
    with pytest.raises(Tampered):
        await shelf.opened()


@pytest.mark.parametrize("left", [0, 10, HEADER, HEADER + TAG - 1])
async def test_a_stump_is_no_recording(left: int) -> None:
    shelf = await shelved(b"")
    await mutated(shelf, (await sealed_bytes_of(shelf))[:left])
    with pytest.raises(Tampered):
        await shelf.opened()


async def test_a_changed_chunk_stops_the_stream_before_it() -> None:
    shelf = await shelved(LONG)
    sealed = bytearray(await sealed_bytes_of(shelf))
    sealed[HEADER + 3 * (CHUNK + TAG) + 77] ^= 1
    await mutated(shelf, bytes(sealed))
    blob = await shelf.opened()
    heard = b""

    async def listen() -> None:
        nonlocal heard
        async for piece in blob.stream(0, len(LONG)):
            heard += piece

    with pytest.raises(Tampered):
        await listen()
    assert heard == LONG[: 3 * CHUNK]


async def test_exchanged_chunks_do_not_open() -> None:
    shelf = await shelved(LONG)
    whole = await sealed_bytes_of(shelf)
    chunks = [whole[i : i + CHUNK + TAG] for i in range(HEADER, len(whole), CHUNK + TAG)]
    chunks[3], chunks[4] = chunks[4], chunks[3]
    await mutated(shelf, whole[:HEADER] + b"".join(chunks))
    blob = await shelf.opened()
    with pytest.raises(Tampered):
        await blob.read(3 * CHUNK, 4 * CHUNK)


async def test_a_blob_cut_while_it_is_heard_is_noticed() -> None:
    shelf = await shelved(LONG)
    blob = await shelf.opened()
    await mutated(shelf, (await sealed_bytes_of(shelf))[: HEADER + 5 * CHUNK])
    with pytest.raises(Tampered):
        await blob.read(0, 20 * CHUNK)


async def test_the_key_of_another_recording_opens_nothing() -> None:
    shelf = await shelved(LONG)
    with pytest.raises(Tampered):
        await SealedBlob.open(shelf.store, shelf.name, DataKey.random(), CONTEXT)


@pytest.mark.parametrize(
    "context",
    [
        Context(b"test", "33" * 16, CONTEXT.object_id, Kind.AUDIO),
        Context(b"test", TENANT, object_id(RECORDING, "telephone"), Kind.AUDIO),
        Context(b"other", TENANT, CONTEXT.object_id, Kind.AUDIO),
    ],
)
async def test_another_place_opens_nothing(context: Context) -> None:
    shelf = await shelved(LONG)
    with pytest.raises(Tampered):
        await SealedBlob.open(shelf.store, shelf.name, shelf.key, context)


async def test_a_missing_blob_is_missing() -> None:
    with pytest.raises(BlobMissing):
        await SealedBlob.open(MemoryBlobStore(), new_blob_name(), DataKey.random(), CONTEXT)
