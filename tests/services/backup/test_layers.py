"""Dumps of changes behind a whole one: read together they are what a whole one would be."""

import base64
import os
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicefile.backup.ask_services import _taken
from voicefile.backup.errors import Damaged
from voicefile.backup.layers import Layers, OpenedDump
from voicefile.backup.manifest import Dump
from voicefile.backup.repository import Repository, Room
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import Collection, Document, DocumentExists, Index, PendingEvent
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.changes import documents_of
from voicefile.dumps.dump import sealed_dump
from voicefile.dumps.errors import DumpIncomplete
from voicefile.dumps.frames import frames
from voicefile.dumps.recipient import Recipient, unbox

DAYS = int(os.environ.get("VOICEFILE_BACKUP_LAYER_DAYS", "25"))
"""Of one history; 1,000 before a release."""
DEPLOYMENT = b"test"
THINGS = Collection("things", indexes=(Index("name", "name", unique=True),))
NOTES = Collection("notes", ephemeral=True)
COLLECTIONS = (THINGS, NOTES)
NAMES = [f"d{number:02d}" for number in range(30)]
KINDS = ("things", "notes")


@dataclass
class Archive:
    """A store, and the dumps of it that a manifest would name."""

    store: SqliteDocStore
    chance: random.Random = field(default_factory=random.Random)
    pair: SealingKeyPair = field(default_factory=SealingKeyPair.generate)
    room: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    dumps: list[Dump] = field(default_factory=list)

    @property
    def repository(self) -> Repository:
        return Repository("folder", {Room.OBJECTS: self.room})

    async def dumped(self, since: str) -> Dump:
        begun = await documents_of(self.store, COLLECTIONS)(since)
        to = [Recipient("archive", self.pair.public)]
        stream = sealed_dump("auth", begun, deployment=DEPLOYMENT, to=to)
        return await _taken("auth", frames(stream), self.repository, Room.OBJECTS)

    async def day(self, *, whole: bool) -> None:
        since = "" if whole or not self.dumps else self.dumps[-1].mark
        dump = await self.dumped(since)
        self.dumps = [*self.dumps, dump] if dump.since else [dump]

    def layers(self, dumps: Sequence[Dump] | None = None) -> Layers:
        return Layers([self._opened(each) for each in (dumps or self.dumps)])

    def _opened(self, dump: Dump) -> OpenedDump:
        box = base64.b64decode(dump.boxes["archive"])
        key = unbox(box, self.pair, name="archive", deployment=DEPLOYMENT, dump=dump.dump)
        return OpenedDump(self.repository, Room.OBJECTS, dump, key, deployment=DEPLOYMENT)

    async def anything(self, count: int) -> None:
        """Writes, deletes and settles, so many times."""
        for _ in range(count):
            with suppress(DocumentExists):
                await self.chance.choice((self._put, self._put, self._delete, self._settle))()

    async def _put(self) -> None:
        collection = self.chance.choice(COLLECTIONS)
        name = self.chance.choice(NAMES)
        document = Document(name, "aa" * 16, {"name": self.chance.choice(NAMES)})
        if collection is NOTES or self.chance.random() < 0.3:
            event = PendingEvent(f"{self.chance.random()}", "topic", "key", b"payload")
            document = carrying(document, event)
        held = await self.store.get(collection, name)
        if held is None:
            await self.store.insert(collection, document)
        else:
            await self.store.replace(collection, replace(document, version=held.version))

    async def _delete(self) -> None:
        for found in await self.store.get_many(THINGS, self.chance.sample(NAMES, 2)):
            await self.store.delete(THINGS, found)

    async def _settle(self) -> None:
        for collection, found in await self.store.pending(self.chance.randrange(4)):
            await self.store.settle(collection, found.id, {each.id for each in found.pending})


async def read(layers: Layers) -> dict[str, list[Any]]:
    await layers.check()
    return {kind: [item async for item in layers.items(kind)] for kind in KINDS}


@pytest.fixture
async def archive(tmp_path: Path):
    store = await SqliteDocStore.open(tmp_path / "a.db", (*COLLECTIONS, MIGRATIONS))
    yield Archive(store)
    await store.close()


@pytest.mark.parametrize("seed", range(2))
async def test_on_any_day_they_are_what_a_whole_dump_of_it_is(archive: Archive, seed: int):
    archive.chance = random.Random(seed)
    lengths = set()
    for _ in range(DAYS):
        await archive.anything(archive.chance.randrange(25))
        await archive.day(whole=archive.chance.random() < 0.1)
        lengths.add(len(archive.dumps))
        whole = archive.layers([await archive.dumped("")])
        assert await read(archive.layers()) == await read(whole)
    assert max(lengths) > 5


async def test_a_dump_that_is_missing_doubled_or_out_of_its_place_is_found(archive: Archive):
    for _ in range(4):
        await archive.anything(20)
        await archive.day(whole=False)
    whole, one, two, three = archive.dumps
    assert await read(archive.layers())
    for wrong in (
        [whole, one, three],
        [whole, two, three],
        [whole, two, one, three],
        [whole, one, one, two, three],
        [one, two, three],
        [whole, whole],
    ):
        with pytest.raises(DumpIncomplete):
            await archive.layers(wrong).check()


async def test_a_dump_that_says_it_follows_another_is_believed_by_its_seal_alone(archive: Archive):
    """Whoever signs manifests may say in them what they like of sealed dumps."""
    for _ in range(3):
        await archive.anything(20)
        await archive.day(whole=False)
    whole, one, two = archive.dumps
    passed_over = msgspec.structs.replace(two, since=whole.mark)
    with pytest.raises(DumpIncomplete):
        await archive.layers([whole, passed_over]).check()
    assert one.since == whole.mark


async def test_an_edited_dump_is_named_by_its_file(archive: Archive):
    for _ in range(2):
        await archive.anything(20)
        await archive.day(whole=False)
    segment = archive.dumps[-1].segments[0].object.named
    await archive.room.delete(segment.address)
    with pytest.raises(Damaged, match=segment.address):
        await read(archive.layers())
