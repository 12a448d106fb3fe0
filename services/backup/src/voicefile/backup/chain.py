"""A chain of signed notes at a target: the next one is written down here before it is put there.

So a crash in between puts the very same note again. Made anew it would be another with the same
number, and two with one number are what `verify` calls a fork.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from voicefile.backup.errors import Damaged
from voicefile.backup.manifest import Link
from voicefile.backup.repository import Named, Repository, Room, named
from voicefile.backup.store import CHAINS, at
from voicefile.blobstore.port import BlobMissing
from voicefile.docstore.port import DocStore, Document

NONE: Final = Link(0, "")


@dataclass(frozen=True)
class Note:
    """A note that was put: its number and how it is named."""

    n: int
    named: Named

    @property
    def link(self) -> Link:
        return Link(self.n, self.named.sha256)


class Chain:
    """One list of one target, in the instance that leads."""

    def __init__(self, docs: DocStore, repository: Repository, room: Room) -> None:
        self._docs = docs
        self._repository = repository
        self._room = room
        self._id = at(repository.name, room)
        self._turn = asyncio.Lock()

    async def head(self) -> Note | None:
        """The last note, at the target when this returns; None if there is none."""
        async with self._turn:
            return await self._head()

    async def _head(self) -> Note | None:
        stored = await self._docs.get(CHAINS, self._id)
        if stored is None:
            return None
        note = stored.body["note"]
        assert isinstance(note, bytes), "as written"
        if not stored.body["put"]:
            await self._repository.put(self._room, note)
            await self._docs.replace(CHAINS, replace(stored, body={**stored.body, "put": True}))
        return Note(_number(stored.body["n"]), named(note))

    async def require_target(self) -> None:
        """That our last note is still where it was put. Raises Damaged: it is another target."""
        head = await self.head()
        if head is None:
            return
        try:
            await self._repository.room(self._room).size(head.named.address)
        except BlobMissing:
            raise Damaged(f"{self._room}/{head.named.address}") from None

    async def append(self, n: int, note: bytes) -> Note:
        """Durable at the target when it returns."""
        body = {"n": n, "note": note, "put": False}
        async with self._turn:
            stored = await self._docs.get(CHAINS, self._id)
            if stored is None:
                await self._docs.insert(CHAINS, Document(self._id, "", body))
            else:
                await self._docs.replace(CHAINS, replace(stored, body=body))
            found = await self._head()
        assert found is not None, "just written"
        return found

    async def go_on_from(self, n: int, note: bytes | None) -> None:
        """Where the list ends at the target: goes on from there if that is further than we know.

        Our own store may be new, or lost, or set back. Raises Damaged if the target does not have
        what we have put there: it is another one, or one that was set back.
        """
        async with self._turn:
            head, stored = await self._head(), await self._docs.get(CHAINS, self._id)
            if head is not None and (n < head.n or (n == head.n and note != _note(stored))):
                raise Damaged(f"{self._room}/{head.named.address}")
            if note is None or (head is not None and n == head.n):
                return
            body = {"n": n, "note": note, "put": True}
            if stored is None:
                await self._docs.insert(CHAINS, Document(self._id, "", body))
            else:
                await self._docs.replace(CHAINS, replace(stored, body=body))


def _note(stored: Document | None) -> object:
    return None if stored is None else stored.body["note"]


def _number(value: object) -> int:
    assert isinstance(value, int), "a stored number"
    return value
