"""Manifests: what a backup consists of, signed, and each with the hash of the one before.

A manifest is a small signed note; what it holds in detail stands in an object that it names. It
lists the earlier ones that are still kept, so that one that was taken away is missed, and one that
was given up in time is not. A key backup has a manifest of its own, in its own room.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from voicefile.backup.errors import ManifestInvalid
from voicefile.backup.repository import Named, Repository, Room, named
from voicefile.backup.signing import Signer
from voicefile.blobstore.port import BlobName
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey, open_note

FORMAT: Final = 1
_NOTE: Final = b"{"
T = TypeVar("T", bound=Struct)


class Object(Struct, frozen=True):
    """An object, by its whole hash."""

    sha256: str
    bytes: int

    @property
    def named(self) -> Named:
        return Named(self.sha256, self.bytes)

    @classmethod
    def of(cls, found: Named) -> "Object":
        return cls(found.sha256, found.bytes)


class Segment(Struct, frozen=True):
    """A segment of a dump, in its place."""

    kind: str
    items: int
    object: Object


class Dump(Struct, frozen=True):
    """A service's documents at a time, or those that had changed since the dump before."""

    service: str
    dump: str
    boxes: dict[str, str]
    """The dump's key for each recipient, in base64."""
    segments: list[Segment]
    documents: dict[str, int]
    """By tenant."""
    recordings: dict[str, int]
    left_out: int = 0
    since: str = ""
    """The mark of the dump whose changes it holds; empty: it holds all there was."""
    mark: str = ""
    """What changes after it are asked for with."""
    begun_at_s: int = 0


class Inventory(Struct, frozen=True):
    """A list of blobs that were copied: an object of its own, named again while it holds."""

    object: Object
    blobs: int
    blob_bytes: int


class Contents(Struct, frozen=True):
    """What a manifest is about."""

    dumps: list[Dump]
    """Of each service one of all there was, and behind it, oldest first, those of changes."""
    inventories: list[Inventory]


class Kept(Struct, frozen=True):
    """An earlier manifest that is still there."""

    n: int
    note: Object


class Link(Struct, frozen=True):
    """The head of a list: how long it is, and the hash of its last note."""

    n: int
    sha256: str


class Manifest(Struct, frozen=True):
    """One backup. Its note's text is this as JSON, in one line."""

    format: int
    deployment: str
    target: str
    n: int
    """From 1, without a gap, at each target."""
    previous: str
    """SHA-256 of the note before; empty in the first."""
    kept: list[Kept]
    taken_at_s: int
    """When it was begun: nothing later is in it for certain."""
    contents: Object
    counts: dict[str, int]
    """Recordings by tenant that its dumps hold; in each dump anew what had changed by then."""
    checkpoint: str
    """The platform log's, as audit had signed it."""
    tombstones: Link
    keys: Object | None = None
    """The note of the key backup that was taken with it."""
    keys_until_s: int = 0
    """How long that is kept."""


class KeyBackup(Struct, frozen=True):
    """The manifest of one key backup."""

    format: int
    deployment: str
    target: str
    manifest: int
    """The number of the manifest that it was taken with."""
    taken_at_s: int
    dump: Dump


class Grave(Struct, frozen=True, omit_defaults=True):
    """That something was erased: a random id and a time."""

    what: str
    """recording, access, tenant."""
    id: str
    at_s: int
    blobs: list[str] = []
    """Of a recording: what it had. Copies of these may be gone, and are not missed."""


class Tombstones(Struct, frozen=True):
    """One note of the list of what was erased."""

    format: int
    deployment: str
    target: str
    n: int
    previous: str
    graves: list[Grave]
    left: Object | None = None
    """What is left of them, in the room of that name."""


class Left(Struct, frozen=True, array_like=True):
    """What auth keeps of something that was erased. Believed by auth's own MAC alone."""

    what: str
    id: str
    content: bytes


_LEFT: Final = msgspec.msgpack.Decoder(list[Left])


