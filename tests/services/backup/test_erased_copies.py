"""Copies of what was erased go from a target; nobody misses them, and everything else is missed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.services.backup.house import House, a_house, heard, house_in

from voicefile.backup.drill import drill
from voicefile.backup.manifest import contents_of, copies_in, manifests
from voicefile.backup.repository import Room, address
from voicefile.backup.retention import forget_backups
from voicefile.backup.settings import DAY_S, BackupSettings
from voicefile.backup.tombstones import read_graves
from voicefile.backup.verify import verify
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobName, BlobStoreUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Gone:
    """A house where a recording was erased between two backups."""

    house: House
    gone: dict
    stays: dict
    first_s: int
    copies: dict[str, BlobName]
    """Where each blob's copy lies, or lay, by the blob."""
    erased: set[str]
    """The blobs of what was erased."""


async def copies_of(house: House) -> dict[str, BlobName]:
    found = {}
    for each in await manifests(house.repository, house.key):
        for inventory in (await contents_of(house.repository, each.manifest)).inventories:
            for copy in await copies_in(house.repository, inventory):
                found[copy.blob] = address(copy.sha256)
    return found


async def there(house: House) -> set[BlobName]:
    return {entry.name async for entry in house.repository.entries(Room.OBJECTS)}


async def blobs_now(house: House) -> set[str]:
    return {entry.name for entry in await house.stand.blobs.entries()}


async def one_erased(house: House) -> set[BlobName]:
    """Where copies lie of a recording that was filed, backed up and erased."""
    before = await blobs_now(house)
    filed = await house.filed(house.stand.companies[0])
    blobs = await blobs_now(house) - before
    await house.backed_up()
    copies = await copies_of(house)
    await erased(house, filed["recording_id"])
    return {copies[blob] for blob in blobs}


async def erased(house: House, recording: str) -> None:
    """Erased, and on the list at the target."""
    await house.erase(house.stand.companies[0], recording)
    await house.stand.published()
    await house.rounds.copy()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory) -> AsyncIterator[Gone]:
    async with a_house(tmp_path_factory.mktemp("gone"), companies=1) as house:
        (home,) = house.stand.companies
        stays = await house.filed(home)
        kept = await blobs_now(house)
        gone = await house.filed(home)
        others = await blobs_now(house) - kept
        first = await house.backed_up()
        await erased(house, gone["recording_id"])
        copies = await copies_of(house)
        assert others <= set(copies)
        yield Gone(house, gone, stays, first.found.manifest.taken_at_s, copies, others)


async def test_after_the_next_backup_the_copies_are_gone_and_nobody_misses_them(world: Gone):
    house, lay = world.house, {world.copies[blob] for blob in world.erased}
    before = await verify(house.repository, house.key)
    assert (before.sound, before.erased) == (True, 0)
    assert lay <= await there(house)
    house.clock.ahead_s += 3_600
    await house.backed_up()
    assert lay & await there(house) == set()
    assert {world.copies[blob] for blob in set(world.copies) - world.erased} <= await there(house)
    after = await verify(house.repository, house.key)
    assert after.sound, after.findings
    assert after.erased == len(world.erased) >= 2
    assert not [each for each in after.unnamed if each.startswith("objects/")]


async def test_the_list_names_them_beside_their_recording(world: Gone):
    graves = await read_graves(world.house.repository, world.house.key)
    (grave,) = [each for each in graves.graves if each.id == world.gone["recording_id"]]
    assert set(grave.blobs) == world.erased


async def test_a_backup_from_before_is_restored_without_it(world: Gone, tmp_path: Path):
    place, restored = await world.house.restored(tmp_path / "restored", at_s=world.first_s + 60)
    assert (restored.manifest, restored.auth.erased) == (1, 1)
    assert restored.whole, restored
    async with house_in(place.data, world.house.pairs) as again:
        assert await heard(again.stand.client, world.gone) is None
        assert await heard(again.stand.client, world.stays) is not None


