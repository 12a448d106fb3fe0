"""A backup, restored into an empty folder: the vault it was, but for what was erased since."""

import shutil
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import pytest_asyncio
from tests.services.backup.house import House, Killed, a_house, heard, house_in, recounted

from voicefile.backup.errors import KeyInvalid, ListTooOld, NothingToRestore
from voicefile.backup.repository import Room
from voicefile.cli.embedded import BARE
from voicefile.cli.look_at_backup import restore_backup
from voicefile.cli.place import NotRestored, Place
from voicefile.cli.restore import NoRoot, NotEmpty, OtherRestore, restore
from voicefile.cli.restore_into_folder import IntoFolder
from voicefile.crypto.primitives import SealingKeyPair

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Backed:
    """A house with a backup, and its log as it was then."""

    house: House
    log: str
    key: str
    checkpoint: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backed(tmp_path_factory) -> AsyncIterator[Backed]:
    async with a_house(tmp_path_factory.mktemp("backed")) as house:
        one, other = house.stand.companies
        for home in (one, other, one):
            await house.filed(home)
        # The first one begins the platform's log, and the second states its head.
        await house.backed_up()
        await house.stand.settled()
        await house.backed_up()
        path, client = f"/audit/v1/logs/{one.id}", house.stand.client
        key = (await client.get(f"{path}/key")).text
        yield Backed(house, path, key, (await client.get(f"{path}/checkpoint")).text)


@pytest.fixture
def house(backed: Backed) -> House:
    return backed.house


async def test_every_id_and_pin_opens_the_very_same_bytes_in_a_vault_that_goes_on(
    backed: Backed, tmp_path: Path
):
    house = backed.house
    place, restored = await house.restored(tmp_path / "restored")
    assert restored.whole, restored
    assert (restored.auth.tenants, restored.auth.recordings) == (2, 3)
    async with house_in(place.data, house.pairs) as again:
        for filed in house.issued:
            sound = await heard(again.stand.client, filed)
            assert sound is not None
            assert sha256(sound).hexdigest() == filed["sha256"]
        # The log continues the one that was dumped.
        client = again.stand.client
        assert (await client.get(f"{backed.log}/key")).text == backed.key
        _, before_size, before_root, *_ = backed.checkpoint.split("\n")
        _, size, root, *_ = (await client.get(f"{backed.log}/checkpoint")).text.split("\n")
        assert int(size) >= int(before_size) > 0
        assert int(size) > int(before_size) or root == before_root
        stated = (await house.reading().manifest()).manifest.checkpoint
        platform = (await client.get("/audit/v1/logs/platform/key")).text
        assert await recounted(client, "platform", platform, stated) > 0
        assert (await again.rounds.take()) is not None


async def test_any_recipient_opens_it_and_a_stranger_does_not(house: House):
    found = await house.reading().manifest()
    for pair in house.pairs:
        dump = await house.reading(pair).dump(found, "auth")
        await dump.check()
    with pytest.raises(KeyInvalid):
        await house.reading(SealingKeyPair.generate()).dump(found, "auth")


async def test_a_folder_with_something_in_it_is_left_alone(house: House, tmp_path: Path):
    used = tmp_path / "used"
    used.mkdir(mode=0o755)
    (used / "file").write_text("x")
    before = used.stat()
    with pytest.raises(NotEmpty):
        await restore_backup(
            used,
            str(house.place.backup),
            str(house.key),
            into=lambda place: nullcontext(IntoFolder(place, house.root)),
            pair=house.pairs[0],
            at=None,
        )
    assert [path.name for path in used.iterdir()] == ["file"]
    assert used.stat().st_mode == before.st_mode


async def test_without_the_root_key_nothing_is_restored(house: House, tmp_path: Path):
    (tmp_path / "root").mkdir()
    place = Place(tmp_path / "new")
    with pytest.raises(NoRoot):
        await restore(house.reading(), place, IntoFolder(place, tmp_path / "root"))


async def test_old_epochs_versions_are_destroyed_in_the_restored_root(house: House, tmp_path: Path):
    place, _ = await house.restored(tmp_path / "restored")
    old = {path.name for path in (house.root / "auth").glob("*.root")}
    new = {path.name for path in (place.root("auth")).glob("*.root")}
    assert len(old & new) == 1, "the lasting one alone"
    assert len(new) == 2


