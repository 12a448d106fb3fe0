"""The blob store: sealed bytes under a random name, written once, read by range.

BlobStoreError
├── BlobExists             put met a name already taken
├── BlobMissing            no blob of that name
├── BlobStoreFull          there is no room for the blob; nothing of it is kept
├── BlobStoreUnavailable   the store can't be reached, or refuses us; nothing was put, try later
└── BlobNameRefused        not a name this vault gives: never looked up

A store across a network finds out what became of a put whose answer was lost before it raises
anything. Where it can't, because the store stays away, it says BlobStoreUnavailable; should the
blob turn up after all, it is whole, nobody knows its name, and the sweeper of unknown blobs
takes it.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import NewType, Protocol

BlobName = NewType("BlobName", str)
"""32 hexadecimal digits, random, unrelated to any other id."""


class BlobStoreError(Exception):
    """What this port raises on purpose."""


class BlobExists(BlobStoreError):
    """A put named a blob that is already there; nothing was changed."""


class BlobMissing(BlobStoreError):
    """There is no blob of that name."""


class BlobStoreFull(BlobStoreError):
    """There is no room for the blob; nothing of it is kept."""


class BlobStoreUnavailable(BlobStoreError):
    """The store can't be reached or refuses us; nothing was put, nothing read: try later.

    `str(error)` is a code of the store or of ours, never a name, an address or a secret.
    """


class BlobNameRefused(BlobStoreError):
    """The text is not 32 hexadecimal digits, so no store was asked for it."""


@dataclass(frozen=True)
class BlobEntry:
    """One blob in a listing."""

    name: BlobName
    sealed_bytes: int
    stored_at_s: float
    """Unix time of the put; for the sweeper only."""


class BlobStore(Protocol):
    """Keeps blobs. Nothing of a blob is visible until all of it is stored.

    Every method that takes a name raises BlobNameRefused before it touches anything. A store
    across a network raises BlobStoreUnavailable from any of them but `ready`.
    """

    async def put(self, name: BlobName, chunks: AsyncIterable[bytes]) -> int:
        """Stores what `chunks` yields; answers its length in bytes, durable.

        If `chunks` raises or the put is cancelled, no blob is left and the error goes on.
        Raises BlobExists, BlobStoreFull.
        """

    async def size(self, name: BlobName) -> int:
        """Length in bytes. Raises BlobMissing."""

    async def read(self, name: BlobName, start: int, stop: int) -> bytes:
        """Bytes start..stop-1, fewer only where the blob ends. Raises BlobMissing."""

    def stream(self, name: BlobName, start: int, stop: int) -> AsyncIterator[bytes]:
        """The same bytes in pieces of at most 1 MiB."""

    async def delete(self, name: BlobName) -> None:
        """Removes the blob, durably; nothing happens if it is missing."""

    async def entries(self, *, after: str = "", limit: int = 1000) -> list[BlobEntry]:
        """Blobs by name, names above `after` only."""

    async def sweep_unfinished(self, older_than_s: float) -> int:
        """Removes what puts left that never finished and are older than that; answers how many."""

    async def ready(self) -> bool:
        """Whether a put would succeed now, found out by writing; leaves nothing that is listed."""
