"""What a backup has of the log fits together, though the log goes on while it is dumped."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.services.audit.conftest import Instance, Keeper, key_of, new_id

from voicefile.audit.app import COLLECTIONS, DUMPED
from voicefile.audit.check import Report, check_log
from voicefile.audit.errors import LogDamaged
from voicefile.audit.store import PULSE
from voicefile.docstore.lease import LEASES
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.changes import documents_of
from voicefile.dumps.dump import Item
from voicefile.dumps.segment import unpacked

ALL = (*COLLECTIONS, MIGRATIONS)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteDocStore]:
    store = await SqliteDocStore.open(tmp_path / "audit.db", ALL)
    yield store
    await store.close()


async def restored_while_it_goes_on(
    log: SqliteDocStore, path: Path, order: Sequence[Collection]
) -> Report:
    """Ten deeds more, and a checkpoint over them, before each collection is read."""
    keeper, instance, tenant = Keeper(log), Instance(), new_id()
    await keeper.append(instance.does_often(tenant, 20))
    await keeper.publish(tenant)
    copy = await SqliteDocStore.open(path, ALL)
    by_name = {each.name: each for each in ALL}
    for collection in order:
        await keeper.append(instance.does_often(tenant, 10))
        await keeper.publish(tenant)
        begun = await documents_of(log, [collection])("")
        async for item in begun.items:
            assert isinstance(item, Item)
            if item.kind != MIGRATIONS.name:
                await copy.insert_many(by_name[item.kind], [unpacked(item.content)])
    try:
        again = Keeper(copy)
        await again.sequencer.recover()
        await again.append(instance.does_often(tenant, 1))
        await again.publish(tenant)
        return await check_log(copy, tenant, key_of(tenant))
    finally:
        await copy.close()


def test_all_of_the_store_is_in_a_backup_but_who_leads_just_now():
    assert len(DUMPED) == len(set(DUMPED))
    assert set(DUMPED) == set(COLLECTIONS) - {LEASES, PULSE}


async def test_a_log_that_goes_on_while_it_is_dumped_is_whole_in_the_backup(
    log: SqliteDocStore, tmp_path: Path
):
    report = await restored_while_it_goes_on(log, tmp_path / "copy.db", DUMPED)
    assert report.published == report.sequenced > 20


async def test_read_in_the_order_of_writing_it_would_not_be(log: SqliteDocStore, tmp_path: Path):
    with pytest.raises(LogDamaged):
        await restored_while_it_goes_on(log, tmp_path / "copy.db", DUMPED[::-1])
