"""The shred game: after erasing, every key that still exists is tried on every copy of everything.

What is looked for are wrapped keys and sealed fields in raw bytes: the store's file with its free
pages, its log, older copies of both, what was told and what was logged. Whatever opens has lost.
"""

import itertools
import re
import shutil
import sqlite3
from contextlib import closing, suppress

import msgspec
import pytest
from msgspec.structs import replace
from tests.services.auth.issuing_world import DEPLOYMENT, Upload, an_auth, metadata

from voicefile.auth.erasing.expire import expire
from voicefile.auth.keys.custody import Custody
from voicefile.auth.keys.rotate import rotate
from voicefile.crypto.envelope import Context, Kind, object_id, open_field
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.keyring import EPOCH_LIFE_MAX_S, KeyNamespace
from voicefile.crypto.rootkey import VersionGone
from voicefile.crypto.secret import DataKey, SubjectKey
from voicefile.docstore.port import Document

DAY_S = 86_400
MAGIC = re.compile(rb"VFE1.\x02\x00\x4c", re.DOTALL)
"""The head of a wrapped key."""
SLIP_BYTES = 76 + 32 + 16
"""Head, key, tag."""


class Copies:
    """Raw bytes of the store as they were at some moments, by name."""

    def __init__(self, directory):
        self._directory = directory
        self.taken = {}

    def take(self, moment):
        aside = self._directory / f"copy of {moment}"
        aside.mkdir()
        for path in sorted(self._directory.glob("auth.db*")):
            self.taken[f"{moment}: {path.name}"] = path.read_bytes()
            shutil.copy(path, aside)
        # A long document lies in pieces: as whoever has the files would read it, through SQLite.
        self.taken[f"{moment}: read"] = as_read(aside / "auth.db")


def as_read(path):
    """Every value of every table."""
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = [row for (name,) in tables for row in db.execute(f'SELECT * FROM "{name}"')]
    return b"\x00".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )


async def living_epochs(vault, tenant, copies):
    """Every epoch key that can still be had: of the store as it is, and of all older copies.

    A thief has the root, as it is today, and every namespace that any copy still shows.
    """
    found = {}
    for namespace in [await vault.custody.namespace(tenant), *copies]:
        holder = Custody(vault.root, OneNamespace(tenant, namespace), deployment=DEPLOYMENT)
        for epoch in namespace.epochs:
            try:
                found[epoch.id, id(namespace)] = await holder.epoch(tenant, epoch.id)
            except (CryptoError, VersionGone):
                continue
    return list(found.values())


class OneNamespace:
    """As much of a store as custody asks: the tenant's keys as a copy has them."""

    def __init__(self, tenant, namespace):
        self._tenant, self._namespace = tenant, namespace

    async def get(self, _collection, _id):
        keys = msgspec.msgpack.decode(msgspec.msgpack.encode(self._namespace))
        return Document(self._tenant, self._tenant, {"keys": keys})


def opened(raw, epochs, names):
    """What any of the keys opens anywhere in the bytes: (name, key)."""
    found = []
    for match in MAGIC.finditer(raw):
        for epoch, name in itertools.product(epochs, names):
            with suppress(CryptoError):
                key = epoch.unwrap(raw[match.start() : match.start() + SLIP_BYTES], name)
                found.append((name, key))
    return found


def names_of(upload, subject):
    return [object_id(upload.recording, "slip"), object_id(subject, "key")]


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


async def filed(vault, partner, **said):
    upload = Upload(partner, metadata=metadata(retention_class="short", **said))
    await vault.issue(partner, upload)
    stored = await vault.credential(partner, upload.recording)
    return upload, stored.record


