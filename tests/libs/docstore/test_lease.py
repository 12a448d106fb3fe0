"""Leases: never two leaders at once, soon another one, and work that is left in time.

Time here is a clock that the tests move on; the store is a real one.
"""

import asyncio
import heapq
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.quiet_machine import on_a_quiet_machine

from voicefile.docstore.lease import ALONE, LEASES, TTL_S, Lease, since_boot_s
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    StoreBroken,
    StoreUnavailable,
    VersionConflict,
)
from voicefile.docstore.sqlite import SqliteDocStore

STEP_S = 0.1


class Clock:
    """One machine's time. It moves by `passes` alone, in small steps that let everybody act."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.count = 0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.count += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (self.now + seconds, self.count, woken))
        await woken

    def wake(self) -> None:
        while self.sleepers and self.sleepers[0][0] <= self.now:
            woken = heapq.heappop(self.sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    async def passes(self, seconds: float, look: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.wake()
            await settle(look)


async def settle(look: Callable[[], None] = lambda: None) -> None:
    """Lets everybody do what can be done without time, the store's threads included."""
    quiet = 0
    while quiet < 8:
        await asyncio.sleep(0.0003 if Flaky.busy else 0)
        quiet = 0 if Flaky.busy else quiet + 1
        look()


class Flaky:
    """A store, seen from one machine: away, slow, or gone in the middle, as the test says."""

    busy = 0

    def __init__(self, store: DocStore) -> None:
        self.store = store
        self.away = False
        self.error: Exception = StoreUnavailable("away")
        self.deaf = False
        self.held: asyncio.Event | None = None
        self.slow: asyncio.Event | None = None
        self.asked: list[str] = []

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[None]:
        if self.away:
            raise self.error
        Flaky.busy += 1
        try:
            yield
        finally:
            Flaky.busy -= 1

    async def get(self, collection: Collection, document_id: str) -> Document | None:
        self.asked.append("get")
        async with self.reached():
            return await self.store.get(collection, document_id)

    async def insert(self, collection: Collection, document: Document) -> Document:
        async with self.reached():
            return await self.store.insert(collection, document)

    async def replace(self, collection: Collection, document: Document) -> Document:
        self.asked.append("replace")
        if self.held is not None:
            await self.held.wait()
        async with self.reached():
            stored = await self.store.replace(collection, document)
        if self.slow is not None:
            await self.slow.wait()
        if self.deaf:
            raise StoreUnavailable("the answer was lost")
        return stored


class Instance:
    """One machine that would like to lead."""

    def __init__(self, store: DocStore, clock: Clock, *, ttl_s: float = TTL_S) -> None:
        self.store = Flaky(store)
        self.clock = clock
        self.lease = Lease(self.store, "relay", ttl_s=ttl_s, now_s=clock.now_s, sleep=clock.sleep)
        self.working = False
        self.entered = 0
        self.slow_to_leave = asyncio.Event()
        self.slow_to_leave.set()
        self.cut = False
        self.task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        self.entered += 1
        self.working = True
        try:
            yield
            await self.slow_to_leave.wait()
        except asyncio.CancelledError:
            self.cut = True
            raise
        finally:
            self.working = False

    def start(self) -> None:
        self.task = asyncio.create_task(self.lease.while_leading(self.work))

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def die(self) -> None:
        """What kill -9 leaves: nobody renews, nobody releases."""
        self.store.away = True

    @property
    def leading(self) -> bool:
        return self.lease.leading


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [LEASES])
    yield store
    await store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pair(store: DocStore, clock: Clock) -> AsyncIterator[tuple[Instance, Instance]]:
    """Two instances; the first leads."""
    first, second = Instance(store, clock), Instance(store, clock)
    first.start()
    await clock.passes(0.2)
    second.start()
    await clock.passes(0.2)
    assert first.working
    assert not second.working
    yield first, second
    for each in (first, second):
        await each.stop()


