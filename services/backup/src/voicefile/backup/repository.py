"""A repository at a target: rooms of the blob store, and in them objects named by their content.

The name of an object is the beginning of its SHA-256; whoever names it gives the whole hash. So a
read tells by itself whether it is what was written, and one that is written twice is there once.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from voicefile.backup.errors import Damaged
from voicefile.blobstore.names import NAME_BYTES
from voicefile.blobstore.port import BlobEntry, BlobExists, BlobMissing, BlobName, BlobStore

PIECE_BYTES: Final = 1 << 20
HELD_BYTES_MAX: Final = 8 * 1024 * 1024
"""A blob up to this is held while it is copied; a longer one is read twice, first for its hash."""
OBJECT_BYTES_MAX: Final = 64 * 1024 * 1024
"""What is read as a whole: segments, inventories, notes. Blobs are read in pieces."""


class Room(StrEnum):
    """Where something lies at a target."""

    OBJECTS = "objects"
    """Copies of blobs, segments of dumps, and the lists of them."""
    MANIFESTS = "manifests"
    TOMBSTONES = "tombstones"
    LEFT = "left"
    """What is left of what was erased, as auth told it: certificates. Tombstones name it."""
    KEYS = "keys"
    """Key backups, with manifests of their own: emptied after 28 days."""
    DRILLS = "drills"
    """What drills found, signed by their own key."""


@dataclass(frozen=True)
class Named:
    """An object as others name it."""

    sha256: str
    bytes: int

    @property
    def address(self) -> BlobName:
        return address(self.sha256)


def address(hex_digest: str) -> BlobName:
    """What an object is called at a target."""
    return BlobName(hex_digest[: 2 * NAME_BYTES])


def named(content: bytes) -> Named:
    """How that content is named."""
    return Named(sha256(content).hexdigest(), len(content))


class Repository:
    """One target's rooms. A store that is away raises as its port says."""

    def __init__(self, name: str, rooms: dict[Room, BlobStore]) -> None:
        self.name = name
        self._rooms = rooms

    def room(self, room: Room) -> BlobStore:
        """The store of that room."""
        return self._rooms[room]

    async def put(self, room: Room, content: bytes) -> Named:
        """Durable when it returns; if it was there already, nothing is written."""
        found = named(content)
        with suppress(BlobExists):
            await self._rooms[room].put(found.address, in_pieces(content))
        return found

    async def get(self, room: Room, wanted: Named) -> bytes:
        """The object, whole. Raises Damaged."""
        if wanted.bytes > OBJECT_BYTES_MAX:
            raise Damaged(f"{room}/{wanted.address}")
        content = await self.get_by_name(room, wanted.address)
        if named(content) != wanted:
            raise Damaged(f"{room}/{wanted.address}")
        return content

    async def get_by_name(self, room: Room, name: BlobName) -> bytes:
        """What lies under that name, if it is what the name says. Raises Damaged."""
        try:
            content = await self._rooms[room].read(name, 0, OBJECT_BYTES_MAX)
        except BlobMissing:
            raise Damaged(f"{room}/{name}") from None
        if address(sha256(content).hexdigest()) != name:
            raise Damaged(f"{room}/{name}")
        return content

    async def check(self, room: Room, wanted: Named) -> None:
        """Reads it all, in pieces. Raises Damaged."""
        digest, count = sha256(), 0
        try:
            async for piece in self._rooms[room].stream(wanted.address, 0, wanted.bytes + 1):
                digest.update(piece)
                count += len(piece)
        except BlobMissing:
            raise Damaged(f"{room}/{wanted.address}") from None
        if (digest.hexdigest(), count) != (wanted.sha256, wanted.bytes):
            raise Damaged(f"{room}/{wanted.address}")

    async def size(self, room: Room, wanted: Named) -> int | None:
        """Of what lies there under its name, whole or not; None if nothing does."""
        try:
            return await self._rooms[room].size(wanted.address)
        except BlobMissing:
            return None

    async def entries(self, room: Room) -> AsyncIterator[BlobEntry]:
        """Everything in a room, by name."""
        after = ""
        while page := await self._rooms[room].entries(after=after):
            for entry in page:
                yield entry
            after = page[-1].name


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """As a store takes it."""
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
