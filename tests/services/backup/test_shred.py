"""What is erased stays erased: every key in existence, tried on every copy there is.

The attacker has copied everything but keys, day by day: all files of the vault with their logs and
free pages, blobs, the target. Keys they have as they are *now*: the root's, in the vault and in
every vault restored from it, and key backups, with the secret halves of the recipients. Whatever
opens has lost: the sound, the customer's name, the record in any dump.
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from tests.journeys.leak_scan import cells_of
from tests.services.backup.house import House, heard, house_in

from voicefile.auth.dumping.back_up_keys import EPOCHS, SLIPS
from voicefile.auth.dumping.take_apart import (
    AccessKeys,
    Belongings,
    DumpedAccess,
    EpochKeys,
    opened_access,
)
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.store import ACCESS, Access
from voicefile.backup.manifest import Found, KeyBackup, manifests, opened
from voicefile.backup.read_back import OpenedDump
from voicefile.backup.repository import Repository, Room
from voicefile.backup.settings import KEYS_S_MAX
from voicefile.blobstore.names import blob_name
from voicefile.cli.backup_targets import FOLDER, folder_rooms
from voicefile.cli.partner import sample
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, unwrap
from voicefile.crypto.epoch_backup import BackedUpEpoch
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.keyring import KeyRole
from voicefile.crypto.secret import KEY_BYTES, SecretKey
from voicefile.crypto.stream import open_whole

DAY_S = 86_400
EVERY_DAYS = int(os.environ.get("VOICEFILE_SHRED_EVERY_DAYS", "7"))
"""How often a backup is taken in the virtual weeks. Every day before a release: then every backup
that is kept is restored, and not the first and the last alone."""
UNREADABLE_DAYS = 35
LIVE_S = 60.0
WRAPPED = re.compile(rb"VFE1.\x02\x00\x4c", re.DOTALL)
"""The head of a wrapped key."""
WRAPPED_BYTES = 76 + 32 + 16
"""Head, key, tag."""
DATABASE = b"SQLite format 3\x00"

Epochs = dict[str, BackedUpEpoch]
Root = dict[str, SecretKey]
"""Keys by version."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Target:
    """A recording to be read, as everybody knows it who has seen the store when it lived."""

    tenant: str
    credential: str
    access: Access
    sound: bytes
    """Its original, sealed: a copy of a blob."""

    @property
    def recording(self) -> str:
        return self.access.recordings[0].id

    @property
    def names(self) -> tuple[bytes, bytes]:
        """What its data key and its customer's key are wrapped as."""
        return object_id(self.recording, "slip"), object_id(self.access.subject.id, "key")


@dataclass
class Copies:
    """Every wrapped key that ever stood in any file, and the ids of all epochs there were."""

    deployment: bytes
    wrapped: set[bytes] = field(default_factory=set)
    epochs: set[tuple[str, str]] = field(default_factory=set)
    _seen: set[tuple[Path, int, int]] = field(default_factory=set)

    async def take(self, house: House) -> None:
        """As it is now."""
        custody = house.stand.ports.custody
        for home in house.stand.companies:
            custody.forget(home.id)
            self.epochs |= {
                (home.id, epoch.id) for epoch in (await custody.namespace(home.id)).epochs
            }
        await asyncio.to_thread(self.look_into, house.place.data)

    def look_into(self, folder: Path) -> None:
        """Raw bytes of every file; of a database also its values, which may lie in pieces."""
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                self._look_at(path)

    def _look_at(self, path: Path) -> None:
        found = path.stat()
        seen = (path, found.st_mtime_ns, found.st_size)
        if not path.is_file() or seen in self._seen:
            return
        self._seen.add(seen)
        raw = path.read_bytes()
        self.keep(raw)
        if raw.startswith(DATABASE):
            self.keep(cells_of(path))

    def keep(self, raw: bytes) -> None:
        self.wrapped |= {
            raw[match.start() : match.start() + WRAPPED_BYTES] for match in WRAPPED.finditer(raw)
        }

    def epoch_keys(self, root: Root) -> Epochs:
        """Epochs that these versions of the root unwrap, whatever file they stood in."""
        found: Epochs = {}
        for (tenant, epoch), (version, under) in product_of(self.epochs, root.items()):
            name = object_id(epoch, KeyRole.EPOCH)
            inner = Context(self.deployment, tenant, name, Kind.WRAPPED_KEY, b"").encode()
            context = Context(b"root", "", inner, Kind.WRAPPED_KEY, version.encode())
            for wrapped in self.wrapped:
                with suppress(CryptoError):
                    key = unwrap(wrapped, under=under, context=context)
                    found[epoch] = self.epoch(tenant, epoch, key)
        return found

    def epoch(self, tenant: str, epoch: str, key: SecretKey) -> BackedUpEpoch:
        return BackedUpEpoch(epoch, key, deployment=self.deployment, tenant=tenant)

    def keys_to(self, target: Target, epochs: Epochs) -> list[SecretKey]:
        """Whatever key of the target any of these epochs unwraps."""
        found = []
        for epoch, name in product_of(epochs.values(), target.names):
            for wrapped in self.wrapped:
                with suppress(CryptoError):
                    found.append(epoch.unwrap(wrapped, name))
        return found


