"""A random 64 KiB of a sealed recording: what it costs to open, however long the recording is."""

import asyncio
import os
import random
import time
from pathlib import Path

from tests.bench.figures import Row, median
from tests.bench.vault import folder

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.names import BlobName, new_blob_name
from voicefile.blobstore.sealed import SealedBlob
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import CHUNK, HEADER, Opener, Sealer
from voicefile.identity.ids import new_id

BYTES_A_SECOND = 16_000
LENGTHS_S = {"1 min": 60, "10 min": 600, "1 h": 3_600}
ASKED_BYTES = 65_536
SEEKS = 200
RUNS = 5
CRYPTO_MS_MAX = 1.0


def measure() -> list[Row]:
    rows: list[Row] = []
    with folder() as scratch:
        store = FilesystemBlobStore(scratch)
        first = 0.0
        for called, seconds in LENGTHS_S.items():
            sealed = _Sealed(store, seconds * BYTES_A_SECOND)
            asyncio.run(sealed.stored())
            crypto = [sealed.crypto_ms(seed) for seed in range(RUNS)]
            first = first or median(crypto)
            rows.append(
                Row(
                    f"crypto of one seek in {called}",
                    crypto,
                    "ms",
                    first,
                    "1 min",
                    promise=f"<= {CRYPTO_MS_MAX} ms",
                    kept=median(crypto) <= CRYPTO_MS_MAX,
                )
            )
            whole, opened = asyncio.run(sealed.through_store())
            plain = [sealed.plain_ms(seed) for seed in range(RUNS)]
            rows.append(Row("  with the store's reads", whole, "ms", median(plain), "plain pread"))
            rows.append(Row("  bytes opened per byte asked", [opened / (SEEKS * ASKED_BYTES)], ""))
    return rows


class _Sealed:
    """One recording, sealed in a store and lying beside it in clear."""

    def __init__(self, store: FilesystemBlobStore, length: int) -> None:
        self._store = store
        self._key = DataKey.random()
        self._context = Context(b"bench", new_id(), object_id(new_id(), "original"), Kind.AUDIO)
        self._plain = os.urandom(length)
        self._name: BlobName = new_blob_name()
        self._path = Path()

    async def stored(self) -> None:
        sealer = Sealer(self._key, self._context, pad=True)
        sealed = b"".join((sealer.header, sealer.update(self._plain), sealer.finish()))

        async def pieces():
            yield sealed

        await self._store.put(self._name, pieces())
        self._path = self._store._path(self._name)
        self._clear = self._path.with_suffix(".plain")
        self._clear.write_bytes(self._plain)

    def _starts(self, seed: int) -> list[int]:
        dice = random.Random(seed)
        return [dice.randrange(len(self._plain) - ASKED_BYTES) for _ in range(SEEKS)]

    def crypto_ms(self, seed: int) -> float:
        """Key schedule, commitment, last chunk and the chunks that hold the range."""
        sealed = self._path.read_bytes()
        begun_s = time.process_time()
        for start in self._starts(seed):
            opener = Opener(self._key, self._context, sealed[:HEADER], len(sealed))
            indexes = range(start // CHUNK, (start + ASKED_BYTES - 1) // CHUNK + 1)
            for index in (opener.last, *indexes):
                begin, stop = opener.span(index)
                opener.open(index, sealed[begin:stop])
        return (time.process_time() - begun_s) * 1000 / SEEKS

    def plain_ms(self, seed: int) -> float:
        """The same range of the same bytes in clear: open, pread, close."""
        begun_s = time.perf_counter()
        for start in self._starts(seed):
            descriptor = os.open(self._clear, os.O_RDONLY)
            os.pread(descriptor, ASKED_BYTES, start)
            os.close(descriptor)
        return (time.perf_counter() - begun_s) * 1000 / SEEKS

    async def through_store(self) -> tuple[list[float], int]:
        took_ms, opened = [], 0
        for seed in range(RUNS):
            begun_s, opened = time.perf_counter(), 0
            for start in self._starts(seed):
                blob = await SealedBlob.open(self._store, self._name, self._key, self._context)
                got = await blob.read(start, start + ASKED_BYTES)
                assert len(got) == ASKED_BYTES
                opened += blob.opened_bytes
            took_ms.append((time.perf_counter() - begun_s) * 1000 / SEEKS)
        return took_ms, opened
