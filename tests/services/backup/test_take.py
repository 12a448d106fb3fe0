"""Taking a backup: what is in it, what it costs, what becomes of it when something fails."""

import shutil
from pathlib import Path

import pytest
from tests.services.backup.house import House, Killed, dying_at, house_in, two_recipients

from voicefile.backup.errors import Damaged
from voicefile.backup.manifest import contents_of, copies_in, manifests
from voicefile.backup.repository import Room
from voicefile.backup.verify import verify
from voicefile.blobstore.names import new_blob_name

pytestmark = pytest.mark.asyncio(loop_scope="module")


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def blobs_of(house: House) -> set[str]:
    found = (await manifests(house.repository, house.key))[-1]
    contents = await contents_of(house.repository, found.manifest)
    return {
        copy.blob
        for inventory in contents.inventories
        for copy in await copies_in(house.repository, inventory)
    }


async def counts_of(house: House) -> dict[str, int]:
    found = await manifests(house.repository, house.key)
    return found[-1].manifest.counts if found else {}


async def objects_of(house: House) -> set[str]:
    return {entry.name async for entry in house.repository.entries(Room.OBJECTS)}


async def test_a_backup_names_every_blob_and_counts_every_tenants_recordings(house: House):
    one, other = house.stand.companies
    before = await counts_of(house)
    await house.filed(one)
    await house.filed(one)
    await house.filed(other)
    taken = await house.backed_up()
    manifest = taken.found.manifest
    assert manifest.counts[one.id] == before.get(one.id, 0) + 2
    assert manifest.counts[other.id] == before.get(other.id, 0) + 1
    assert await blobs_of(house) == {entry.name for entry in await house.stand.blobs.entries()}
    contents = await contents_of(house.repository, manifest)
    services = dict.fromkeys(dump.service for dump in contents.dumps)
    assert list(services) == ["auth", "ingest", "playback", "audit"]
    assert {len(dump.boxes) for dump in contents.dumps} == {2}
    assert (await verify(house.repository, house.key)).sound


async def test_a_blob_is_copied_as_soon_as_it_was_told_of(house: House):
    await house.backed_up()
    copies, blobs = await objects_of(house), len(await house.stand.blobs.entries())
    await house.filed(house.stand.companies[0])
    await house.told()
    await house.rounds.copy()
    new = len(await house.stand.blobs.entries()) - blobs
    assert len(await objects_of(house) - copies) == new > 0


async def test_what_was_never_told_of_is_found_by_its_name(house: House):
    await house.filed(house.stand.companies[0])
    taken = await house.rounds.take()
    assert taken is not None
    assert len(await blobs_of(house)) == len(await house.stand.blobs.entries())


async def test_a_second_backup_costs_what_has_changed(house: House):
    for _ in range(3):
        await house.filed(house.stand.companies[0])
    await house.backed_up()
    folder = house.place.backup / Room.OBJECTS
    first = bytes_in(folder)
    sealed = sum(entry.sealed_bytes for entry in await house.stand.blobs.entries())
    await house.filed(house.stand.companies[0])
    new = sum(entry.sealed_bytes for entry in await house.stand.blobs.entries()) - sealed
    taken = await house.backed_up()
    written = bytes_in(folder) - first
    contents = await contents_of(house.repository, taken.found.manifest)
    dumped = sum(each.object.bytes for dump in contents.dumps for each in dump.segments)
    today = {dump.service: dump for dump in contents.dumps}
    changed = sum(each.object.bytes for dump in today.values() for each in dump.segments)
    lists = taken.found.manifest.contents.bytes
    assert new < written <= new + changed + lists + 10_000
    assert changed < dumped


async def test_manifests_follow_one_another(house: House):
    await house.backed_up()
    await house.backed_up()
    found = await manifests(house.repository, house.key)
    assert [each.manifest.n for each in found] == list(range(1, len(found) + 1))
    assert found[-1].manifest.previous == found[-2].note.sha256


@pytest.mark.parametrize("lost", [False, True], ids=["restarted", "with its own store lost"])
async def test_another_process_goes_on_where_the_target_ends(tmp_path: Path, lost: bool):
    with two_recipients() as pairs:
        async with house_in(tmp_path / "vault", pairs) as house:
            await house.backed_up()
        if lost:
            for path in (tmp_path / "vault" / "documents").glob("backup.db*"):
                path.unlink()
        async with house_in(tmp_path / "vault", pairs) as house:
            await house.backed_up()
            found = await manifests(house.repository, house.key)
            assert [each.manifest.n for each in found] == [1, 2]
            assert (await verify(house.repository, house.key)).sound


async def test_a_backup_that_was_killed_between_any_two_steps_leaves_the_one_before(house: House):
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    taking = house.rounds._taking
    steps: list[str] = []
    taking._between = steps.append
    await house.rounds.take()
    assert len(steps) >= 8
    for number, step in enumerate(steps):
        if number % 4 == 0:
            await house.filed(house.stand.companies[0])
        taking._between = dying_at(step)
        with pytest.raises(Killed):
            await house.rounds.take()
        verdict = await verify(house.repository, house.key)
        assert verdict.sound, (step, verdict.findings)
    taking._between = lambda _: None
    await house.backed_up()
    assert (await verify(house.repository, house.key)).sound
    assert await blobs_of(house) == {entry.name for entry in await house.stand.blobs.entries()}


async def test_what_is_copied_while_the_target_is_away_is_in_the_next_backup(house: House):
    """It went away after the manifest was written down and before it was put."""
    room, aside = house.place.backup / Room.MANIFESTS, house.place.backup / "aside"

    def gone(step: str) -> None:
        if step == "contents put":
            room.rename(aside)
            room.touch()

    await house.backed_up()
    house.rounds._taking._between = gone
    assert await house.rounds.take() is None
    assert house.rounds.failing == "target"
    house.rounds._taking._between = lambda _: None
    await house.filed(house.stand.companies[0])
    await house.told()
    await house.rounds._copying.wanted()
    room.unlink()
    aside.rename(room)
    await house.backed_up()
    assert await blobs_of(house) == {entry.name for entry in await house.stand.blobs.entries()}
    assert (await verify(house.repository, house.key)).sound


async def test_a_target_that_is_not_mounted_gets_no_backup(house: House):
    """It would name none of the blobs that were copied to the real one."""
    await house.backed_up()
    aside = house.place.data / "aside"
    house.place.backup.rename(aside)
    with pytest.raises(Damaged):
        await house.rounds.copy()
    assert await house.rounds.take() is None
    assert house.rounds.failing == "damaged"
    shutil.rmtree(house.place.backup, ignore_errors=True)
    aside.rename(house.place.backup)
    await house.backed_up()
    assert (await verify(house.repository, house.key)).sound


async def test_something_plain_is_never_carried(house: House):
    async def plain():
        yield b"RIFF" + bytes(100_000)

    before, name = await manifests(house.repository, house.key), new_blob_name()
    await house.stand.blobs.put(name, plain())
    assert await house.rounds.take() is None
    assert house.rounds.failing == "plaintext"
    assert await manifests(house.repository, house.key) == before
    carried = [path for path in house.place.backup.rglob("*") if path.is_file()]
    assert [path for path in carried if b"RIFF" in path.read_bytes()[:4]] == []
    await house.stand.blobs.delete(name)
    await house.backed_up()