def product_of(these: Iterable, those: Iterable) -> list[tuple]:
    others = list(those)
    return [(this, other) for this in these for other in others]


def root_of(*folders: Path) -> Root:
    """Every version that lies in these folders."""
    return {
        path.stem: SecretKey(path.read_bytes()[:KEY_BYTES])
        for folder in folders
        for path in folder.rglob("*.root")
    }


async def key_backups(house: House, target: Path) -> AsyncIterator[tuple[KeyBackup, OpenedDump]]:
    """All that are in that target, opened as a recipient opens them."""
    repository = Repository(FOLDER, dict(folder_rooms(target)))
    room = repository.room(Room.KEYS)
    async for entry in repository.entries(Room.KEYS):
        if await room.read(entry.name, 0, 1) != b"{":
            continue
        raw = await repository.get_by_name(Room.KEYS, entry.name)
        backup = opened(raw, KeyBackup, house.key, where=entry.name)
        yield backup, house.reading(of=target)._opened(backup.dump, Room.KEYS)


async def from_key_backups(house: House, target: Path, copies: Copies) -> Epochs:
    """Epochs that key backups hold; the slips in them are kept beside all others."""
    found: Epochs = {}
    async for _, dump in key_backups(house, target):
        async for item in dump.items(EPOCHS):
            keys = msgspec.convert(item, EpochKeys)
            found[keys.epoch] = copies.epoch(keys.tenant, keys.epoch, SecretKey(keys.key))
        async for item in dump.items(SLIPS):
            access = msgspec.convert(item, AccessKeys)
            for slip in (access.subject_slip, *access.slips.values()):
                copies.keep(slip.sealed)
    return found


async def seen(house: House, tenant: str, filed: dict) -> Target:
    stored = await house.stand.ports.access.of(tenant).find_one("recording", filed["recording_id"])
    assert stored is not None
    (recording,) = stored.record.recordings
    blob = recording.blobs["original"]
    sound = await house.stand.blobs.read(blob_name(blob.name), 0, blob.sealed_bytes)
    return Target(tenant, stored.id, stored.record, sound)


async def dumps_of(house: House) -> list[tuple[Found, str, DumpedAccess]]:
    """Every access record in every backup that is kept, as the recipients read it."""
    found = []
    for each in await manifests(house.repository, house.key):
        dump = await house.reading().dump(each, "auth")
        async for credential, _, body, _ in dump.items(ACCESS.name):
            found.append((each, str(credential), msgspec.convert(body, DumpedAccess)))
    return found


def read_with(target: Target, keys: list[SecretKey], copies: Copies, dumps: list) -> set[str]:
    """What is read of it with these keys, in words."""
    deployment, subject = copies.deployment, target.access.subject
    original = object_id(target.recording, "original")
    of = Belongings(deployment, target.tenant, target.credential)
    read: set[str] = set()
    for key in keys:
        with suppress(CryptoError):
            where = Context(deployment, target.tenant, original, Kind.AUDIO)
            assert open_whole(key, where, target.sound).startswith(sample())
            read.add("sound")
        with suppress(CryptoError):
            where = Context(deployment, target.tenant, object_id(subject.id, "name"), Kind.FIELD)
            assert b"Mustermann" in open_field(key, where, subject.fields["name"])
            read.add("name")
        for _, credential, dumped in dumps:
            with suppress(CryptoError):
                if credential == target.credential:
                    assert opened_access(dumped, of=of, subject_key=key).recordings
                    read.add("dump")
    return read


