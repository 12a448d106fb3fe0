"""Two sequencers over one store: whatever stops one of them, and wherever it goes on again."""

import asyncio
import random
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from tests.services.audit.test_crashes import StoreWithInterruption, after_the_mending

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.errors import AppendFailed, AppendStopped, LogMoved
from voicefile.audit.events import received
from voicefile.docstore.port import StoreUnavailable, VersionConflict
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.port import NotNow

SMALL = {"segment_deeds_max": 3, "publish_segments_max": 2}
RACED = (LogMoved, VersionConflict)


async def brought(keeper: Any, batch: list[Any]) -> None:
    """As the bus does it: what was not taken comes again."""
    for _ in range(20):
        try:
            await keeper.append(batch)
        except LogMoved:
            continue
        return
    raise AssertionError("never taken")


async def published(keeper: Any, tenants: list[str]) -> None:
    """One round; who lost a race does it again in the next."""
    for tenant in tenants:
        try:
            await keeper.publish(tenant)
        except RACED:
            continue
        except BaseExceptionGroup as several:
            _, others = several.split(RACED)
            if others is not None:
                raise


async def life(keeper: Any, batches: list[Any], tenants: list[str]) -> None:
    for batch in batches:
        await brought(keeper, batch)
        await published(keeper, tenants)


@pytest.mark.parametrize("before", [0, 2])
async def test_a_leader_paused_between_any_two_steps_harms_nothing_when_it_goes_on(
    tmp_path, tenant, other_tenant, instance, keeper_of, check, before
) -> None:
    tenants = [tenant, other_tenant]
    for n in count():
        # A store of its own: how many steps there are depends on what was there before.
        docs = await SqliteDocStore.open(tmp_path / f"{n}.sqlite", COLLECTIONS)
        instance.n, instance.boot = 0, f"{n + 1:032x}"
        events = [instance.does(tenants[i % 3 == 0]) for i in range(9)]
        batches = [events[:2], events[2:7], events[7:8]]
        new = keeper_of(docs, **SMALL)

        async def led_by_another(new=new, events=events) -> None:
            # The bus brings the new leader what the old one had in hand, and more.
            await new.sequencer.recover()
            await life(new, [events[:5], events[4:]], tenants)

        store = StoreWithInterruption(docs, n, led_by_another)
        old = keeper_of(store, **SMALL)
        await life(old, batches[:before], tenants)
        with suppress(*RACED):
            for batch in batches[before:]:
                await old.append(batch)
            await published(old, tenants)
        paused = store.interrupted
        # Both have heard of each other by now, and everything comes once more to each of them.
        for keeper in (old, new):
            await life(keeper, [events], tenants)
        await after_the_mending(docs, events, tenants, check)
        await docs.close()
        if not paused:
            break
    assert n > 12


class StoreInTurns:
    """A store before each of whose operations somebody else may come first."""

    def __init__(self, docs: Any, chance: random.Random) -> None:
        self._docs, self._chance = docs, chance

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._docs, name)

        async def in_turn(*args: Any, **kwargs: Any) -> Any:
            for _ in range(self._chance.choice([0, 0, 1, 3, 9])):
                await asyncio.sleep(0)
            return await operation(*args, **kwargs)

        return in_turn


@pytest.mark.parametrize("seed", range(12))
async def test_two_that_both_believe_to_lead_make_one_log(
    docs, tenant, other_tenant, instance, keeper_of, check, seed
) -> None:
    chance = random.Random(seed)
    tenants = [tenant, other_tenant, ""]
    events = [instance.does(chance.choice(tenants)) for _ in range(60)]

    async def lead(keeper: Any) -> None:
        at = 0
        while at < len(events):
            batch = events[max(0, at - chance.randrange(5)) : at + chance.randrange(1, 9)]
            with suppress(*RACED):
                await keeper.append(batch)
                at = events.index(batch[-1]) + 1
            if chance.random() < 0.3:
                await published(keeper, tenants)

    keepers = [keeper_of(StoreInTurns(docs, chance), **SMALL) for _ in range(2)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as both:
        for keeper in keepers:
            both.create_task(lead(keeper))
    for keeper in keepers:
        await life(keeper, [events], tenants)
    written = {deed.tenant for event in events if (deed := received(event))}
    await after_the_mending(docs, events, sorted(written), check)


class StoreThatHolds:
    def __init__(self, docs: Any) -> None:
        self._docs = docs
        self.holding, self.reached = asyncio.Event(), asyncio.Event()
        self.go_on = asyncio.Event()
        self.away = False
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._docs, name)
        if name != "insert_many":
            return operation

        async def held(*args: Any, **kwargs: Any) -> Any:
            self.writes += 1
            if self.away:
                raise StoreUnavailable
            if self.holding.is_set():
                self.reached.set()
                await self.go_on.wait()
            return await operation(*args, **kwargs)

        return held


