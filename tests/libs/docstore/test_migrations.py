"""Migrations: each step once, in order, however often it was interrupted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.libs.docstore.mongo_places import shared_place

from voicefile.docstore.migrations import (
    MIGRATIONS,
    MigrationsDisagree,
    Step,
    migrate,
    outstanding,
)
from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.port import Collection, DocStore, Document, StoreIsNewer
from voicefile.docstore.sqlite import SqliteDocStore

THINGS = Collection("things")


class PowerCut(Exception):
    pass


@pytest.fixture(params=["sqlite", "mongo"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DocStore]:
    kept = [THINGS, MIGRATIONS]
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            store: DocStore = await SqliteDocStore.open(tmp_path / "store.db", kept)
        else:
            place = stack.enter_context(shared_place())
            store = await MongoDocStore.open(place.uri, place.database, kept, tls_ca=place.ca)
        stack.push_async_callback(store.close)
        for name in ("a", "b", "c"):
            await store.insert(THINGS, Document(name, "", {"size": "3"}))
        yield store


async def numbers_for_text(store: DocStore) -> None:
    for document in await store.scan(THINGS):
        if isinstance(document.body["size"], str):
            await store.replace(THINGS, replace(document, body={"size": 3}))


async def rename_size(store: DocStore) -> None:
    for document in await store.scan(THINGS):
        if "size" in document.body:
            await store.replace(THINGS, replace(document, body={"bytes": document.body["size"]}))


STEPS = [Step(1, "numbers-for-text", numbers_for_text), Step(2, "rename-size", rename_size)]


async def test_steps_run_once_and_in_order(store: DocStore) -> None:
    ran = await migrate(store, STEPS, code_version="1.0", now_s=lambda: 5.0)
    assert ran == STEPS
    assert [each.body for each in await store.scan(THINGS)] == [{"bytes": 3}] * 3
    versions = [each.version for each in await store.scan(THINGS)]
    assert await migrate(store, STEPS, code_version="1.1") == []
    assert [each.version for each in await store.scan(THINGS)] == versions
    records = [each.body for each in await store.scan(MIGRATIONS)]
    assert records[1] == {
        "number": 2, "name": "rename-size", "code_version": "1.0", "done_at_s": 5,
    }  # fmt: skip


async def test_a_step_cut_off_in_the_middle_is_taken_up_again(store: DocStore) -> None:
    async def cut(store: DocStore) -> None:
        first, *_ = await store.scan(THINGS)
        await store.replace(THINGS, replace(first, body={"bytes": 3}))
        raise PowerCut

    with pytest.raises(PowerCut):
        await migrate(store, [STEPS[0], Step(2, "rename-size", cut)], code_version="1.0")
    assert [each.number for each in await outstanding(store, STEPS)] == [2]
    assert await migrate(store, STEPS, code_version="1.0") == [STEPS[1]]
    assert [each.body for each in await store.scan(THINGS)] == [{"bytes": 3}] * 3


async def test_two_instances_may_migrate_side_by_side(store: DocStore) -> None:
    async def meanwhile(_: DocStore) -> None:
        await migrate(store, STEPS[:1], code_version="other")

    await migrate(store, [replace(STEPS[0], run=meanwhile)], code_version="1.0")
    assert [each.body["code_version"] for each in await store.scan(MIGRATIONS)] == ["other"]


async def test_a_store_newer_than_the_code_is_left_alone(store: DocStore) -> None:
    await migrate(store, STEPS, code_version="2.0")
    with pytest.raises(StoreIsNewer):
        await migrate(store, STEPS[:1], code_version="1.0")


@pytest.mark.parametrize(
    "steps",
    [
        [replace(STEPS[0], name="something-else")],
        [replace(STEPS[0], number=2)],
        [STEPS[1], STEPS[0]],
    ],
)
async def test_history_is_not_rewritten(store: DocStore, steps: list[Step]) -> None:
    await migrate(store, STEPS[:1], code_version="1.0")
    with pytest.raises(MigrationsDisagree):
        await migrate(store, steps, code_version="1.1")
