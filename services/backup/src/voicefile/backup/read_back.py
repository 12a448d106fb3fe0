"""Reading a repository back: the manifest of a time, its dumps opened, its blobs copied.

For who holds a recipient's secret half: a restore, or (of canaries alone) a drill. Backup itself
has no such key, and none of this runs in it.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from voicefile.backup.errors import (
    Damaged,
    KeyInvalid,
    ListTooOld,
    ManifestInvalid,
    NothingToRestore,
)
from voicefile.backup.layers import Layers, OpenedDump
from voicefile.backup.manifest import (
    Copied,
    Dump,
    Found,
    KeyBackup,
    Left,
    contents_of,
    copies_in,
    key_backup,
    left_in,
    manifests,
)
from voicefile.backup.repository import (
    HELD_BYTES_MAX,
    Named,
    Repository,
    Room,
    in_pieces,
)
from voicefile.backup.tombstones import GraveList, read_graves
from voicefile.blobstore.names import blob_name
from voicefile.blobstore.port import BlobExists, BlobMissing, BlobStore
from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.crypto.secret import SecretKey
from voicefile.dumps.recipient import unbox
from voicefile.translog.note import VerifierKey

LATEST: Final = 2**62


class Reading:
    """A repository and a recipient's key, for one restore."""

    def __init__(
        self, repository: Repository, key: VerifierKey, *, deployment: str, pair: SealingKeyPair
    ) -> None:
        self.repository = repository
        self._key = key
        self._deployment = deployment.encode()
        self._pair = pair

    async def manifest(self, *, at_s: float = LATEST) -> Found:
        """The newest one at or before that time. Raises NothingToRestore, ManifestInvalid."""
        found = await manifests(self.repository, self._key)
        due = [each for each in found if each.manifest.taken_at_s <= at_s]
        if not due:
            raise NothingToRestore
        return due[-1]

    async def noted(self, sha256: str) -> Found | None:
        """The manifest whose note has that hash; None if it was given up."""
        found = await manifests(self.repository, self._key)
        return next((each for each in found if each.note.sha256 == sha256), None)

    async def graves(self) -> GraveList:
        """The newest list of what was erased. Raises ListTooOld, ManifestInvalid.

        At least as new as any manifest and any key backup knows of: without that nothing may be
        served, for what was erased since would be there again.
        """
        graves = await read_graves(self.repository, self._key)
        for each in await manifests(self.repository, self._key):
            if each.manifest.tombstones.n > graves.head.n:
                raise ListTooOld
        return graves

    async def left(self, graves: GraveList, *, since_s: float) -> AsyncIterator[Left]:
        """What is left of what was erased since then: what went before, the dump itself knows.

        Nothing of it is believed yet. What is missing or damaged is left out.
        """
        for at_s, wanted in graves.left:
            if at_s < since_s:
                continue
            with suppress(Damaged, ManifestInvalid):
                for each in await left_in(self.repository, wanted):
                    yield each

    async def dump(self, found: Found, service: str) -> Layers:
        """A service's documents by that manifest. Raises KeyInvalid, NothingToRestore."""
        contents = await contents_of(self.repository, found.manifest)
        dumps = [each for each in contents.dumps if each.service == service]
        if not dumps:
            raise NothingToRestore
        return Layers([self._opened(each, Room.OBJECTS) for each in dumps])

    async def keys(self) -> OpenedDump:
        """The newest key backup: what it does not have any more is erased, or lost."""
        newest: KeyBackup | None = None
        async for entry in self.repository.entries(Room.KEYS):
            backup = await key_backup(self.repository, entry.name, self._key)
            if backup is None:
                continue
            # Two may be of the same second; their numbers tell.
            if newest is None or _age(backup) >= _age(newest):
                newest = backup
        if newest is None:
            raise NothingToRestore
        return self._opened(newest.dump, Room.KEYS)

    async def copies(self, found: Found) -> AsyncIterator[Copied]:
        """The blobs of that manifest."""
        contents = await contents_of(self.repository, found.manifest)
        for inventory in contents.inventories:
            for copy in await copies_in(self.repository, inventory):
                yield copy

    async def copy_to(self, blobs: BlobStore, copy: Copied) -> bool:
        """Puts one blob back under its own name, if it is not there. Raises Damaged."""
        name = blob_name(copy.blob)
        try:
            if await blobs.size(name) == copy.bytes:
                return False
            # Another length is another blob: nothing of ours leaves half of one.
            raise Damaged(f"blobs/{name}")
        except BlobMissing:
            pass
        try:
            await blobs.put(name, await self._checked(copy.named))
        except BlobExists:
            return False
        return True

    async def _checked(self, wanted: Named) -> AsyncIterator[bytes]:
        """The object's bytes, known to be whole. Raises Damaged."""
        if wanted.bytes <= HELD_BYTES_MAX:
            return in_pieces(await self.repository.get(Room.OBJECTS, wanted))
        await self.repository.check(Room.OBJECTS, wanted)
        return self.repository.room(Room.OBJECTS).stream(wanted.address, 0, wanted.bytes)

    def _opened(self, dump: Dump, room: Room) -> OpenedDump:
        return OpenedDump(
            self.repository, room, dump, self._dump_key(dump), deployment=self._deployment
        )

    def _dump_key(self, dump: Dump) -> SecretKey:
        for name, box in dump.boxes.items():
            try:
                return unbox(
                    base64.b64decode(box),
                    self._pair,
                    name=name,
                    deployment=self._deployment,
                    dump=dump.dump,
                )
            except Tampered:
                continue  # Another recipient's.
        raise KeyInvalid("the backup is not sealed to this recipient")


def _age(backup: KeyBackup) -> tuple[int, int]:
    return backup.taken_at_s, backup.manifest
