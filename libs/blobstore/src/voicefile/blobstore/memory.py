"""Blobs in memory: for tests, and for vaults that are to forget everything."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from heapq import nsmallest

from voicefile.blobstore.names import blob_name
from voicefile.blobstore.port import BlobEntry, BlobExists, BlobMissing, BlobName

PIECE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class _Stored:
    sealed: bytes
    stored_at_s: float


class MemoryBlobStore:
    """Keeps blobs as long as the process lives."""

    def __init__(self, *, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._blobs: dict[BlobName, _Stored] = {}

    async def put(self, name: BlobName, chunks: AsyncIterable[bytes]) -> int:
        if blob_name(name) in self._blobs:
            raise BlobExists
        sealed = b"".join([bytes(chunk) async for chunk in chunks])
        # Asked again: another put may have finished while this one was still receiving.
        if name in self._blobs:
            raise BlobExists
        self._blobs[name] = _Stored(sealed, self._now_s())
        return len(sealed)

    async def size(self, name: BlobName) -> int:
        return len(self._sealed(name))

    async def read(self, name: BlobName, start: int, stop: int) -> bytes:
        return self._sealed(name)[max(start, 0) : max(stop, 0)]

    async def stream(self, name: BlobName, start: int, stop: int) -> AsyncIterator[bytes]:
        wanted = memoryview(self._sealed(name))[max(start, 0) : max(stop, 0)]
        for at in range(0, len(wanted), PIECE_BYTES_MAX):
            yield bytes(wanted[at : at + PIECE_BYTES_MAX])

    async def delete(self, name: BlobName) -> None:
        self._blobs.pop(blob_name(name), None)

    async def entries(self, *, after: str = "", limit: int = 1000) -> list[BlobEntry]:
        names = nsmallest(limit, (name for name in self._blobs if name > after))
        return [
            BlobEntry(name, len(self._blobs[name].sealed), self._blobs[name].stored_at_s)
            for name in names
        ]

    async def sweep_unfinished(self, older_than_s: float) -> int:
        del older_than_s  # an unfinished put holds its bytes in its own frame: nothing to sweep
        return 0

    async def ready(self) -> bool:
        return True

    def _sealed(self, name: BlobName) -> bytes:
        stored = self._blobs.get(blob_name(name))
        if stored is None:
            raise BlobMissing
        return stored.sealed
