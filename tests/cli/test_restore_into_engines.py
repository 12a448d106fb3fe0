"""A backup, restored into the engines of services apart: whole or shut, and no root key harmed."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import pytest_asyncio
from tests.services.backup.engines_in_folder import engines_in
from tests.services.backup.house import House, Killed, a_house, heard, house_in

from voicefile.backup.read_back import LATEST
from voicefile.cli.apart.restore_into_engines import into_engines
from voicefile.cli.embedded import BARE, STORES
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.place import Place
from voicefile.cli.restore import NotEmpty, OtherRestore, restore
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Document, StoreIsShut, VersionConflict

pytestmark = pytest.mark.asyncio(loop_scope="module")


def killed_by_a_put(_service, blobs):
    async def put(*_):
        raise Killed

    blobs.put = put
    return blobs


BEFORE_BLOBS = replace(BARE, blobs=killed_by_a_put)
"""When the documents are there."""


@dataclass
class Apart:
    """Where a restore is under way: engines with the root key of before, and the folder beside."""

    house: House
    folder: Path

    @property
    def engines(self) -> Place:
        return Place(self.folder / "engines")

    @property
    def beside(self) -> Place:
        return Place(self.folder / "beside")

    async def restored(self, *, into=None, fittings=BARE, at_s=LATEST):
        async with engines_in(into or self.engines, fittings=fittings) as destination:
            return await restore(self.house.reading(), self.beside, destination, at_s=at_s)

    def roots(self, service="auth"):
        return {path.stem for path in self.engines.root(service).glob("*.root")}

    async def changed(self, service, change):
        async with engines_in(self.engines) as destination, destination.made(service) as store:
            await change(store)

    async def require_shut(self):
        for service in STORES:
            with pytest.raises(StoreIsShut):
                await self.changed(service, lambda store, of=service: _started(store, of))


async def _started(store, service):
    from voicefile.docstore.migrations import migrate  # noqa: PLC0415

    await migrate(store, STORES[service].steps, code_version="test")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory) -> AsyncIterator[House]:
    async with a_house(tmp_path_factory.mktemp("backed")) as made:
        one, other = made.stand.companies
        gone, _, _ = [await made.filed(home) for home in (one, other, one)]
        await made.backed_up()
        made.clock.ahead_s += 3_600
        await made.erase(one, gone["recording_id"])
        await made.stand.published()
        await made.backed_up()
        yield made


@pytest.fixture
def apart(house: House, tmp_path: Path) -> Apart:
    made = Apart(house, tmp_path)
    shutil.copytree(house.root, made.engines.root("auth").parent)
    return made


async def test_what_was_filed_is_heard_and_what_was_erased_is_not(apart: Apart):
    restored = await apart.restored(at_s=LATEST)
    assert restored.whole, restored
    async with house_in(apart.engines.data, apart.house.pairs) as again:
        gone, *stay = apart.house.issued
        assert await heard(again.stand.client, gone) is None
        for filed in stay:
            sound = await heard(again.stand.client, filed)
            assert sha256(sound).hexdigest() == filed["sha256"]


async def test_no_version_of_a_root_key_is_destroyed_that_another_vault_may_live_on(apart: Apart):
    before = apart.roots()
    restored = await apart.restored()
    assert before < apart.roots()
    assert set(restored.auth.roots_left) < before
    assert len(before - set(restored.auth.roots_left)) == 1, "the lasting one"
    await apart.house.stand.settled()
    assert await heard(apart.house.stand.client, apart.house.issued[1]) is not None


async def test_nothing_starts_before_it_is_through(apart: Apart):
    with pytest.raises(Killed):
        await apart.restored(fittings=BEFORE_BLOBS)
    await apart.require_shut()
    restored = await apart.restored()
    assert restored.whole
    async with house_in(apart.engines.data, apart.house.pairs) as again:
        assert await heard(again.stand.client, apart.house.issued[1]) is not None


async def test_killed_while_the_databases_are_opened_it_opens_the_others(apart: Apart):
    def killed_at(service):
        def documents(of, store):
            async def delete(_collection, _document):
                raise Killed

            if of == service:
                store.delete = delete
            return store

        return documents

    for service in ("audit", "playback", "auth"):
        with pytest.raises(Killed):
            await apart.restored(fittings=replace(BARE, documents=killed_at(service)))
    restored = await apart.restored()
    assert restored.whole
    async with house_in(apart.engines.data, apart.house.pairs) as again:
        assert await heard(again.stand.client, apart.house.issued[1]) is not None


async def test_killed_after_they_were_opened_it_touches_nothing(apart: Apart):
    first = await apart.restored()
    mark = {"manifest": first.source.note, "into": first.into}
    apart.beside.restoring.write_text(json.dumps(mark))
    roots = apart.roots()
    assert await apart.restored() == first
    assert apart.roots() == roots
    assert not apart.beside.restoring.exists()


async def test_a_database_with_something_in_it_is_left_as_it_is(apart: Apart):
    theirs = Document("theirs", "", {"number": 1, "name": "step"})
    await apart.changed("audit", lambda store: store.insert(MIGRATIONS, theirs))
    with pytest.raises(NotEmpty):
        await apart.restored()

    async def look(store):
        assert [each.id for each in await store.scan(MIGRATIONS)] == ["theirs"]

    await apart.changed("audit", look)


async def test_a_bucket_that_another_vault_may_live_on_is_left_as_it_is(apart: Apart):
    shutil.copytree(apart.house.place.blobs, apart.engines.blobs)
    before = sorted(apart.engines.blobs.rglob("*"))
    with pytest.raises(NotEmpty, match="The bucket"):
        await apart.restored()
    assert sorted(apart.engines.blobs.rglob("*")) == before


async def test_what_was_begun_in_some_engines_does_not_go_on_in_others(apart: Apart):
    with pytest.raises(Killed):
        await apart.restored(fittings=BEFORE_BLOBS)
    others = Place(apart.folder / "others")
    shutil.copytree(apart.house.root, others.root("auth").parent)
    with pytest.raises(OtherRestore):
        await apart.restored(into=others)
    assert not others.documents("auth").exists()
    await apart.restored()
    with pytest.raises(NotEmpty, match="The folder"):
        await apart.restored(into=others)


async def test_of_what_was_lost_since_it_is_not_said_that_it_is_there(apart: Apart):
    await apart.restored()
    shutil.rmtree(apart.engines.documents("auth").parent)
    with pytest.raises(NotEmpty, match="The folder"):
        await apart.restored()


async def test_a_database_that_was_lost_on_the_way_is_made_once_more(apart: Apart):
    with pytest.raises(Killed):
        await apart.restored(fittings=BEFORE_BLOBS)
    for file in apart.engines.data.glob("documents/audit.db*"):
        file.unlink()
    await apart.restored()
    async with house_in(apart.engines.data, apart.house.pairs) as again:
        log = f"/audit/v1/logs/{apart.house.stand.companies[0].id}/checkpoint"
        _, size, *_ = (await again.stand.client.get(log)).text.split("\n")
        assert int(size) > 0


async def test_a_run_that_another_has_taken_over_from_says_nothing_is_whole(apart: Apart):
    manifest = (await apart.house.reading().manifest()).note.sha256
    async with engines_in(apart.engines) as first:
        await first.begin(manifest)
        async with engines_in(apart.engines) as second:
            await second.begin(manifest)
            with pytest.raises(VersionConflict):
                async with first.making("audit"):
                    pass
            assert not await second.has("audit")


async def test_one_that_was_begun_with_another_backup_is_not_gone_on_with(apart: Apart):
    first_s = (await apart.house.reading().manifest()).manifest.taken_at_s - 60
    with pytest.raises(Killed):
        await apart.restored(fittings=BEFORE_BLOBS, at_s=first_s)
    shutil.rmtree(apart.beside.data)
    with pytest.raises(OtherRestore):
        await apart.restored()


async def test_said_again_it_tells_the_same_and_does_nothing(apart: Apart):
    first = await apart.restored()
    roots = apart.roots()
    assert await apart.restored() == first
    assert apart.roots() == roots


# ---- what it is told ----


def told(folder, service, **settings):
    (folder / service).mkdir(parents=True)
    for name, value in settings.items():
        if value is not None:
            (folder / service / f"voicefile_{name}").write_text(value)


S3 = {
    "s3_endpoint": "https://s3.test:9000",
    "s3_bucket": "vault",
    "s3_access_key": "key",
    "s3_secret_key": "secret-of-ours",
}


def all_told(folder, **changes):
    wanted = {
        "auth": {"mongo_uri": "mongodb://auth", "root_dir": "/root/auth"},
        "audit": {"mongo_uri": "mongodb://audit", "root_dir": "/root/audit"},
        "ingest": {"mongo_uri": "mongodb://ingest", **S3},
        "playback": {"mongo_uri": "mongodb://playback"},
    }
    for service, settings in wanted.items():
        told(folder, service, **{**settings, **changes.get(service, {})})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ingest": {"s3_bucket": None}}, "ingest can't be used without VOICEFILE_S3_BUCKET."),
        ({"auth": {"root_dir": None}}, "auth can't be used without VOICEFILE_ROOT_DIR."),
        (
            {"audit": {"root_dir": "/root/auth"}},
            "auth and audit can't have one root key: VOICEFILE_ROOT.",
        ),
        (
            {each: {"mongo_uri": "mongodb://all", "mongo_database": "one"} for each in STORES},
            "Two services can't have one database: VOICEFILE_MONGO_URI.",
        ),
    ],
)
async def test_settings_that_do_not_fit_are_named_and_not_shown(tmp_path: Path, changes, said):
    all_told(tmp_path, **changes)
    with pytest.raises(SettingsRefused) as refused:
        await into_engines(tmp_path).__aenter__()
    assert str(refused.value) == said


async def test_a_service_without_a_folder_is_named(tmp_path: Path):
    all_told(tmp_path)
    shutil.rmtree(tmp_path / "playback")
    with pytest.raises(SettingsRefused, match="no folder playback"):
        await into_engines(tmp_path).__aenter__()


async def test_they_have_one_name_whoever_opens_them(tmp_path: Path):
    names = []
    for n, changes in enumerate(
        [
            {},
            {"auth": {"mongo_uri": "mongodb://auth:other@auth"}},
            {"auth": {"mongo_uri": "mongodb://elsewhere"}},
            {"ingest": {"s3_bucket": "another"}},
        ]
    ):
        all_told(tmp_path / str(n), **changes)
        async with into_engines(tmp_path / str(n)) as destination:
            names.append(destination.name)
    assert names[0] == names[1]
    assert len(set(names)) == 3