def settled(directory):
    """The log moved into the file, as it is by itself when it has grown, or at a stop."""
    with sqlite3.connect(directory / "auth.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


async def test_the_game_finds_what_is_alive(vault, partner, tmp_path):
    upload, access = await filed(vault, partner)
    copies = Copies(tmp_path)
    copies.take("alive")
    epochs = await living_epochs(vault, partner.tenant, [])
    names = names_of(upload, access.subject.id)
    found = {name for raw in copies.taken.values() for name, _ in opened(raw, epochs, names)}
    assert found == set(names)


async def test_erased_it_opens_nowhere_in_the_live_store(vault, partner, tmp_path):
    upload, access = await filed(vault, partner)
    kept, living = await filed(vault, partner, contract_reference="V-2")
    vault.clock.s += 30 * DAY_S
    await kept_for_years(vault, partner, kept)
    assert await expire(vault.ports) == 1
    settled(tmp_path)
    copies = Copies(tmp_path)
    copies.take("erased")
    epochs = await living_epochs(vault, partner.tenant, [])
    names = names_of(upload, access.subject.id)
    for where, raw in copies.taken.items():
        assert opened(raw, epochs, names) == [], where
        # Not even the ciphertext: free pages are overwritten.
        recording = access.recordings[0]
        for sealed in (recording.slip.sealed, recording.details, access.subject.key.sealed):
            assert sealed not in raw, where
    whole = b"".join(copies.taken.values())
    assert opened(whole, epochs, names_of(kept, living.subject.id))  # the control


async def test_within_seven_days_it_opens_in_no_older_copy_either(vault, partner, tmp_path):
    upload, access = await filed(vault, partner)
    kept, _ = await filed(vault, partner, contract_reference="V-2")
    await kept_for_years(vault, partner, kept)
    vault.clock.s += 30 * DAY_S
    await turned(vault)  # the epoch that it is wrapped under now is a new one
    older = Copies(tmp_path)
    older.take("the day before")
    namespaces = [await vault.custody.namespace(partner.tenant)]
    names = names_of(upload, access.subject.id)
    assert await expire(vault.ports) == 1
    erased_at_s = vault.clock.s
    # A thief with all keys and yesterday's copy opens it still: so long the promise is days.
    epochs = await living_epochs(vault, partner.tenant, namespaces)
    assert any(opened(raw, epochs, names) for raw in older.taken.values())
    await turned(vault)
    assert vault.clock.s - erased_at_s <= EPOCH_LIFE_MAX_S
    epochs = await living_epochs(vault, partner.tenant, namespaces)
    assert epochs
    for where, raw in older.taken.items():
        assert opened(raw, epochs, names) == [], where
    now = Copies(tmp_path)
    now.take("now")
    for where, raw in now.taken.items():
        assert opened(raw, epochs, names) == [], where
    whole = b"".join(now.taken.values())
    assert opened(whole, epochs, [object_id(kept.recording, "slip")])  # the control lives


async def test_a_kept_epoch_would_lose_the_game(vault, partner, tmp_path):
    upload, access = await filed(vault, partner)
    older = Copies(tmp_path)
    older.take("before")
    spared = await vault.custody.epoch(partner.tenant)  # an epoch that somebody kept
    vault.clock.s += 30 * DAY_S
    await expire(vault.ports)
    await turned(vault)
    names = names_of(upload, access.subject.id)
    found = [
        (name, key) for raw in older.taken.values() for name, key in opened(raw, [spared], names)
    ]
    assert {name for name, _ in found} == set(names)
    keys = dict(found)
    slip = DataKey(keys[object_id(upload.recording, "slip")].expose())
    assert slip == upload.key
    subject = SubjectKey(keys[names[1]].expose())
    context = Context(
        vault.custody.deployment, partner.tenant, object_id(access.subject.id, "name"), Kind.FIELD
    )
    assert b"Kanari" in open_field(subject, context, access.subject.fields["name"])


async def test_a_kept_slip_is_found(vault, partner, tmp_path):
    upload, access = await filed(vault, partner)
    vault.clock.s += 30 * DAY_S
    await expire(vault.ports)
    settled(tmp_path)
    (tmp_path / "auth.db-forgotten").write_bytes(b"\x00" * 99 + access.recordings[0].slip.sealed)
    copies = Copies(tmp_path)
    copies.take("erased")
    epochs = await living_epochs(vault, partner.tenant, [])
    names = names_of(upload, access.subject.id)
    found = {where for where, raw in copies.taken.items() if opened(raw, epochs, names)}
    assert found == {"erased: auth.db-forgotten"}


async def test_events_tell_nothing_that_opens(vault, partner):
    upload, access = await filed(vault, partner)
    epochs = await living_epochs(vault, partner.tenant, [])
    vault.clock.s += 30 * DAY_S
    await expire(vault.ports)
    told = b"".join(event.SerializeToString() for event in await vault.events())
    assert opened(told, epochs, names_of(upload, access.subject.id)) == []
    recording = access.recordings[0]
    for secret in (recording.slip.sealed, recording.details, access.subject.id.encode()):
        assert secret not in told


async def kept_for_years(vault, partner, upload):
    """The control: it lives on, and so the game finds it."""
    stored = await vault.credential(partner, upload.recording)
    later = tuple(replace(each, delete_on="2030-01-01") for each in stored.record.recordings)
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=later)
    )


async def turned(vault):
    """A whole rotation: the period ends, and the grace passes."""
    vault.clock.s += vault.settings.epoch_max_s
    await rotate(vault.ports)
    vault.clock.s += vault.settings.epoch_grace_s + 1
    await rotate(vault.ports)


def test_the_game_knows_a_namespace():
    # What is tried is all there is: a namespace has no key that `living_epochs` leaves out.
    assert set(KeyNamespace.__slots__) == {
        "tenant",
        "identity_versions",
        "epochs",
        "receipt_versions",
    }