async def test_whoever_comes_first_leads_at_once_and_for_as_long_as_it_lives(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    await clock.passes(5 * TTL_S)
    assert (first.leading, first.working, first.entered) == (True, True, 1)
    assert (second.leading, second.working, second.entered) == (False, False, 0)


async def test_who_stops_in_good_order_is_followed_at_the_next_look(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    await first.stop()
    assert not first.working
    assert not first.cut
    assert not first.leading
    await clock.passes(TTL_S / 12 + STEP_S)
    assert second.working


async def test_who_dies_is_followed_after_its_term(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.die()
    await clock.passes(TTL_S / 2)
    assert not second.leading
    await clock.passes(TTL_S / 2 + 3 * TTL_S / 12)
    assert second.working


async def test_a_holder_leaves_its_work_before_the_next_one_leads(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.die()

    def look() -> None:
        assert not (first.working and second.working)
        assert not (first.leading and second.leading)

    await clock.passes(3 * TTL_S, look)
    assert second.working
    assert not first.cut


async def test_work_that_will_not_end_is_cut_before_the_next_one_leads(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.slow_to_leave.clear()
    first.die()

    def look() -> None:
        assert not (first.working and second.working)

    await clock.passes(2 * TTL_S, look)
    assert second.working
    assert first.cut


async def test_a_stopped_process_finds_out_by_its_clock(store: DocStore) -> None:
    clocks = Clock(), Clock()
    first, second = (Instance(store, each) for each in clocks)
    first.start()
    await clocks[0].passes(0.2)
    second.start()
    await clocks[1].passes(2 * TTL_S)  # the first one's time stands still: SIGSTOP
    assert second.working
    clocks[0].now += 2 * TTL_S  # SIGCONT; its timers have not run yet
    assert not first.leading
    await clocks[0].passes(STEP_S)
    assert not first.working
    await first.stop()
    await second.stop()


async def test_a_store_that_is_away_ends_leadership_when_the_term_ends_and_not_before(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    second.store.away = True
    first.store.away = True
    await clock.passes(TTL_S / 3)
    assert first.working
    await clock.passes(TTL_S)
    assert not first.working
    first.store.away = False
    await clock.passes(2 * TTL_S / 12)
    assert first.working
    assert first.entered == 2


async def test_a_store_that_broke_is_no_leadership_either(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.store.error = second.store.error = StoreBroken("the disk refused")
    first.store.away = second.store.away = True
    await clock.passes(2 * TTL_S)
    assert not first.working
    assert not second.working


async def test_a_renewal_that_never_answers_ends_leadership_all_the_same(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.store.held = asyncio.Event()
    await clock.passes(TTL_S)
    assert not first.working
    await clock.passes(TTL_S)
    assert second.working
    first.store.held.set()
    first.store.held = None
    await clock.passes(TTL_S)
    assert not first.working
    assert second.working


async def test_a_term_counts_from_before_the_write_however_late_its_answer(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, _ = pair
    first.store.slow = asyncio.Event()
    await clock.passes(TTL_S * 0.85)  # renewed after a third at the latest, and not answered yet
    first.store.slow.set()
    await settle()
    first.store.away = True
    await clock.passes(TTL_S * 0.2)
    assert not first.leading


async def test_a_renewal_whose_answer_was_lost_counts_when_it_is_seen(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.store.deaf = True
    await clock.passes(TTL_S / 2)
    first.store.deaf = False
    await clock.passes(3 * TTL_S)
    assert first.working
    assert second.entered == 0


async def test_a_holder_renews_without_reading_before(
    pair: tuple[Instance, Instance], clock: Clock
) -> None:
    first, second = pair
    first.store.asked.clear()
    second.store.asked.clear()
    await clock.passes(3 * TTL_S)
    assert len(first.store.asked) >= 8
    assert set(first.store.asked) == {"replace"}
    assert set(second.store.asked) == {"get"}


async def test_a_holder_whose_lease_was_taken_over_sees_it_by_its_next_renewal(
    pair: tuple[Instance, Instance], clock: Clock, store: DocStore
) -> None:
    first, _ = pair
    stored = await store.get(LEASES, "relay")
    theirs = replace(stored, body={**stored.body, "holder": "somebody"})
    await store.replace(LEASES, theirs)
    await clock.passes(TTL_S / 3 + 2 * STEP_S)
    assert not first.leading
    kept = await store.get(LEASES, "relay")
    assert kept.body["holder"] == "somebody"


async def test_a_lease_that_was_deleted_by_hand_is_taken_anew(
    pair: tuple[Instance, Instance], clock: Clock, store: DocStore
) -> None:
    lease = await store.get(LEASES, "relay")
    while True:
        with suppress(VersionConflict):
            await store.delete(LEASES, lease)
            break
        lease = await store.get(LEASES, "relay")
    await clock.passes(2 * TTL_S)
    first, second = pair
    assert first.working != second.working


async def test_the_holders_own_term_counts_not_the_lookers(store: DocStore, clock: Clock) -> None:
    patient, hasty = Instance(store, clock, ttl_s=60), Instance(store, clock, ttl_s=1)
    patient.start()
    await clock.passes(1)
    hasty.start()
    patient.die()
    await clock.passes(39)
    assert patient.working
    assert not hasty.leading
    await clock.passes(24)
    assert hasty.working
    await hasty.stop()
    await patient.stop()


async def test_work_that_fails_ends_the_waiting_and_gives_the_lease_back(
    store: DocStore, clock: Clock
) -> None:
    class Failed(Exception):
        pass

    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            yield

    async def fail() -> None:
        await asyncio.sleep(0)
        raise Failed

    lease = Lease(store, "relay", now_s=clock.now_s, sleep=clock.sleep)
    with pytest.raises(BaseExceptionGroup) as raised:
        await lease.while_leading(failing)
    assert raised.group_contains(Failed)
    found = await store.get(LEASES, "relay")
    assert found.body["holder"] == ""


async def test_several_parts_lead_by_one_lease_until_the_last_has_stopped(
    store: DocStore, clock: Clock
) -> None:
    one, other = Instance(store, clock), Instance(store, clock)
    other.lease = one.lease
    one.start()
    other.start()
    await clock.passes(0.5)
    assert one.working
    assert other.working
    await one.stop()
    assert other.leading
    await clock.passes(3 * TTL_S)
    assert (other.working, other.entered) == (True, 1)
    await other.stop()
    found = await store.get(LEASES, "relay")
    assert found.body["holder"] == ""


async def test_work_that_is_still_entering_is_broken_off_by_a_stop(
    store: DocStore, clock: Clock
) -> None:
    begun = asyncio.Event()

    @asynccontextmanager
    async def endless() -> AsyncIterator[None]:
        begun.set()
        await asyncio.Event().wait()
        yield

    lease = Lease(store, "relay", now_s=clock.now_s, sleep=clock.sleep)
    waiting = asyncio.create_task(lease.while_leading(endless))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_alone_leads_always_and_leaves_in_good_order(store: DocStore, clock: Clock) -> None:
    alone = Instance(store, clock)
    alone.lease = ALONE
    assert alone.leading
    alone.start()
    await settle()
    assert alone.working
    await alone.stop()
    assert not alone.working
    assert not alone.cut
    assert await store.scan(LEASES) == []


async def test_without_any_clock_given_it_works_in_real_time(store: DocStore) -> None:
    class Noted:
        def __init__(self) -> None:
            self.working = asyncio.Event()

        @asynccontextmanager
        async def work(self) -> AsyncIterator[None]:
            self.working.set()
            yield

    first, second = Noted(), Noted()
    leading = asyncio.create_task(Lease(store, "relay", ttl_s=0.3).while_leading(first.work))
    await asyncio.wait_for(first.working.wait(), 5)
    waiting = asyncio.create_task(Lease(store, "relay", ttl_s=0.3).while_leading(second.work))
    await asyncio.sleep(0.5)
    assert not second.working.is_set()
    leading.cancel()
    await asyncio.wait_for(second.working.wait(), 5)
    waiting.cancel()
    await asyncio.gather(leading, waiting, return_exceptions=True)
    assert since_boot_s() <= since_boot_s()


@on_a_quiet_machine
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_two_never_lead_at_once_and_in_the_end_one_does(
    store: DocStore, seed: int
) -> None:
    """Three machines whose clocks are set differently; pauses, deaths, lost answers, stops."""
    chance = random.Random(seed)
    clocks = [Clock() for _ in range(3)]
    for clock in clocks:
        clock.now = chance.uniform(0, 1e6)
    instances = [Instance(store, clock) for clock in clocks]
    for each in instances:
        each.start()
    paused: dict[int, int] = {}

    def look() -> None:
        # Who is paused runs nothing: what it believes is told when it goes on.
        assert sum(each.leading for each in instances) <= 1
        awake = [each for at, each in enumerate(instances) if at not in paused]
        assert sum(each.working for each in awake) <= 1

    for _ in range(400):
        at = chance.randrange(3)
        each = instances[at]
        match chance.choice(["away", "back", "deaf", "hears", "pause", "stop", "", "", "", ""]):
            case "away":
                each.store.away = True
            case "back":
                each.store.away = False
            case "deaf":
                each.store.deaf = True
            case "hears":
                each.store.deaf = False
            case "pause" if not paused:
                paused[at] = chance.randrange(1, 100)
            case "stop" if at not in paused:
                await each.stop()
                each.start()
        for number, clock in enumerate(clocks):
            clock.now += STEP_S
            if number not in paused:
                clock.wake()
        paused = {number: left - 1 for number, left in paused.items() if left > 1}
        await settle(look)
    paused.clear()
    for each in instances:
        each.store.away = each.store.deaf = False
    for _ in range(round(3 * TTL_S / STEP_S)):
        for clock in clocks:
            clock.now += STEP_S
            clock.wake()
        await settle()
    assert sum(each.working for each in instances) == 1
    for each in instances:
        await each.stop()
