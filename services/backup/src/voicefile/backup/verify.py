"""Verify: whether a repository is what backup has put there, by its public key alone.

Everything is read as ciphertext. What was edited, dropped, swapped, forked or rolled back is
found and named. That a whole target was set back to an earlier day, all of it consistently, only
those can tell who remember: so the newest heads of the last look are compared, if they are given.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

from msgspec import Struct

from voicefile.backup.chain import NONE
from voicefile.backup.changes import out_of_order
from voicefile.backup.errors import BackupError, Damaged, ManifestInvalid
from voicefile.backup.manifest import (
    Contents,
    Copied,
    Found,
    Grave,
    Inventory,
    KeyBackup,
    Link,
    Manifest,
    Object,
    Tombstones,
    contents_of,
    copies_in,
    is_note,
    opened,
)
from voicefile.backup.repository import Named, Repository, Room, address, named
from voicefile.backup.tombstones import blobs_of
from voicefile.blobstore.port import BlobEntry, BlobMissing, BlobName
from voicefile.crypto.envelope import MAGIC
from voicefile.dumps.frames import looks_sealed
from voicefile.translog.note import VerifierKey

PLAIN: Final = "not sealed"
MISSING: Final = "missing or damaged"
_HEAD_BYTES: Final = 8
T = TypeVar("T", Manifest, Tombstones, KeyBackup)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and where."""

    what: str
    where: str
    """Room and name: where to look."""

    def __str__(self) -> str:
        return f"{self.what}: {self.where}"


class Remembered(Struct, frozen=True):
    """The newest heads of a look: what a later look has to find again."""

    manifest: Link = NONE
    tombstones: Link = NONE


@dataclass
class Verdict:
    """What a look at a repository found."""

    findings: list[Finding] = field(default_factory=list)
    manifests: int = 0
    objects: int = 0
    bytes: int = 0
    erased: int = 0
    """Copies that are gone because their recordings were erased: the signed list names them."""
    remember: Remembered = field(default_factory=Remembered)
    newest: Manifest | None = None
    unnamed: list[str] = field(default_factory=list)
    """Objects that no manifest names: of a backup under way, of one that was killed, or put there
    by somebody else. They do no harm, and go after a day."""

    @property
    def sound(self) -> bool:
        return not self.findings


async def verify(
    repository: Repository,
    key: VerifierKey,
    *,
    remembered: Remembered = Remembered(),
    now_s: float | None = None,
) -> Verdict:
    """Looks at all of it. Raises what the target's store raises when it is away."""
    looking = _Looking(repository, key, time.time() if now_s is None else now_s)
    found = await looking.manifests()
    graves = await looking.tombstones()
    looking.chained(found)
    looking.remembered(found, graves, remembered)
    for each in found:
        await looking.contents(each, graves)
    await looking.keys(found)
    await looking.drills()
    await looking.missed()
    await looking.unnamed()
    return looking.verdict


