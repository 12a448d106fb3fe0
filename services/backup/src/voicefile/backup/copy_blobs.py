"""Copies of sealed blobs: each is read once, put under its content's name, and written down.

What ingest tells of is copied at once. What was never told (an event lost, a store restored, a new
target) is found by comparing names, without reading any blob again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

from voicefile.backup.errors import Damaged, Plaintext
from voicefile.backup.manifest import Copied
from voicefile.backup.repository import HELD_BYTES_MAX, Named, Repository, Room
from voicefile.backup.store import COPIED, WANTED, at
from voicefile.blobstore.port import BlobExists, BlobMissing, BlobName, BlobStore
from voicefile.crypto.envelope import HEADER, MAGIC, Kind, sealed_sizes
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict

PAGE: Final = 500
TOGETHER: Final = 8
"""At a time: waiting for the disk is most of what a copy costs."""
_Copy = Callable[[BlobName], Coroutine[None, None, Named | None]]


class Copying:
    """Copies from the vault's blob store to one target."""

    def __init__(self, docs: DocStore, source: BlobStore, repository: Repository) -> None:
        self._docs = docs
        self._source = source
        self._repository = repository
        self.turn = asyncio.Lock()
        """Held while a copy is written down, and while a manifest lists what was."""
        self.next_n = 1
        """The manifest that lists what is copied now."""
        self.copied_bytes = 0

    async def wanted(self) -> int:
        """Copies what was told of; answers how many were waiting."""
        found = await self._docs.find(WANTED, "target", self._repository.name, limit=PAGE)
        names = [BlobName(str(document.body["blob"])) for document in found]
        for start in range(0, len(names), TOGETHER):
            await self._together(names[start : start + TOGETHER], self._sealed)
        async with asyncio.TaskGroup() as tasks:
            for document in found:
                tasks.create_task(self._done(document))
        return len(found)

    async def missing(self) -> int:
        """Copies everything that has no copy; answers how many had none. Raises Plaintext."""
        done = 0
        batch: list[BlobName] = []
        async for name in self._uncopied():
            batch.append(name)
            if len(batch) == TOGETHER:
                done += await self._together(batch, self._copied)
                batch = []
        return done + await self._together(batch, self._copied)

    async def of_run(self, n: int) -> AsyncIterator[Copied]:
        """What is listed first by that manifest."""
        after = ""
        run = self._run(n)
        while page := await self._docs.find(COPIED, "run", run, after=after, limit=PAGE):
            for document in page:
                blob = document.id.rpartition(":")[2]
                yield Copied(blob, str(document.body["sha256"]), _number(document.body["bytes"]))
            after = page[-1].id

    async def _together(self, blobs: Sequence[BlobName], copy: _Copy) -> int:
        """Writes down in one go what was put; answers how many that were."""
        async with asyncio.TaskGroup() as tasks:
            copies = {blob: tasks.create_task(copy(blob)) for blob in blobs}
        found = {blob: put for blob, one in copies.items() if (put := one.result()) is not None}
        async with self.turn:
            run = self._run(self.next_n)
            documents = [
                Document(
                    at(self._repository.name, blob),
                    "",
                    {"sha256": put.sha256, "bytes": put.bytes, "run": run},
                )
                for blob, put in found.items()
            ]
            with suppress(DocumentExists):
                await self._docs.insert_many(COPIED, documents)
        self.copied_bytes += sum(put.bytes for put in found.values())
        return len(found)

    async def _sealed(self, blob: BlobName) -> Named | None:
        """As `_copied`. What is not sealed makes the next whole backup fail, which tells of it."""
        with suppress(Plaintext):
            return await self._copied(blob)
        return None

    async def _copied(self, blob: BlobName) -> Named | None:
        """Its copy; None if there was one, or there is no blob any more. Raises Plaintext."""
        if await self._docs.get(COPIED, at(self._repository.name, blob)) is not None:
            return None
        try:
            return await self._put(blob)
        except BlobMissing:
            return None  # Erased, or given up, since it was told of.

    async def _done(self, wanted: Document) -> None:
        with suppress(VersionConflict):
            await self._docs.delete(WANTED, wanted)

    async def _put(self, blob: BlobName) -> Named:
        size = await self._source.size(blob)
        if size <= HELD_BYTES_MAX:
            content = await self._source.read(blob, 0, size)
            _require_sealed(content[:HEADER], size)
            return await self._repository.put(Room.OBJECTS, content)
        _require_sealed(await self._source.read(blob, 0, HEADER), size)
        digest = sha256()
        async for piece in self._source.stream(blob, 0, size):
            digest.update(piece)
        found = Named(digest.hexdigest(), size)
        with suppress(BlobExists):
            again = self._same(blob, found)
            await self._repository.room(Room.OBJECTS).put(found.address, again)
        return found

    async def _same(self, blob: BlobName, found: Named) -> AsyncIterator[bytes]:
        digest = sha256()
        async for piece in self._source.stream(blob, 0, found.bytes):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != found.sha256:
            # Raised inside the put, which then leaves nothing.
            raise Damaged("a blob changed while it was copied")

    async def _uncopied(self) -> AsyncIterator[BlobName]:
        """Names in the vault without a copy: two ordered lists side by side."""
        copies = self._copies()
        copy = await anext(copies, None)
        after = ""
        while page := await self._source.entries(after=after, limit=PAGE):
            for entry in page:
                while copy is not None and copy < entry.name:
                    copy = await anext(copies, None)
                if copy != entry.name:
                    yield entry.name
            after = page[-1].name

    async def _copies(self) -> AsyncIterator[str]:
        prefix = at(self._repository.name, "")
        after = prefix
        while page := await self._docs.scan(COPIED, after=after, limit=PAGE):
            for document in page:
                if not document.id.startswith(prefix):
                    return
                yield document.id.removeprefix(prefix)
            after = page[-1].id

    def _run(self, n: int) -> str:
        return at(self._repository.name, str(n))


def _require_sealed(head: bytes, size: int) -> None:
    if head[:4] != MAGIC or size not in sealed_sizes(Kind.AUDIO):
        raise Plaintext


def _number(value: object) -> int:
    assert isinstance(value, int), "a stored number"
    return value
