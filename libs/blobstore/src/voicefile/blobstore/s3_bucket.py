"""What the S3 store needs of a bucket, and what an object says of itself; knows no client library.

    <prefix>blobs/<name>   a blob; or, while a large one is being finished, the claim on its name
    <prefix>ready          written over by whoever asks whether the bucket takes something

Every object carries the random id of the put that made it (`attempt`), so that a put whose answer
was lost can find out what became of it. It is related to nothing else, and nothing else stands
beside it: no type, no true length, no owner.
"""

import base64
import hashlib
import io
import os
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, Protocol

from voicefile.blobstore.port import BlobName

PART_BYTES: Final = 5 << 20
"""What one request carries at most: the smallest part S3 takes. Two are in memory at a time."""
PARTS_MAX: Final = 10_000
"""S3's limit; so the longest blob has 52 GB."""
ATTEMPT_BYTES: Final = 16
CLAIM_BYTES: Final = 2 * ATTEMPT_BYTES
"""A claim's content is its attempt: no other claim has its ETag. No sealed blob is that short."""


@dataclass(frozen=True)
class Limits:
    """How long one call of the store may take: (try_s + pauses) x tries, and then settle_s."""

    tries: int = 3
    try_s: float = 10.0
    """One request from connecting to its answer; in a stream, the wait for the next bytes."""
    pause_s: float = 0.2
    """Before the second try; doubled before each further one."""
    settle_s: float = 5.0
    """A cancelled put waits as long for the request under way, and again to take back its own."""
    ready_s: float = 1.5
    connections: int = 64


class Taken(Exception):
    """A condition did not hold: another object has the key, or none has it any more."""


class NoUpload(Exception):
    """The multipart upload was finished or aborted."""


@dataclass(frozen=True)
class Found:
    """An object, as its headers describe it."""

    sealed_bytes: int
    etag: str
    attempt: str
    is_claim: bool
    age_s: float
    """By the server's own clock."""


@dataclass(frozen=True)
class Listed:
    """One line of a listing."""

    name: str
    sealed_bytes: int
    stored_at_s: float


@dataclass(frozen=True)
class Upload:
    """A multipart upload that was neither finished nor aborted."""

    name: str
    upload_id: str
    age_s: float


@dataclass(frozen=True)
class Sent:
    """A part the bucket has."""

    number: int
    etag: str
    sha256: str
    sealed_bytes: int


class Part:
    """Bytes for one request: kept in the pieces they came in, sent as often as needed.

    One large buffer would be neater, but the allocator hands such ones back late and in holes:
    a put took twice the memory.
    """

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []
        self._hash = hashlib.sha256()
        self.sealed_bytes = 0

    @classmethod
    def of(cls, content: bytes) -> "Part":
        """The content, which fits."""
        part = cls()
        part.take(memoryview(content))
        return part

    @property
    def full(self) -> bool:
        """Whether nothing more fits in."""
        return self.sealed_bytes == PART_BYTES

    @property
    def sha256(self) -> str:
        """Base64, as S3 compares it with what arrives."""
        return base64.b64encode(self._hash.digest()).decode("ascii")

    def take(self, piece: memoryview) -> memoryview:
        """Takes what fits; answers the rest. Hashed as it comes: no long work at the end."""
        fitting = piece[: PART_BYTES - self.sealed_bytes]
        self._pieces.append(fitting)
        self._hash.update(fitting)
        self.sealed_bytes += len(fitting)
        return piece[len(fitting) :]

    def file(self) -> io.RawIOBase:
        """The bytes from the start, for one try: an earlier one may still be reading its own."""
        return _PiecesFile(self._pieces, self.sealed_bytes)


class _PiecesFile(io.RawIOBase):
    """A file to read and to seek in, as far as HTTP libraries do, over pieces in memory."""

    def __init__(self, pieces: Sequence[memoryview], size: int) -> None:
        super().__init__()
        self._pieces = pieces
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(start + offset, 0), self._size)
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._at + size, self._size)
        found = []
        while self._at < stop:
            index, offset = self._place()
            piece = self._pieces[index][offset : offset + stop - self._at]
            found.append(piece)
            self._at += len(piece)
        return b"".join(found)

    def _place(self) -> tuple[int, int]:
        """The piece in which the next byte lies, and where."""
        index = bisect_right(self._starts, self._at) - 1
        return index, self._at - self._starts[index]

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate(map(len, self._pieces[:-1]), initial=0))


async def parts_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Part, None]:
    """Full parts, and one that is not full at the end (of none or a few bytes)."""
    part = Part()
    async for chunk in chunks:
        left = memoryview(bytes(chunk))
        while left:
            left = part.take(left)
            if part.full:
                yield part
                part = Part()
    yield part


class Bucket(Protocol):
    """Single requests, each tried again within limits where that is harmless.

    All raise BlobStoreUnavailable; what writes raises BlobStoreFull.
    """

    limits: Limits

    async def put_new(self, name: BlobName, part: Part, *, attempt: str, claim: bool) -> str:
        """Stores an object under a free name; answers its ETag. Raises Taken."""

    async def head(self, name: BlobName) -> Found | None:
        """What has the name; a claim, too."""

    async def delete(self, name: BlobName, *, etag: str | None = None) -> None:
        """Removes what has the name; with `etag` only that. Raises Taken."""

    async def begin(self, name: BlobName, *, attempt: str) -> str:
        """Begins a multipart upload; answers its id."""

    async def send(self, name: BlobName, upload_id: str, number: int, part: Part) -> Sent:
        """Stores one part. Raises NoUpload."""

    async def complete(
        self, name: BlobName, upload_id: str, parts: list[Sent], *, claim: str
    ) -> None:
        """Puts the whole in the place of the claim of that ETag. Raises Taken, NoUpload."""

    async def abort(self, name: BlobName, upload_id: str) -> None:
        """Throws the parts away; nothing happens if there are none."""