def left_of(buried: Sequence[Left]) -> bytes:
    """What one note's graves have left, as an object."""
    return msgspec.msgpack.encode(list(buried))


async def left_in(repository: Repository, wanted: Object) -> list[Left]:
    """What that object holds. Raises Damaged, ManifestInvalid."""
    raw = await repository.get(Room.LEFT, wanted.named)
    try:
        return _LEFT.decode(raw)
    except msgspec.MsgspecError:
        raise ManifestInvalid(f"{Room.LEFT}/{wanted.named.address}") from None


def signed(record: Struct, signer: Signer) -> bytes:
    """The record as a signed note."""
    return signer.sign(msgspec.json.encode(record).decode() + "\n").encode()


def opened(note: bytes, kind: type[T], key: VerifierKey, *, where: str) -> T:
    """The record in a note that this key signed. Raises ManifestInvalid, which says `where`."""
    try:
        record = msgspec.json.decode(open_note(note.decode(), key), type=kind)
    except (NoteInvalid, UnicodeDecodeError, msgspec.MsgspecError):
        raise ManifestInvalid(where) from None
    if getattr(record, "format", None) != FORMAT:
        raise ManifestInvalid(where)
    return record


class Found(Struct, frozen=True):
    """A manifest that was read, and how its note is named."""

    manifest: Manifest
    note: Object


async def manifests(repository: Repository, key: VerifierKey) -> list[Found]:
    """All of a target's, oldest first, each under its signature. Raises ManifestInvalid, Damaged.

    That none is missing is for `verify` to say.
    """
    found = []
    async for entry in repository.entries(Room.MANIFESTS):
        note = await repository.get_by_name(Room.MANIFESTS, entry.name)
        where = f"{Room.MANIFESTS}/{entry.name}"
        found.append(Found(opened(note, Manifest, key, where=where), Object.of(named(note))))
    return sorted(found, key=lambda each: each.manifest.n)


async def key_backup(repository: Repository, name: BlobName, key: VerifierKey) -> KeyBackup | None:
    """The manifest under that name in the room of keys; None for a segment.

    Raises Damaged, ManifestInvalid.
    """
    if not await is_note(repository, Room.KEYS, name):
        return None
    note = await repository.get_by_name(Room.KEYS, name)
    return opened(note, KeyBackup, key, where=f"{Room.KEYS}/{name}")


async def is_note(repository: Repository, room: Room, name: BlobName) -> bool:
    """Whether it begins as a note does, and not as what is sealed."""
    return await repository.room(room).read(name, 0, len(_NOTE)) == _NOTE


async def contents_of(repository: Repository, manifest: Manifest) -> Contents:
    """What a manifest names. Raises Damaged, ManifestInvalid."""
    raw = await repository.get(Room.OBJECTS, manifest.contents.named)
    try:
        return msgspec.json.decode(raw, type=Contents)
    except msgspec.MsgspecError:
        raise ManifestInvalid(f"{Room.OBJECTS}/{manifest.contents.named.address}") from None


class Copied(Struct, frozen=True, array_like=True):
    """A blob that was copied: its name in the vault, and the object that its copy is."""

    blob: str
    sha256: str
    bytes: int

    @property
    def named(self) -> Named:
        return Named(self.sha256, self.bytes)


_COPIED: Final = msgspec.json.Decoder(list[Copied])


def inventory_of(copied: Sequence[Copied]) -> bytes:
    """A list of copies as an object."""
    return msgspec.json.encode(list(copied))


async def copies_in(repository: Repository, inventory: Inventory) -> list[Copied]:
    """The copies that an inventory lists. Raises Damaged, ManifestInvalid."""
    raw = await repository.get(Room.OBJECTS, inventory.object.named)
    try:
        return _COPIED.decode(raw)
    except msgspec.MsgspecError:
        raise ManifestInvalid(f"{Room.OBJECTS}/{inventory.object.named.address}") from None
