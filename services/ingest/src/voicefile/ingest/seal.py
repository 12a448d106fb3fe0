"""Sealing while bytes flow: from the socket, or from the decoder, into the blob store.

Plaintext exists as the piece in the hand. The store sets the pace: a piece is only asked for
when the one before it was taken.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import Sealer
from voicefile.ingest.store import Reservation, Role
from voicefile.ingest.together import together

T = TypeVar("T")
Push = Callable[[bytes], Awaitable[None]]

PIPE_PIECES_MAX: Final = 2
"""Pieces between the decoder and the store: one is written while the next is made."""


@dataclass(frozen=True)
class SealedObject:
    """One blob, durable: its true length and, for the original, its true hash."""

    name: BlobName
    sealed_bytes: int
    plain_bytes: int
    sha256: bytes


class Seal:
    """Seals one recording's objects under its data key, each in its own context."""

    def __init__(
        self, blobs: BlobStore, reservation: Reservation, key: DataKey, *, deployment: str
    ) -> None:
        self._blobs = blobs
        self._reservation = reservation
        self._key = key
        self._deployment = deployment.encode()

    def context(self, role: Role) -> Context:
        """Where the object belongs: it opens nowhere else."""
        return Context(
            deployment=self._deployment,
            tenant=self._reservation.tenant,
            object_id=object_id(self._reservation.recording, role),
            kind=Kind.AUDIO,
        )

    async def pulled(self, role: Role, pieces: AsyncIterator[bytes]) -> SealedObject:
        """Seals what `pieces` yields; whatever it raises goes on, and no blob is left."""
        counted = _Counted(pieces)
        sealer = Sealer(self._key, self.context(role), pad=True)
        name = self._reservation.blobs[role]
        sealed_bytes = await self._blobs.put(name, _sealed(sealer, counted))
        return SealedObject(name, sealed_bytes, counted.plain_bytes, counted.hash.digest())

    async def pushed(
        self, role: Role, produce: Callable[[Push], Awaitable[T]]
    ) -> tuple[T, SealedObject]:
        """The same for a producer that hands its pieces out instead of being asked for them."""
        pipe = _Pipe()
        async with together() as both:
            storing = both.create_task(self.pulled(role, pipe.pieces()))
            produced = await produce(pipe.push)
            await pipe.close()
        return produced, storing.result()


class _Counted:
    """Pieces as they pass, counted and hashed: the true bytes, without the padding."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.plain_bytes = 0
        self.hash = hashlib.sha256()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self.plain_bytes += len(piece)
        self.hash.update(piece)
        return piece


class _Pipe:
    """A few pieces between a producer and a consumer."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(PIPE_PIECES_MAX)

    async def push(self, piece: bytes) -> None:
        await self._queue.put(piece)

    async def close(self) -> None:
        await self._queue.put(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._queue.get()) is not None:
            yield piece


async def _sealed(sealer: Sealer, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield sealer.header
    async for piece in pieces:
        if whole := sealer.update(piece):
            yield whole
    yield sealer.finish()


async def once(piece: bytes) -> AsyncIterator[bytes]:
    """A whole object as a stream of one piece."""
    yield piece


async def hashed(pieces: AsyncIterator[bytes]) -> bytes:
    """The hash of bytes that are read through and kept nowhere."""
    counted = _Counted(pieces)
    async for _ in counted:
        continue
    return counted.hash.digest()
