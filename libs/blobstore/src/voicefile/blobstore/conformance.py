"""The law of the blob store: what every adapter must keep, as a test suite to inherit from."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import (
    BlobExists,
    BlobMissing,
    BlobName,
    BlobNameRefused,
    BlobStore,
)

MIB = 1 << 20
REFUSED_NAMES = ("", "..", "a/b", "../" * 10 + "ab", "A" * 32, "g" * 32, "0" * 31, "0" * 33)
LONG = bytes(range(256)) * (3 * MIB // 256) + b"tail"


async def yielding(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The pieces, with a turn of the event loop between them."""
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def names_in(store: BlobStore) -> list[BlobName]:
    """Every name, page by page."""
    return [entry.name for entry in await store.entries()]


class _CutOff(Exception):
    """The sender went away."""


class BlobStoreConformance:
    """Inherit, and give a fixture `store`."""

    async def test_what_was_put_is_read_back(self, store: BlobStore) -> None:
        name = new_blob_name()
        assert await store.put(name, yielding([b"voice", b"", b"file"])) == 9
        assert await store.size(name) == 9
        assert await store.read(name, 0, 9) == b"voicefile"

    async def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        name = new_blob_name()
        assert await store.put(name, yielding([])) == 0
        assert await store.size(name) == 0
        assert await store.read(name, 0, 10) == b""
        assert [piece async for piece in store.stream(name, 0, 10)] == []

    async def test_ranges_end_where_the_blob_ends(self, store: BlobStore) -> None:
        name = new_blob_name()
        await store.put(name, yielding([b"0123456789"]))
        for start, stop in [(0, 1), (9, 10), (3, 7), (5, 5), (7, 3), (10, 12), (8, 99), (50, 60)]:
            expected = b"0123456789"[start:stop]
            assert await store.read(name, start, stop) == expected
            assert b"".join([p async for p in store.stream(name, start, stop)]) == expected

    async def test_ranges_at_the_borders_of_pieces(self, store: BlobStore) -> None:
        name = new_blob_name()
        await store.put(name, yielding(LONG[i : i + 65_552] for i in range(0, len(LONG), 65_552)))
        for border in (MIB, 2 * MIB, 3 * MIB):
            for start, stop in [(border - 1, border + 1), (border, border + 1), (1, border)]:
                assert await store.read(name, start, stop) == LONG[start:stop]

    async def test_a_stream_comes_in_pieces_of_at_most_a_mebibyte(self, store: BlobStore) -> None:
        name = new_blob_name()
        await store.put(name, yielding([LONG]))
        pieces = [piece async for piece in store.stream(name, 1, len(LONG))]
        assert b"".join(pieces) == LONG[1:]
        assert max(map(len, pieces)) <= MIB

    async def test_a_name_is_taken_once(self, store: BlobStore) -> None:
        name = new_blob_name()
        await store.put(name, yielding([b"first"]))
        with pytest.raises(BlobExists):
            await store.put(name, yielding([b"second"]))
        assert await store.read(name, 0, 10) == b"first"

    async def test_of_concurrent_puts_of_one_name_exactly_one_wins(self, store: BlobStore) -> None:
        name = new_blob_name()
        puts = [store.put(name, yielding([bytes([i]) * 70_000] * 20)) for i in range(8)]
        ends = await asyncio.gather(*puts, return_exceptions=True)
        assert sorted(map(str, map(type, ends))) == sorted(
            [str(int), *[str(BlobExists)] * 7],
        )
        winner = next(i for i, end in enumerate(ends) if isinstance(end, int))
        assert await store.read(name, 0, 2_000_000) == bytes([winner]) * 1_400_000
        assert await names_in(store) == [name]

    async def test_nothing_is_visible_before_all_of_it_is_stored(self, store: BlobStore) -> None:
        name = new_blob_name()
        seen: list[object] = []

        async def looking() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * MIB
                seen.append(await names_in(store))
                with pytest.raises(BlobMissing):
                    await store.read(name, 0, 1)

        await store.put(name, looking())
        assert seen == [[], [], []]
        assert await names_in(store) == [name]

    async def test_a_sender_that_fails_leaves_nothing(self, store: BlobStore) -> None:
        name = new_blob_name()

        async def failing() -> AsyncIterator[bytes]:
            yield b"x" * (2 * MIB)
            raise _CutOff

        with pytest.raises(_CutOff):
            await store.put(name, failing())
        await self._nothing_of(store, name)

    async def test_a_cancelled_put_leaves_nothing(self, store: BlobStore) -> None:
        name = new_blob_name()
        under_way = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65_552
                under_way.set()
                await asyncio.sleep(0)

        put = asyncio.ensure_future(store.put(name, endless()))
        await under_way.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        await self._nothing_of(store, name)

    async def test_a_put_cancelled_at_any_turn_is_all_or_nothing(self, store: BlobStore) -> None:
        for turns in range(40):
            name = new_blob_name()
            put = asyncio.ensure_future(store.put(name, yielding([b"x" * MIB, b"y"])))
            for _ in range(turns):
                await asyncio.sleep(0)
            put.cancel()
            ends = await asyncio.gather(put, return_exceptions=True)
            if isinstance(ends[0], int):
                assert await store.size(name) == MIB + 1
            else:
                await self._nothing_of(store, name)

    async def test_after_a_failed_put_the_name_is_free(self, store: BlobStore) -> None:
        name = new_blob_name()

        async def failing() -> AsyncIterator[bytes]:
            yield b"first try"
            raise _CutOff

        with pytest.raises(_CutOff):
            await store.put(name, failing())
        await store.put(name, yielding([b"second try"]))
        assert await store.read(name, 0, 99) == b"second try"

    async def test_a_missing_blob_is_missing_in_every_way(self, store: BlobStore) -> None:
        await self._nothing_of(store, new_blob_name())

    async def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, store: BlobStore) -> None:
        name, kept = new_blob_name(), new_blob_name()
        await store.put(name, yielding([b"gone"]))
        await store.put(kept, yielding([b"kept"]))
        await store.delete(name)
        await store.delete(name)
        await self._nothing_of(store, name)
        assert await names_in(store) == [kept]

    async def test_entries_are_ordered_by_name_and_paged(self, store: BlobStore) -> None:
        names = sorted(new_blob_name() for _ in range(25))
        for name in names:
            await store.put(name, yielding([b"x" * 5]))
        paged: list[BlobName] = []
        while page := await store.entries(after=paged[-1] if paged else "", limit=4):
            assert len(page) <= 4
            assert {entry.sealed_bytes for entry in page} == {5}
            paged += [entry.name for entry in page]
        assert paged == names
        assert [e.name for e in await store.entries(after=names[20])] == names[21:]

    @pytest.mark.parametrize("text", REFUSED_NAMES)
    async def test_what_is_no_name_is_refused(self, store: BlobStore, text: str) -> None:
        name = BlobName(text)
        with pytest.raises(BlobNameRefused):
            await store.put(name, yielding([b"x"]))
        with pytest.raises(BlobNameRefused):
            await store.size(name)
        with pytest.raises(BlobNameRefused):
            await store.read(name, 0, 1)
        with pytest.raises(BlobNameRefused):
            _ = [piece async for piece in store.stream(name, 0, 1)]
        with pytest.raises(BlobNameRefused):
            await store.delete(name)

    async def test_a_sweep_never_touches_finished_blobs(self, store: BlobStore) -> None:
        name = new_blob_name()
        await store.put(name, yielding([b"finished"]))
        assert await store.sweep_unfinished(0) == 0
        assert await store.read(name, 0, 99) == b"finished"

    async def test_ready_is_found_out_by_writing(self, store: BlobStore) -> None:
        assert await store.ready()
        assert await store.ready()
        assert await store.entries() == []
        assert await store.sweep_unfinished(0) == 0

    async def _nothing_of(self, store: BlobStore, name: BlobName) -> None:
        assert name not in await names_in(store)
        with pytest.raises(BlobMissing):
            await store.size(name)
        with pytest.raises(BlobMissing):
            await store.read(name, 0, 1)
        with pytest.raises(BlobMissing):
            _ = [piece async for piece in store.stream(name, 0, 1)]
