"""A day's backup of documents holds what has changed that day, and a restore misses nothing."""

from pathlib import Path

import pytest
from tests.services.backup.house import House, heard, house_in

from voicefile.auth.keys.rotate import rotate
from voicefile.auth.store import ACCESS
from voicefile.backup.manifest import Contents, Dump, Found, contents_of, manifests
from voicefile.backup.repository import Room
from voicefile.backup.retention import forget_backups
from voicefile.backup.verify import verify
from voicefile.cli.embedded import STORES
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.dump import pages
from voicefile.dumps.frames import Begin, frames

DAY_S = 86_400
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def newest(house: House) -> tuple[Found, Contents]:
    found = (await manifests(house.repository, house.key))[-1]
    return found, await contents_of(house.repository, found.manifest)


def of(contents: Contents, service: str) -> list[Dump]:
    return [each for each in contents.dumps if each.service == service]


def items_in(dump: Dump, kind: str) -> int:
    return sum(each.items for each in dump.segments if each.kind == kind)


async def documents_in(folder: Path, service: str) -> dict[tuple[str, str], object]:
    """What a restored service has, but for deeds on their way and what is made anew."""
    path = folder / "documents" / f"{service}.db"
    collections = (*STORES[service].collections, MIGRATIONS)
    store = await SqliteDocStore.open(path, collections)
    found = {
        (collection.name, document.id): document.body
        for collection in collections
        if collection.follows
        async for document in pages(store, collection)
    }
    await store.close()
    return found


async def test_a_day_is_dumped_as_what_changed_in_it(house: House):
    home = house.stand.companies[0]
    for _ in range(4):
        await house.filed(home)
    await house.backed_up()
    _, first = await newest(house)
    assert {each.since for each in first.dumps} == {""}
    await house.filed(home)
    await house.backed_up()
    _, second = await newest(house)
    for service in ("auth", "ingest", "playback", "audit"):
        [whole, changes] = of(second, service)
        assert whole == of(first, service)[0]
        assert changes.since == whole.mark
    assert items_in(of(second, "auth")[0], "access") == 4
    assert items_in(of(second, "auth")[1], "access") == 1
    assert (await verify(house.repository, house.key)).sound


async def test_new_wrappings_of_old_keys_are_no_change(house: House):
    """Rotation writes every access document anew, and a dump holds nothing that it changes."""
    ports = house.stand.ports
    before = await ports.store.scan(ACCESS)
    mark = await ports.store.mark()
    house.clock.ahead_s += ports.settings.epoch_max_s
    assert (await rotate(ports)).documents_rewrapped == len(before) > 0
    after = await ports.store.scan(ACCESS)
    assert all(one.body != two.body for one, two in zip(before, after, strict=True))
    assert await ports.store.changed(ACCESS, mark, limit=99) == []
    # The planted control: any other change of the same documents is told of.
    await ports.store.replace(ACCESS, after[0])
    assert await ports.store.changed(ACCESS, mark, limit=99) == [after[0].id]


async def test_a_restore_of_changes_has_what_a_whole_dump_of_the_same_time_has(
    house: House, tmp_path: Path
):
    home, other = house.stand.companies
    stays, gone, alone = await house.filed(home), await house.filed(home), await house.filed(other)
    await house.backed_up()
    await house.erase(home, gone["recording_id"])
    new = await house.filed(home)
    await house.backed_up()
    await house.erase(other, alone["recording_id"])
    await house.backed_up()
    _, contents = await newest(house)
    assert len(of(contents, "auth")) > 2
    _, by_changes = await house.restored(tmp_path / "changes")
    settings = house.rounds._taking._settings
    house.rounds._taking._settings = settings.model_copy(update={"whole_every_s": 0})
    await house.backed_up()
    house.rounds._taking._settings = settings
    _, contents = await newest(house)
    assert [len(of(contents, each)) for each in ("auth", "audit")] == [1, 1]
    _, whole = await house.restored(tmp_path / "whole")
    assert by_changes.whole
    assert whole.whole
    assert by_changes.auth.recordings == whole.auth.recordings
    for service in ("ingest", "auth"):
        one = await documents_in(tmp_path / "changes", service)
        two = await documents_in(tmp_path / "whole", service)
        assert one.keys() == two.keys()
    async with house_in(tmp_path / "changes", house.pairs, house.clock) as again:
        assert await heard(again.stand.client, gone) is None
        assert await heard(again.stand.client, alone) is None
        assert await heard(again.stand.client, stays) is not None
        assert await heard(again.stand.client, new) is not None


async def test_after_a_week_documents_are_dumped_whole_again(house: House):
    await house.backed_up()
    _, before = await newest(house)
    house.clock.ahead_s += 7 * DAY_S + 3_600
    await house.backed_up()
    _, contents = await newest(house)
    assert {each.since for each in contents.dumps} == {""}
    assert of(contents, "auth")[0].dump not in {each.dump for each in of(before, "auth")}


async def test_changes_of_what_is_not_there_any_more_are_not_asked_for(house: House):
    """A target that lost a dump gets a whole one at once, and not when a week is over."""
    await house.backed_up()
    await house.backed_up()
    _, contents = await newest(house)
    lost = of(contents, "auth")[0].segments[0].object.named.address
    await house.repository.room(Room.OBJECTS).delete(lost)
    verdict = await verify(house.repository, house.key)
    assert f"missing or damaged: objects/{lost}" in map(str, verdict.findings)
    await house.backed_up()
    _, contents = await newest(house)
    assert [each.since for each in of(contents, "auth")] == [""]
    assert len(of(contents, "audit")) > 1


async def test_others_who_can_read_from_now_on_get_all_of_it(house: House):
    """Changes since a dump that is sealed to somebody else would leave them half a vault."""
    await house.backed_up()
    mark = of((await newest(house))[1], "ingest")[-1].mark
    name, readers = mark.split("-")
    others = f"{name}-{'0' * len(readers)}"
    assert [await since_of(house, each) for each in (mark, others)] == [mark, ""]


async def test_a_mark_that_is_none_is_refused(house: House):
    async with house.stand.vault.client(peer="backup") as backup:
        for wrong in ("x", "f" * 32, "../", f"{'f' * 32}-{'0' * 17}"):
            answer = await backup.post("/ingest/internal/v1/dumps", params={"since": wrong})
            assert answer.status_code == 422


async def since_of(house: House, mark: str) -> str:
    """What ingest's dump says it begins at, asked for changes since that mark."""
    async with house.stand.vault.client(peer="backup") as backup:
        answer = await backup.post("/ingest/internal/v1/dumps", params={"since": mark})

    async def content():
        yield answer.content

    begin = (await anext(frames(content()))).head
    assert isinstance(begin, Begin)
    return begin.since


async def test_a_manifest_that_is_kept_keeps_every_dump_that_it_needs(house: House, tmp_path: Path):
    """The day on which all was dumped is given up; what a later day needs of it is not."""
    house.clock.ahead_s += 8 * DAY_S
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    found = await manifests(house.repository, house.key)
    _, contents = await newest(house)
    assert len(of(contents, "auth")) == 2
    now_s = house.clock() + 2 * DAY_S
    went = await forget_backups(
        house.repository, found, found[-1:], erased=frozenset(), now_s=now_s
    )
    assert went > 0
    verdict = await verify(house.repository, house.key)
    assert not [each for each in verdict.findings if "objects/" in str(each)]
    _, restored = await house.restored(tmp_path / "kept")
    assert restored.whole
