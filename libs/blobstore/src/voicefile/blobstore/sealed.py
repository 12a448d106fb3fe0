"""Reading a range of a sealed blob: opens the chunks asked for, and no others."""

from collections.abc import AsyncIterator

from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.crypto.envelope import Context
from voicefile.crypto.secret import SecretKey
from voicefile.crypto.stream import CHUNK, HEADER, Opener

RUN_CHUNKS_MAX = 16
"""Consecutive chunks fetched with one read of the store (1 MiB)."""


class SealedBlob:
    """One sealed blob and the key to it, for as long as somebody listens.

    Whatever fails to open raises Tampered, and what was yielded before it was authentic.
    """

    def __init__(self, blobs: BlobStore, name: BlobName, opener: Opener, last: bytes) -> None:
        self._blobs = blobs
        self._name = name
        self._opener = opener
        self._last = last
        self._opened_bytes = len(last)

    @classmethod
    async def open(
        cls, blobs: BlobStore, name: BlobName, key: SecretKey, context: Context
    ) -> "SealedBlob":
        """Checks key, context and length. Raises BlobMissing, Tampered."""
        sealed_bytes = await blobs.size(name)
        header = await blobs.read(name, 0, HEADER)
        opener = Opener(key, context, header, sealed_bytes)
        # Last chunk first: until it opens, the length of the recording is only a claim.
        start, stop = opener.span(opener.last)
        last = opener.open(opener.last, await blobs.read(name, start, stop))
        return cls(blobs, name, opener, last)

    @property
    def plain_bytes(self) -> int:
        """How much there is to read; of a padded blob, padding included."""
        return self._opener.plain_bytes

    @property
    def opened_bytes(self) -> int:
        """How much was decrypted so far, the last chunk included."""
        return self._opened_bytes

    async def read(self, start: int, stop: int) -> bytes:
        """Plain bytes start..stop-1, fewer only where the blob ends."""
        return b"".join([piece async for piece in self.stream(start, stop)])

    async def stream(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The same bytes, a chunk at a time."""
        start, stop = max(start, 0), min(stop, self.plain_bytes)
        if start >= stop:
            return
        end = (stop - 1) // CHUNK + 1
        for first in range(start // CHUNK, end, RUN_CHUNKS_MAX):
            async for index, plain in self._run(first, min(first + RUN_CHUNKS_MAX, end)):
                offset = index * CHUNK
                if offset < start or offset + len(plain) > stop:
                    yield plain[max(start - offset, 0) : stop - offset]
                else:
                    yield plain

    async def _run(self, first: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """Opens chunks first..end-1, fetched together; the last one is open already."""
        closing = self._opener.last
        fetched_end = min(end, closing)
        if first < fetched_end:
            start, stop = self._opener.span(first)[0], self._opener.span(fetched_end - 1)[1]
            sealed = memoryview(await self._blobs.read(self._name, start, stop))
            for index in range(first, fetched_end):
                begin, finish = self._opener.span(index)
                plain = self._opener.open(index, sealed[begin - start : finish - start])
                self._opened_bytes += len(plain)
                yield index, plain
        if end > closing:
            yield closing, self._last