async def test_a_drill_does_not_miss_them(world: Gone):
    report = await drill(
        world.house.repository, world.house.key, world.house.pairs[0], MemoryBlobStore()
    )
    assert not [finding for finding in report.findings if "not restored" in finding]


async def test_a_copy_that_is_missing_without_a_tombstone_is_named(world: Gone):
    """The control: whatever else is gone, an alarm says where it lay."""
    house = world.house
    name = next(copy for blob, copy in world.copies.items() if blob not in world.erased)
    room = house.repository.room(Room.OBJECTS)
    was = await room.read(name, 0, 1 << 30)
    await room.delete(name)
    verdict = await verify(house.repository, house.key)
    report = await drill(house.repository, house.key, house.pairs[0], MemoryBlobStore())
    await room.put(name, _one(was))
    assert [str(each) for each in verdict.findings] == [f"missing or damaged: objects/{name}"]
    assert f"not restored: objects/{name}" in report.findings


async def test_a_forged_tombstone_excuses_nothing(world: Gone):
    """Whoever has no key can write a note, and it is nobody's."""
    house, graves = world.house, world.house.repository.room(Room.TOMBSTONES)
    blob = next(blob for blob in world.copies if blob not in world.erased)
    name = world.copies[blob]
    (note,) = [each.name for each in await graves.entries()]
    content = await graves.read(note, 0, 1 << 30)
    forged = content.replace(next(iter(world.erased)).encode(), blob.encode())
    assert forged != content
    room = house.repository.room(Room.OBJECTS)
    was = await room.read(name, 0, 1 << 30)
    await graves.delete(note)
    await graves.put(note, _one(forged))
    await room.delete(name)
    verdict = await verify(house.repository, house.key)
    await graves.delete(note)
    await graves.put(note, _one(content))
    await room.put(name, _one(was))
    assert f"missing or damaged: objects/{name}" in [str(each) for each in verdict.findings]
    assert (await verify(house.repository, house.key)).sound


class Locked(FilesystemBlobStore):
    """As a bucket whose objects are locked: what was put can't be deleted."""

    async def delete(self, name: BlobName) -> None:
        raise BlobStoreUnavailable("AccessDenied")


async def test_a_target_that_refuses_keeps_them_until_it_does_not(world: Gone):
    house = world.house
    copies = await one_erased(house)
    rooms = house.rounds._taking._repository._rooms
    unlocked = rooms[Room.OBJECTS]
    rooms[Room.OBJECTS] = Locked(house.place.backup / Room.OBJECTS)
    await house.backed_up()
    assert house.rounds.failing is None
    assert copies <= await there(house)
    assert (await verify(house.repository, house.key)).sound
    rooms[Room.OBJECTS] = unlocked
    await house.backed_up()
    assert copies & await there(house) == set()
    assert (await verify(house.repository, house.key)).sound


async def test_a_manifest_that_can_not_go_keeps_what_it_names(world: Gone):
    house = world.house
    await house.backed_up()
    found = await manifests(house.repository, house.key)
    rooms = dict(house.rounds._taking._repository._rooms)
    rooms[Room.MANIFESTS] = Locked(house.place.backup / Room.MANIFESTS)
    repository = type(house.repository)("folder", rooms)
    now_s = house.clock() + 40 * DAY_S
    await forget_backups(repository, found, found[-1:], erased=frozenset(), now_s=now_s)
    verdict = await verify(house.repository, house.key)
    assert verdict.sound, verdict.findings
    assert verdict.manifests == len(found) > 1


async def test_who_wants_time_to_look_into_erasures_keeps_them_as_long(world: Gone):
    house = world.house
    taking = house.rounds._taking
    copies = await one_erased(house)
    was, taking._settings = taking._settings, BackupSettings(erased_s=2 * DAY_S)
    house.clock.ahead_s += DAY_S
    await house.backed_up()
    assert copies <= await there(house)
    house.clock.ahead_s += DAY_S + 60
    await house.backed_up()
    taking._settings = was
    assert copies & await there(house) == set()
    assert (await verify(house.repository, house.key)).sound


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