async def erased_live(house: House, gone: dict, session: dict[str, str]) -> float:
    """Seconds until nobody hears it any more: neither by ID and PIN, nor who has signed in."""
    begun_s = time.monotonic()
    path = f"/playback/v1/recordings/{gone['recording_id']}/audio"
    while (await house.stand.client.get(path, headers=session)).is_success:
        assert time.monotonic() - begun_s < LIVE_S
        await asyncio.sleep(0.5)
    assert await heard(house.stand.client, gone) is None
    return time.monotonic() - begun_s


async def a_week_later(house: House, day: float, begun_s: float) -> None:
    """Keys turn, and a backup is taken; no key backup is older than it may be."""
    house.clock.ahead_s = begun_s + day * DAY_S - 3_600
    await rotate(house.stand.ports)
    house.clock.ahead_s += 3_600
    await rotate(house.stand.ports)
    await house.rounds.forget_keys()
    await house.backed_up()
    async for backup, _ in key_backups(house, house.place.backup):
        assert house.clock() - backup.taken_at_s <= KEYS_S_MAX


async def restored_everywhere(
    house: House, folder: Path, gone: dict, stays: dict, copies: Copies
) -> list[Path]:
    """A vault of each backup that is kept: what was erased is in none of them. Their roots."""
    found = await manifests(house.repository, house.key)
    roots = []
    for each in found if EVERY_DAYS == 1 else (found[0], found[-1]):
        at_s = each.manifest.taken_at_s
        place, restored = await house.restored(folder / str(each.manifest.n), at_s=at_s)
        assert (restored.manifest, restored.whole) == (each.manifest.n, True)
        async with house_in(place.data, house.pairs, house.clock) as again:
            assert await heard(again.stand.client, gone) is None
            assert await heard(again.stand.client, stays) is not None
        await asyncio.to_thread(copies.look_into, place.data)
        roots.append(place.root("auth").parent)
    return roots


async def test_thirty_five_days_later_no_key_in_existence_reads_anything_of_it(
    house: House, tmp_path: Path
):
    home = house.stand.companies[0]
    gone, stays = await house.filed(home), await house.filed(home)
    target, control = await seen(house, home.id, gone), await seen(house, home.id, stays)
    copies, begun_s = Copies(house.stand.ports.custody.deployment), house.clock.ahead_s
    await house.backed_up()
    await copies.take(house)
    # Somebody keeps what nobody should: the controls.
    kept_target, kept_root = tmp_path / "kept-target", tmp_path / "kept-root"
    shutil.copytree(house.place.backup, kept_target)
    shutil.copytree(house.root, kept_root)
    session = await home.session(gone["access_id"], gone["pin"])
    assert await heard(house.stand.client, gone) is not None
    await house.erase(home, gone["recording_id"])
    await erased_live(house, gone, session)
    await house.stand.published()
    await house.rounds.copy()
    first_dumps = await dumps_of(house)
    for day in [*range(EVERY_DAYS, UNREADABLE_DAYS, EVERY_DAYS), UNREADABLE_DAYS]:
        await a_week_later(house, day, begun_s)
        await copies.take(house)
    assert house.clock.ahead_s - begun_s <= UNREADABLE_DAYS * DAY_S
    roots = await restored_everywhere(house, tmp_path, gone, stays, copies)
    epochs = copies.epoch_keys(root_of(house.root, *roots))
    epochs |= await from_key_backups(house, house.place.backup, copies)
    dumps = first_dumps + await dumps_of(house)
    everything = {"sound", "name", "dump"}
    assert read_with(target, copies.keys_to(target, epochs), copies, dumps) == set()
    assert read_with(control, copies.keys_to(control, epochs), copies, dumps) == everything
    # The planted controls: a key backup that was kept, and a version of the root, are found.
    by_version = copies.epoch_keys(root_of(kept_root))
    assert read_with(target, copies.keys_to(target, by_version), copies, dumps) == everything
    by_backup = await from_key_backups(house, kept_target, copies)
    assert read_with(target, copies.keys_to(target, by_backup), copies, dumps) == everything


async def test_key_backups_go_after_28_days_even_if_no_new_one_can_be_taken(house: House):
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    house.clock.ahead_s += 28 * DAY_S - 7_200
    await house.rounds.forget_keys()
    assert len([entry async for entry in house.repository.entries(Room.KEYS)]) >= 2
    # An hour is between two looks: what would be too old at the next one goes now.
    house.clock.ahead_s += 4_000
    await house.rounds.forget_keys()
    assert [entry async for entry in house.repository.entries(Room.KEYS)] == []
