"""Of several instances that start together one takes the steps; the others find nothing to do."""

import asyncio
from pathlib import Path

import pytest

from voicefile.cli.apart.migrating import LEASE, migrated
from voicefile.cli.store_plan import StorePlan
from voicefile.docstore.lease import LEASES
from voicefile.docstore.migrations import MIGRATIONS, MigrationsDisagree, Step
from voicefile.docstore.port import Collection, Document, StoreIsNewer, StoreUnavailable
from voicefile.docstore.sqlite import SqliteDocStore

THINGS = Collection("things")


class Steps:
    """Steps that count how often they run and never run side by side."""

    def __init__(self, count: int) -> None:
        self.ran: list[int] = []
        self.inside = 0
        self.steps = [Step(n, f"step {n}", self._step(n)) for n in range(1, count + 1)]

    def _step(self, number: int):
        async def run(store) -> None:
            self.inside += 1
            assert self.inside == 1
            await asyncio.sleep(0.05)
            await store.insert(THINGS, Document(f"{number}-{len(self.ran)}", "", {}))
            self.ran.append(number)
            self.inside -= 1

        return run


@pytest.fixture
async def store(tmp_path: Path):
    store = await SqliteDocStore.open(tmp_path / "a.db", (THINGS, LEASES, MIGRATIONS))
    yield store
    await store.close()


async def test_a_store_that_is_up_to_date_needs_no_lease(store):
    plan = StorePlan((THINGS,), Steps(2).steps)
    await migrated(store, plan)
    before = await store.get(LEASES, LEASE)
    assert await migrated(store, plan) == []
    assert await store.get(LEASES, LEASE) == before


async def test_of_several_that_start_together_one_takes_the_steps(store):
    steps = Steps(3)
    plan = StorePlan((THINGS,), steps.steps)
    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(migrated(store, plan)) for _ in range(4)]
    assert steps.ran == [1, 2, 3]
    assert sorted(len(start.result()) for start in starts) == [0, 0, 0, 3]


async def test_a_store_of_newer_code_is_refused_before_anything_else(store):
    await migrated(store, StorePlan((THINGS,), Steps(2).steps))
    with pytest.raises(StoreIsNewer):
        await migrated(store, StorePlan((THINGS,), Steps(1).steps))


async def test_a_store_that_went_another_way_is_refused(store):
    await migrated(store, StorePlan((THINGS,), Steps(1).steps))
    other = [Step(1, "another", Steps(1).steps[0].run)]
    with pytest.raises(MigrationsDisagree):
        await migrated(store, StorePlan((THINGS,), other))


async def test_a_step_that_finds_the_store_away_ends_the_start_and_runs_at_the_next(store):
    async def away(_store) -> None:
        raise StoreUnavailable

    plan = StorePlan((THINGS,), [Step(1, "step 1", away)])
    with pytest.raises(ExceptionGroup) as ended:
        await migrated(store, plan)
    assert ended.group_contains(StoreUnavailable)
    steps = Steps(1)
    assert len(await migrated(store, StorePlan((THINGS,), steps.steps))) == 1