async def test_who_is_cut_off_in_the_middle_of_a_write_leaves_nobody_waiting(
    docs, tenant, instance, keeper_of, check
) -> None:
    store = StoreThatHolds(docs)
    store.holding.set()
    keeper, events = keeper_of(store), instance.does_often(tenant, 4)
    handling = asyncio.ensure_future(keeper.sequencer.handle(events))
    running = asyncio.ensure_future(keeper.sequencer.run())
    await store.reached.wait()
    later = asyncio.ensure_future(keeper.sequencer.handle(instance.does_often(tenant, 1)))
    await asyncio.sleep(0)
    running.cancel()
    for waiting in (handling, later):
        with pytest.raises(AppendStopped):
            await asyncio.wait_for(waiting, 5)
    with pytest.raises(AppendStopped):
        await keeper.sequencer.handle(events)
    # Leading again, nothing is believed of before.
    store.holding.clear()
    keeper.sequencer.begin()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        await keeper.sequencer.handle(events)
        await keeper.sequencer.stop()
    assert (await check(docs, tenant)).sequenced == 4


async def refused(keeper: Any, event: Any) -> str:
    """What the bus is told of a deed that is not taken."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        try:
            await keeper.sequencer.handle([event])
        except (NotNow, StoreUnavailable) as outage:
            return type(outage).__name__
        finally:
            await keeper.sequencer.stop()
    return "taken"


async def test_no_deed_is_to_blame_for_what_hinders_the_log(
    docs, tenant, instance, keeper_of
) -> None:
    store = StoreThatHolds(docs)
    store.away = True
    assert await refused(keeper_of(store), instance.does(tenant)) == "StoreUnavailable"
    store.away = False
    unforeseen = keeper_of(store)
    await unforeseen.sequencer.recover()
    unforeseen.sequencer._frontiers[tenant] = object()
    assert await refused(unforeseen, instance.does(tenant)) == "AppendFailed"
    behind = keeper_of(store)
    await behind.sequencer.recover()
    await keeper_of(docs).append([instance.does(tenant)])
    assert await refused(behind, instance.does(tenant)) == "LogMoved"


async def test_a_store_that_takes_too_long_is_no_deed_s_fault_either(
    docs, tenant, instance, keeper_of
) -> None:
    store = StoreThatHolds(docs)
    store.holding.set()
    keeper = keeper_of(store, handle_s_max=0.05)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        with pytest.raises(AppendFailed):
            await keeper.sequencer.handle([instance.does(tenant)])
        store.go_on.set()
        await keeper.sequencer.stop()


async def test_what_nobody_waits_for_any_more_holds_nobody_up(
    docs, tenant, instance, keeper_of, check
) -> None:
    store = StoreThatHolds(docs)
    store.holding.set()
    keeper = keeper_of(store, handle_s_max=0.05)
    events = instance.does_often(tenant, 3)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.sequencer.run())
        # The first is being written all the while; the others wait behind it, and give up.
        for event in events:
            with pytest.raises(AppendFailed):
                await keeper.sequencer.handle([event])
        writes = store.writes
        store.holding.clear()
        store.go_on.set()
        await keeper.sequencer.handle([events[0]])
        assert store.writes == writes, "given up, and not worked off"
        await keeper.sequencer.handle(events)
        await keeper.sequencer.stop()
    assert store.writes == writes + 1
    assert (await check(docs, tenant)).sequenced == 3