@dataclass
class Erased:
    """A house where something was erased after a backup, and then another one was taken."""

    house: House
    gone: dict
    stays: dict
    later: dict
    first_s: int
    """When the first backup was begun."""
    first: Path
    """The target as it was then."""
    between: Path
    """The target before the second one: with tombstones that are newer than its backup."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def erased(tmp_path_factory) -> AsyncIterator[Erased]:
    folder = tmp_path_factory.mktemp("erased")
    async with a_house(folder, companies=1) as house:
        (home,) = house.stand.companies
        gone, stays = await house.filed(home), await house.filed(home)
        first = await house.backed_up()
        shutil.copytree(house.place.backup, folder / "first")
        house.clock.ahead_s += 3_600
        later = await house.filed(home)
        await house.erase(home, gone["recording_id"])
        await house.stand.published()
        await house.rounds.copy()
        shutil.copytree(house.place.backup, folder / "between")
        await house.backed_up()
        first_s = first.found.manifest.taken_at_s
        yield Erased(house, gone, stays, later, first_s, folder / "first", folder / "between")


async def test_what_was_erased_after_the_backup_does_not_come_back(erased: Erased, tmp_path: Path):
    place, restored = await erased.house.restored(tmp_path / "restored", of=erased.between)
    assert (restored.manifest, restored.auth.erased) == (1, 1)
    assert restored.whole
    async with house_in(place.data, erased.house.pairs) as again:
        assert await heard(again.stand.client, erased.gone) is None
        assert await heard(again.stand.client, erased.stays) is not None


async def test_an_older_point_is_restored_with_the_newest_tombstones(
    erased: Erased, tmp_path: Path
):
    at_s = erased.first_s + 60
    place, restored = await erased.house.restored(tmp_path / "restored", at_s=at_s)
    assert restored.manifest == 1
    async with house_in(place.data, erased.house.pairs) as again:
        assert await heard(again.stand.client, erased.gone) is None
        assert await heard(again.stand.client, erased.later) is None
        assert await heard(again.stand.client, erased.stays) is not None
    with pytest.raises(NothingToRestore):
        await erased.house.restored(tmp_path / "nothing", at_s=at_s - 7_200)


async def test_without_the_newest_tombstones_nothing_is_restored(erased: Erased, tmp_path: Path):
    target = tmp_path / "target"
    shutil.copytree(erased.house.place.backup, target)
    shutil.rmtree(target / Room.TOMBSTONES)
    with pytest.raises(ListTooOld):
        await erased.house.restored(tmp_path / "restored", of=target)
    with pytest.raises(NotRestored), Place(tmp_path / "restored").held():
        pass


def killed_before_blobs(service: str, _blobs: object) -> None:
    assert service == "restore"
    raise Killed


async def test_what_is_erased_while_a_restore_lies_unfinished_does_not_come_back(
    erased: Erased, tmp_path: Path
):
    house, folder = erased.house, tmp_path / "restored"
    fittings = replace(BARE, blobs=killed_before_blobs)
    with pytest.raises(Killed):
        await house.restored(folder, of=erased.first, fittings=fittings)
    assert Place(folder).documents("auth").exists()
    with pytest.raises(NotRestored), Place(folder).held():
        pass
    # There is a newer backup by now: it goes on with its own, and with what was erased since.
    place, restored = await house.restored(folder)
    assert (restored.manifest, restored.auth.erased, restored.auth.certificates) == (1, 1, 1)
    async with house_in(place.data, house.pairs) as again:
        assert await heard(again.stand.client, erased.gone) is None
        assert await heard(again.stand.client, erased.stays) is not None


async def test_a_restore_that_was_begun_is_of_one_backup(erased: Erased, tmp_path: Path):
    house, folder = erased.house, tmp_path / "restored"
    fittings = replace(BARE, blobs=killed_before_blobs)
    with pytest.raises(Killed):
        await house.restored(folder, fittings=fittings)
    with pytest.raises(OtherRestore):
        await house.restored(folder, at_s=erased.first_s + 60)
    with pytest.raises(OtherRestore):
        await house.restored(folder, of=erased.first)
    _, restored = await house.restored(folder)
    assert restored.manifest == 2


async def test_said_again_when_all_is_done_it_tells_the_same_and_does_nothing(
    erased: Erased, tmp_path: Path
):
    folder = tmp_path / "restored"
    _, first = await erased.house.restored(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    _, again = await erased.house.restored(folder)
    assert again == first
    assert before == {path: path.stat().st_mtime_ns for path in before}
    with pytest.raises(NotEmpty):
        await erased.house.restored(folder, at_s=erased.first_s + 60)
