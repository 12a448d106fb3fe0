"""Copies of sealed blobs: each is read once, put under its content's name, and written down.

What ingest tells of is copied at once. What was never told (an event lost, a store restored, a new
target) is found by comparing names, without reading any blob again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from typing import Final

from voicefile.backup.errors import Damaged, Plaintext
from voicefile.backup.manifest import Copied
from voicefile.backup.repository import Named, Repository, Room
from voicefile.backup.store import COPIED, WANTED, at
from voicefile.blobstore.port import BlobExists, BlobMissing, BlobName, BlobStore
from voicefile.crypto.envelope import HEADER, MAGIC, Kind, sealed_sizes
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict

HELD_BYTES_MAX: Final = 8 * 1024 * 1024
"""A blob up to this is held while it is copied; a longer one is read twice, first for its name."""
PAGE: Final = 500
TOGETHER: Final = 4


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
        for document in found:
            # What is not sealed makes the next whole backup fail, which tells of it.
            with suppress(Plaintext):
                await self._copied(BlobName(str(document.body["blob"])))
            with suppress(VersionConflict):
                await self._docs.delete(WANTED, document)
        return len(found)

    async def missing(self) -> int:
        """Copies everything that has no copy; answers how many had none."""
        done = 0
        batch: list[BlobName] = []
        async for name in self._uncopied():
            batch.append(name)
            if len(batch) == TOGETHER:
                done += await self._together(batch)
                batch = []
        return done + await self._together(batch)

    async def of_run(self, n: int) -> AsyncIterator[Copied]:
        """What is listed first by that manifest."""
        after = ""
        run = self._run(n)
        while page := await self._docs.find(COPIED, "run", run, after=after, limit=PAGE):
            for document in page:
                blob = document.id.rpartition(":")[2]
                yield Copied(blob, str(document.body["sha256"]), _number(document.body["bytes"]))
            after = page[-1].id

    async def _together(self, names: list[BlobName]) -> int:
        async with asyncio.TaskGroup() as tasks:
            copies = [tasks.create_task(self._copied(name)) for name in names]
        return sum(copy.result() for copy in copies)

    async def _copied(self, blob: BlobName) -> bool:
        """Whether it had to be copied. Raises Plaintext."""
        if await self._docs.get(COPIED, at(self._repository.name, blob)) is not None:
            return False
        try:
            found = await self._put(blob)
        except BlobMissing:
            return False  # Erased, or given up, since it was told of.
        async with self.turn:
            body = {"sha256": found.sha256, "bytes": found.bytes, "run": self._run(self.next_n)}
            with suppress(DocumentExists):
                await self._docs.insert(COPIED, Document(at(self._repository.name, blob), "", body))
        self.copied_bytes += found.bytes
        return True

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
