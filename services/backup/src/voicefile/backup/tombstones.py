"""The list of what was erased, at a target: signed, chained, never shortened.

Random ids and times only. A note is put for what came in since the last one; a restore applies
the whole list, whatever it restores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from voicefile.backup.chain import NONE, Chain
from voicefile.backup.errors import ManifestInvalid
from voicefile.backup.manifest import (
    FORMAT,
    Grave,
    Left,
    Link,
    Object,
    Tombstones,
    left_of,
    opened,
    signed,
)
from voicefile.backup.repository import Repository, Room, named
from voicefile.backup.signing import Signer
from voicefile.backup.store import GRAVES
from voicefile.docstore.port import DocStore, Document, VersionConflict
from voicefile.translog.note import VerifierKey

NOTE_GRAVES: Final = 500
"""In one note; more come in more of them."""


@dataclass(frozen=True)
class GraveList:
    """A target's whole list, as far as it is unbroken."""

    head: Link
    graves: Sequence[Grave]
    left: Sequence[tuple[int, Object]] = ()
    """When the last of a note was erased, and what is left of those on it."""

    def ids(self, what: str) -> frozenset[str]:
        """The ids of one kind."""
        return frozenset(grave.id for grave in self.graves if grave.what == what)

    @property
    def blobs(self) -> frozenset[str]:
        """The blobs of recordings that were erased, by their names in the vault."""
        return blobs_of(self.graves)


def blobs_of(graves: Iterable[Grave]) -> frozenset[str]:
    """What the recordings in these graves had."""
    return frozenset(blob for grave in graves for blob in grave.blobs)


class Graveyard:
    """Puts what waits on the list of one target."""

    def __init__(
        self, docs: DocStore, repository: Repository, signer: Signer, *, deployment: str
    ) -> None:
        self._docs = docs
        self._repository = repository
        self._signer = signer
        self._deployment = deployment
        self.chain = Chain(docs, repository, Room.TOMBSTONES)

    async def begin(self) -> None:
        """Goes on where the target's list ends. Raises Damaged if it is shorter than we know."""
        await self.chain.head()
        notes = await read_notes(self._repository, self._signer.public)
        await self.chain.go_on_from(notes[-1].n if notes else 0, notes[-1].note if notes else None)

    async def put(self) -> int:
        """Puts one note; answers how many graves it names."""
        waiting = await self._docs.find(GRAVES, "waiting", self._repository.name, limit=NOTE_GRAVES)
        if not waiting:
            return 0
        left = [found for found in map(_left, waiting) if found.content]
        named = None
        if left:
            # Before the note that names it; a crash in between leaves an object that nothing names.
            named = Object.of(await self._repository.put(Room.LEFT, left_of(left)))
        head = await self.link()
        note = Tombstones(
            FORMAT,
            self._deployment,
            self._repository.name,
            head.n + 1,
            head.sha256,
            [_grave(document) for document in waiting],
            named,
        )
        await self.chain.append(note.n, signed(note, self._signer))
        for document in waiting:
            # At the target first: were it forgotten here before, nobody would put it again.
            await self._listed(document)
        return len(waiting)

    async def link(self) -> Link:
        """Where the list ends now."""
        head = await self.chain.head()
        return NONE if head is None else head.link

    async def oldest_s(self) -> int | None:
        """When the oldest was erased that waits; None if none does."""
        waiting = await self._docs.find(GRAVES, "waiting", self._repository.name, limit=1)
        return _grave(waiting[0]).at_s if waiting else None

    async def _listed(self, document: Document) -> None:
        body = {**document.body, "left": b"", "waiting": None}
        try:
            await self._docs.replace(GRAVES, replace(document, body=body))
        except VersionConflict:
            return  # another instance was quicker


@dataclass(frozen=True)
class ReadNote:
    """A note of the list, its signature checked."""

    n: int
    note: bytes
    tombstones: Tombstones


async def read_notes(repository: Repository, key: VerifierKey) -> list[ReadNote]:
    """All notes of a target, in their order. Raises ManifestInvalid, Damaged."""
    found = []
    async for entry in repository.entries(Room.TOMBSTONES):
        raw = await repository.get_by_name(Room.TOMBSTONES, entry.name)
        where = f"{Room.TOMBSTONES}/{entry.name}"
        note = opened(raw, Tombstones, key, where=where)
        found.append(ReadNote(note.n, raw, note))
    return sorted(found, key=lambda each: each.n)


async def read_graves(repository: Repository, key: VerifierKey) -> GraveList:
    """The list, from its first note to its last. Raises ManifestInvalid where a link is missing."""
    head, graves, left = NONE, list[Grave](), list[tuple[int, Object]]()
    for each in await read_notes(repository, key):
        name = Object.of(named(each.note))
        if each.n != head.n + 1 or each.tombstones.previous != head.sha256:
            raise ManifestInvalid(f"{Room.TOMBSTONES}/{name.named.address}")
        graves += each.tombstones.graves
        if each.tombstones.left is not None:
            at_s = max(grave.at_s for grave in each.tombstones.graves)
            left.append((at_s, each.tombstones.left))
        head = Link(each.n, name.sha256)
    return GraveList(head, graves, left)


def _grave(document: Document) -> Grave:
    body = document.body
    at_s, blobs = body["at_s"], body.get("blobs", [])
    assert isinstance(at_s, int), "a stored time"
    assert isinstance(blobs, list), "stored names"
    return Grave(str(body["what"]), str(body["id"]), at_s, [str(blob) for blob in blobs])


def _left(document: Document) -> Left:
    body = document.body
    content = body.get("left", b"")
    assert isinstance(content, bytes), "as written"
    return Left(str(body["what"]), str(body["id"]), content)
