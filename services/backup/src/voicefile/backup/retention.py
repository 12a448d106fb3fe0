"""How long what is kept: all of a day, the last of each of so many days, weeks and months.

Manifests first, then what no manifest that is left names, and copies of what was erased, whatever
names them: the signed list of tombstones says why they are gone. Key backups by their age alone:
28 days is a promise to those who were erased, and is kept whether or not a new one could be taken.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from voicefile.backup.errors import BackupError
from voicefile.backup.manifest import (
    Contents,
    Found,
    KeyBackup,
    contents_of,
    copies_in,
    key_backup,
)
from voicefile.backup.repository import Repository, Room
from voicefile.backup.settings import DAY_S, BackupSettings
from voicefile.blobstore.port import BlobName, BlobStoreError
from voicefile.translog.note import VerifierKey

log = structlog.get_logger(__name__)
Moment = Callable[[dt.datetime], object]
UNNAMED_S = DAY_S
"""What nothing names may be part of a backup under way; a day later it is not."""


def to_keep(found: Sequence[Found], settings: BackupSettings, *, now_s: float) -> list[Found]:
    """Of these manifests, oldest first, those that stay."""
    kept = {each.manifest.n for each in found if now_s - each.manifest.taken_at_s < DAY_S}
    today = _moment(now_s).date()
    for days, bucket in (
        (settings.days, lambda at: at.date()),
        (settings.weeks * 7, lambda at: at.isocalendar()[:2]),
        (settings.months * 31, lambda at: (at.year, at.month)),
    ):
        kept |= _last_of_each(found, bucket, since=today - dt.timedelta(days=days - 1))
    newest = {each.manifest.n for each in found[-1:]}
    return [each for each in found if each.manifest.n in kept | newest]


def _last_of_each(found: Sequence[Found], bucket: Moment, *, since: dt.date) -> set[int]:
    last: dict[object, int] = {}
    for each in found:
        at = _moment(each.manifest.taken_at_s)
        if at.date() >= since:
            last[bucket(at)] = each.manifest.n
    return set(last.values())


def _moment(at_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, dt.UTC)


async def forget_keys(
    repository: Repository, key: VerifierKey, *, older_than_s: float, now_s: float
) -> int:
    """Key backups that are too old, and what no key backup names; answers how many objects."""
    room = repository.room(Room.KEYS)
    live: set[str] = set()
    notes: set[str] = set()
    unnamed: dict[BlobName, float] = {}
    async for entry in repository.entries(Room.KEYS):
        unnamed[entry.name] = entry.stored_at_s
    for name in list(unnamed):
        backup = await _key_backup(repository, name, key)
        if backup is not None:
            notes.add(name)
        if backup is not None and now_s - backup.taken_at_s < older_than_s:
            live |= {name, *(each.object.named.address for each in backup.dump.segments)}
        elif backup is not None:
            unnamed[name] = 0.0
            # Its segments go with it, however young their files may be.
            unnamed |= {each.object.named.address: 0.0 for each in backup.dump.segments}
    gone = 0
    # Notes first: one that outlives its segments, after a crash in between, would be damage.
    for name, stored_at_s in sorted(unnamed.items(), key=lambda each: each[0] not in notes):
        if name not in live and now_s - stored_at_s >= min(UNNAMED_S, older_than_s):
            await room.delete(name)
            gone += 1
    return gone


async def _key_backup(repository: Repository, name: BlobName, key: VerifierKey) -> KeyBackup | None:
    """The manifest under that name; None for a segment, and for what can't be believed."""
    try:
        return await key_backup(repository, name, key)
    except BackupError:
        return None  # what it is, `verify` says


@dataclass
class _Named:
    """Objects that manifests name."""

    live: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    """Copies of nothing but what was erased."""


async def forget_backups(
    repository: Repository,
    found: Sequence[Found],
    kept: Sequence[Found],
    *,
    erased: frozenset[str],
    now_s: float,
) -> int:
    """Manifests that are not kept, then what only they named, and copies of the blobs `erased`.

    Answers how many objects went. What the target keeps under a lock of its own stays, and is
    tried again with the next backup.
    """
    staying = {each.note.sha256 for each in kept}
    locked = 0
    for each in found:
        if each.note.sha256 not in staying:
            if await _went(repository, Room.MANIFESTS, each.note.named.address):
                continue
            locked += 1
            # It is still there, so what it names has to be there, too.
            kept = [*kept, each]
    named, gone = await _named_by(repository, kept, erased), 0
    async for entry in repository.entries(Room.OBJECTS):
        old = now_s - entry.stored_at_s >= UNNAMED_S
        if entry.name in named.erased or (old and entry.name not in named.live):
            went = await _went(repository, Room.OBJECTS, entry.name)
            gone, locked = gone + went, locked + (not went)
    if locked:
        log.info("kept_by_target", count=locked)
    return gone


async def _went(repository: Repository, room: Room, name: BlobName) -> bool:
    """Deletes it; False if the target refuses that. Raises what its store raises that is away."""
    store = repository.room(room)
    try:
        await store.delete(name)
    except (BlobStoreError, OSError):
        await store.entries(limit=1)
        return False
    return True


async def _named_by(
    repository: Repository, kept: Sequence[Found], erased: frozenset[str]
) -> _Named:
    """Raises Damaged rather than to take what can't be read for empty."""
    named = _Named()
    read: set[str] = set()
    for each in kept:
        named.live.add(each.manifest.contents.named.address)
        contents: Contents = await contents_of(repository, each.manifest)
        for dump in contents.dumps:
            named.live |= {segment.object.named.address for segment in dump.segments}
        for inventory in contents.inventories:
            if inventory.object.sha256 in read:
                continue
            read.add(inventory.object.sha256)
            named.live.add(inventory.object.named.address)
            for copy in await copies_in(repository, inventory):
                of = named.erased if copy.blob in erased else named.live
                of.add(copy.named.address)
    named.erased -= named.live
    return named