class _Looking:
    def __init__(self, repository: Repository, key: VerifierKey, now_s: float) -> None:
        self._repository = repository
        self._key = key
        self._now_s = now_s
        self._named: dict[Room, set[str]] = {room: set() for room in Room}
        self._checked: set[tuple[Room, str, int]] = set()
        self._missing: list[Copied] = []
        self.verdict = Verdict()

    async def manifests(self) -> list[Found]:
        found = []
        async for entry in self._repository.entries(Room.MANIFESTS):
            note = await self._note(Room.MANIFESTS, entry.name, Manifest)
            if note is not None:
                found.append(Found(note[0], note[1]))
        self.verdict.manifests = len(found)
        return sorted(found, key=lambda each: each.manifest.n)

    async def tombstones(self) -> dict[int, Link]:
        """Each note's link by its number."""
        notes = []
        async for entry in self._repository.entries(Room.TOMBSTONES):
            found = await self._note(Room.TOMBSTONES, entry.name, Tombstones)
            if found is not None:
                notes.append(found)
        links: dict[int, Link] = {}
        before = NONE
        there = {note.sha256 for _, note in notes}
        for tombstones, note in sorted(notes, key=lambda each: each[0].n):
            where = f"{Room.TOMBSTONES}/{note.named.address}"
            if tombstones.previous not in there | {""}:
                self._find("missing", f"{Room.TOMBSTONES}/{address(tombstones.previous)}")
            elif tombstones.n != before.n + 1 or tombstones.previous != before.sha256:
                self._find("does not follow the one before", where)
            before = links[tombstones.n] = Link(tombstones.n, note.sha256)
            if tombstones.left is not None:
                await self._object(Room.LEFT, tombstones.left.named)
        return links

    def chained(self, found: list[Found]) -> None:
        """That every manifest follows the one before, and that all that should be there are."""
        by_n: dict[int, Found] = {}
        for each in found:
            where = f"{Room.MANIFESTS}/{each.note.named.address}"
            if each.manifest.n in by_n:
                self._find("two manifests of one number", where)
            before = by_n.get(each.manifest.n - 1)
            if before is not None and before.note.sha256 != each.manifest.previous:
                self._find("does not follow the one before", where)
            by_n[each.manifest.n] = each
        if not found:
            return
        self.verdict.newest = found[-1].manifest
        there = {each.note.sha256 for each in found}
        # The newest one says which should be there; of those between it may have given up some.
        for kept in found[-1].manifest.kept:
            if kept.note.sha256 not in there:
                self._find("missing", f"{Room.MANIFESTS}/{kept.note.named.address}")
        known = {each.note.sha256 for each in found[-1].manifest.kept}
        for each in found[:-1]:
            if each.note.sha256 not in known:
                self.verdict.unnamed.append(f"{Room.MANIFESTS}/{each.note.named.address}")

    def remembered(
        self, found: list[Found], graves: dict[int, Link], remembered: Remembered
    ) -> None:
        newest = Link(found[-1].manifest.n, found[-1].note.sha256) if found else NONE
        list_end = max(graves.values(), key=lambda link: link.n, default=NONE)
        self._same_or_later(Room.MANIFESTS, remembered.manifest, newest, _links(found))
        self._same_or_later(Room.TOMBSTONES, remembered.tombstones, list_end, graves.values())
        self.verdict.remember = Remembered(newest, list_end)

    def _same_or_later(self, room: Room, known: Link, now: Link, links: Iterable[Link]) -> None:
        if now.n < known.n:
            self._find("set back to before", f"{room}/{known.sha256[:32]}")
        elif any(link.n == known.n and link.sha256 != known.sha256 for link in links):
            self._find("another than before", f"{room}/{known.sha256[:32]}")

    async def contents(self, found: Found, graves: dict[int, Link]) -> None:
        manifest = found.manifest
        where = f"{Room.MANIFESTS}/{found.note.named.address}"
        head = manifest.tombstones
        if head.n and graves.get(head.n) != head:
            self._find("tombstones are missing that it knows of", where)
        contents = await self._contents(manifest)
        if contents is None:
            return
        self._in_order(contents)
        for dump in contents.dumps:
            for segment in dump.segments:
                await self._object(Room.OBJECTS, segment.object.named, sealed=True)
        for inventory in contents.inventories:
            await self._inventory(inventory)

    def _in_order(self, contents: Contents) -> None:
        """That every dump of changes follows the dump whose changes it holds."""
        for dump in out_of_order(contents.dumps):
            first = dump.segments[0].object if dump.segments else Object("", 0)
            self._find("does not follow the dump before", f"{Room.OBJECTS}/{first.named.address}")

    async def _contents(self, manifest: Manifest) -> Contents | None:
        self._named[Room.OBJECTS].add(manifest.contents.named.address)
        try:
            return await contents_of(self._repository, manifest)
        except (Damaged, ManifestInvalid) as damaged:
            self._find(MISSING, str(damaged))
            return None

    async def _inventory(self, inventory: Inventory) -> None:
        name = inventory.object.named
        if (Room.OBJECTS, name.sha256, name.bytes) in self._checked:
            return
        self._checked.add((Room.OBJECTS, name.sha256, name.bytes))
        self._named[Room.OBJECTS].add(name.address)
        try:
            copies = await copies_in(self._repository, inventory)
        except BackupError as damaged:
            self._find(MISSING, str(damaged))
            return
        for copy in copies:
            await self._object(Room.OBJECTS, copy.named, copy=copy)

    async def missed(self) -> None:
        """Copies that were not found: erased by the list as it is now, or missing."""
        erased = await self._erased() if self._missing else frozenset()
        for copy in self._missing:
            if copy.blob in erased:
                self.verdict.erased += 1
            else:
                self._find(MISSING, f"{Room.OBJECTS}/{copy.named.address}")

    async def _erased(self) -> frozenset[str]:
        """Read anew: while all that was looked at, something may have been erased."""
        graves: list[Grave] = []
        async for entry in self._repository.entries(Room.TOMBSTONES):
            found = await self._note(Room.TOMBSTONES, entry.name, Tombstones, again=True)
            if found is not None:
                graves += found[0].graves
        return blobs_of(graves)

    async def keys(self, found: list[Found]) -> None:
        there = await self._key_backups()
        named_keys = set()
        for each in found:
            keys = each.manifest.keys
            if keys is None:
                continue
            named_keys.add(keys.sha256)
            if self._now_s < each.manifest.keys_until_s and keys.sha256 not in there:
                self._find(MISSING, f"{Room.KEYS}/{keys.named.address}")
        newest_n = found[-1].manifest.n if found else 0
        numbers = {each.manifest.n for each in found}
        for note, backup in there.items():
            # One ahead is of a backup under way; further ahead, manifests were taken away.
            if backup.manifest > newest_n + 1:
                self._find("of a manifest that is gone", f"{Room.KEYS}/{address(note)}")
            elif note not in named_keys and backup.manifest in numbers:
                self.verdict.unnamed.append(f"{Room.KEYS}/{address(note)}")

    async def _key_backups(self) -> dict[str, KeyBackup]:
        """By the hash of their notes; their segments are looked at on the way."""
        there: dict[str, KeyBackup] = {}
        async for entry in self._repository.entries(Room.KEYS):
            if not await is_note(self._repository, Room.KEYS, entry.name):
                continue
            note = await self._note(Room.KEYS, entry.name, KeyBackup)
            if note is not None:
                there[note[1].sha256] = note[0]
        for backup in there.values():
            for segment in backup.dump.segments:
                await self._object(Room.KEYS, segment.object.named, sealed=True)
        return there

    async def drills(self) -> None:
        """That each report is what its name says; whose word it is, only the drill's key tells."""
        async for entry in self._repository.entries(Room.DRILLS):
            await self._itself(Room.DRILLS, entry)

    async def unnamed(self) -> None:
        """What nothing names is listed; what is not even what its own name says is damaged."""
        for room in (Room.OBJECTS, Room.KEYS, Room.LEFT):
            async for entry in self._repository.entries(room):
                if entry.name not in self._named[room]:
                    self.verdict.unnamed.append(f"{room}/{entry.name}")
                    await self._itself(room, entry)

    async def _itself(self, room: Room, entry: BlobEntry) -> None:
        digest = sha256()
        try:
            stream = self._repository.room(room).stream(entry.name, 0, entry.sealed_bytes)
            async for piece in stream:
                digest.update(piece)
        except BlobMissing:
            return  # Given up since it was listed.
        if address(digest.hexdigest()) != entry.name:
            self._find(MISSING, f"{room}/{entry.name}")

    async def _object(
        self, room: Room, wanted: Named, *, sealed: bool = False, copy: Copied | None = None
    ) -> None:
        if (room, wanted.sha256, wanted.bytes) in self._checked:
            return
        self._checked.add((room, wanted.sha256, wanted.bytes))
        self._named[room].add(wanted.address)
        try:
            await self._repository.check(room, wanted)
            head = await self._repository.room(room).read(wanted.address, 0, _HEAD_BYTES)
        except Damaged as damaged:
            if copy is not None and await self._repository.size(room, wanted) is None:
                self._missing.append(copy)
            else:
                self._find(MISSING, str(damaged))
            return
        self.verdict.objects += 1
        self.verdict.bytes += wanted.bytes
        if (sealed and not looks_sealed(head)) or (copy is not None and head[:4] != MAGIC):
            self._find(PLAIN, f"{room}/{wanted.address}")

    async def _note(
        self, room: Room, name: BlobName, kind: type[T], *, again: bool = False
    ) -> tuple[T, Object] | None:
        self._named[room].add(name)
        where = f"{room}/{name}"
        try:
            raw = await self._repository.get_by_name(room, name)
            return opened(raw, kind, self._key, where=where), Object.of(named(raw))
        except BackupError:
            if not again:
                self._find("not signed, or damaged", where)
            return None

    def _find(self, what: str, where: str) -> None:
        self.verdict.findings.append(Finding(what, where))


def _links(found: list[Found]) -> list[Link]:
    return [Link(each.manifest.n, each.note.sha256) for each in found]
