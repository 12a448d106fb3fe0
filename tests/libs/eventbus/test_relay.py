"""The relay: an event leaves its document when the bus has it, and not before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from voicefile.docstore.lease import Work
from voicefile.docstore.port import Collection, DocStore, Document, PendingEvent
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.conformance import TOPIC, Listener, until
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import Event, Handler, Unreachable
from voicefile.eventbus.relay import PAUSE_FIRST_S, Relay

THINGS = Collection("things")
NOTES = Collection("notes", ephemeral=True)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class StumblingBroker:
    """Takes events in, and fails afterwards as often as told: nobody knows what it has."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[str] = []

    async def publish(self, events: Sequence[Event]) -> None:
        self.taken += [event.id for event in events]
        if self.failures:
            self.failures -= 1
            raise ConnectionError

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        raise NotImplementedError

    def running(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [THINGS, NOTES])
    yield store
    await store.close()


@pytest.fixture
def bus() -> MemoryEventBus:
    return MemoryEventBus(patience=Patience(backoff_s=0.0005))


def telling(name: str, *event_ids: str) -> Document:
    events = tuple(PendingEvent(each, TOPIC, name, each.encode()) for each in event_ids)
    return Document(name, "", {}, pending=events)


async def test_what_documents_carry_is_published_and_settled(
    store: DocStore, bus: MemoryEventBus
) -> None:
    listener = Listener()
    bus.subscribe(TOPIC, group="group", handler=listener)
    relay = Relay(store, bus, poll_s=3600)
    stored = await store.insert(THINGS, telling("a", "e1", "e2"))
    await store.insert(NOTES, telling("n", "e3"))
    async with bus.running(), relay.running():
        await until(lambda: len(listener.heard) == 3)
        second = await store.replace(THINGS, replace(stored, pending=telling("a", "e4").pending))
        relay.kick()
        await until(lambda: len(listener.heard) >= 4)
    assert [event.id for event in listener.first_heard()] == ["e1", "e2", "e3", "e4"]
    assert listener.heard[0] == Event("e1", TOPIC, "a", b"e1")
    assert await store.pending() == []
    assert await store.get(THINGS, "a") == replace(second, pending=())
    assert await store.get(NOTES, "n") is None


async def test_nobody_has_to_kick(store: DocStore, bus: MemoryEventBus) -> None:
    listener = Listener()
    bus.subscribe(TOPIC, group="group", handler=listener)
    async with bus.running(), Relay(store, bus, poll_s=0.01).running():
        await asyncio.sleep(0.02)
        await store.insert(THINGS, telling("a", "e1"))
        await until(lambda: bool(listener.heard))


async def test_events_outlive_their_document_and_the_process(
    tmp_path: Path, bus: MemoryEventBus
) -> None:
    listener = Listener()
    bus.subscribe(TOPIC, group="group", handler=listener)
    store = await SqliteDocStore.open(tmp_path / "first.db", [THINGS])
    await store.delete(THINGS, await store.insert(THINGS, telling("a", "e1")))
    await store.close()
    store = await SqliteDocStore.open(tmp_path / "first.db", [THINGS])
    async with bus.running():
        assert await Relay(store, bus).drain() == 0
    assert [event.id for event in listener.heard] == ["e1"]
    assert await store.pending() == []
    await store.close()


async def test_a_failing_broker_gets_it_twice_rather_than_never(store: DocStore) -> None:
    await store.insert(THINGS, telling("a", "e1"))
    broker = StumblingBroker(failures=1)
    async with Relay(store, broker, poll_s=0.01).running():
        await until(lambda: len(broker.taken) == 2)
    assert broker.taken == ["e1", "e1"]
    assert await store.pending() == []


async def test_nothing_is_settled_that_the_broker_did_not_confirm(store: DocStore) -> None:
    stored = await store.insert(THINGS, telling("a", "e1"))
    relay = Relay(store, StumblingBroker(failures=1))
    with pytest.raises(ConnectionError):
        await relay.drain()
    assert await store.pending() == [(THINGS, stored)]
    assert await relay.drain() == 0
    assert await store.pending() == []


async def test_poison_waits_ever_longer_while_the_rest_goes_on(
    store: DocStore, bus: MemoryEventBus
) -> None:
    clock, ill = Clock(), True
    tries: list[float] = []

    def fails(batch: Sequence[Event]) -> bool:
        poison = any(event.id == "poison" for event in batch)
        if poison and len(batch) == 1:
            tries.append(clock.now_s)
        return poison and ill

    listener = Listener(fails)
    bus.subscribe(TOPIC, group="group", handler=listener)
    relay = Relay(store, bus, now_s=clock)
    await store.insert(THINGS, telling("a", "poison", "e1"))
    async with bus.running():
        assert await relay.drain() == 1
        await store.insert(THINGS, telling("b", "e2"))
        for _ in range(200):
            await relay._pass()
            clock.now_s += PAUSE_FIRST_S / 2
        assert listener.has([Event(each, TOPIC, "", b"") for each in ("e1", "e2")])
        offered = sorted(set(tries))
        pauses = [later - earlier for earlier, later in pairwise(offered)]
        assert pauses == sorted(pauses)
        assert pauses[-1] >= 8 * PAUSE_FIRST_S
        [(_, left)] = await store.pending()
        assert [event.id for event in left.pending] == ["poison"]
        ill = False
        assert await relay.drain() == 0
        assert await store.pending() == []


async def test_a_group_that_is_down_does_not_hide_new_events_from_others(
    store: DocStore, bus: MemoryEventBus
) -> None:
    healthy, down = Listener(), Listener(lambda _: True)
    bus.subscribe(TOPIC, group="healthy", handler=healthy)
    bus.subscribe(TOPIC, group="down", handler=down)
    relay = Relay(store, bus, now_s=Clock())
    await store.insert_many(THINGS, [telling(f"s{n}", f"stuck{n}") for n in range(1200)])
    await store.insert(THINGS, telling("a", "e1"))
    async with bus.running():
        for _ in range(3):
            await relay._pass()
    assert healthy.heard[-1].id == "e1"
    assert len(healthy.heard) == 1201
    assert down.heard == []
    assert len(await store.pending(2000)) == 1201


async def test_the_oldest_age_tells_how_far_behind_it_is(store: DocStore) -> None:
    clock = Clock()
    broker = StumblingBroker(failures=2)
    relay = Relay(store, broker, now_s=clock)
    assert relay.oldest_age_s == 0
    await store.insert(THINGS, telling("a", "e1"))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await relay.drain()
        clock.now_s += 30
        await store.insert(THINGS, telling(str(clock.now_s), str(clock.now_s)))
    assert relay.oldest_age_s == 60
    await relay.drain()
    assert relay.oldest_age_s == 0


async def test_leaving_finishes_the_batch_under_way(store: DocStore) -> None:
    begun = asyncio.Event()

    class SlowBroker(StumblingBroker):
        async def publish(self, events: Sequence[Event]) -> None:
            begun.set()
            await asyncio.sleep(0.02)
            await super().publish(events)

    await store.insert(THINGS, telling("a", "e1"))
    broker = SlowBroker(failures=0)
    async with Relay(store, broker).running():
        await begun.wait()
    assert broker.taken == ["e1"]
    assert await store.pending() == []


async def test_writers_and_relay_side_by_side_lose_nothing(
    store: DocStore, bus: MemoryEventBus
) -> None:
    listener = Listener()
    bus.subscribe(TOPIC, group="group", handler=listener)
    relay = Relay(store, bus, poll_s=0.001)

    async def write(name: str) -> None:
        document = await store.insert(THINGS, telling(name, f"{name}-00"))
        for number in range(1, 20):
            news = telling(name, f"{name}-{number:02d}").pending
            document = await store.replace(THINGS, replace(document, pending=news))

    async with bus.running(), relay.running():
        async with asyncio.TaskGroup() as writers:
            for number in range(10):
                writers.create_task(write(f"w{number}"))
        await relay.drain()
    assert await store.pending() == []
    for number in range(10):
        heard = [event.id for event in listener.first_heard() if event.key == f"w{number}"]
        assert heard == [f"w{number}-{each:02d}" for each in range(20)]


class Broken(StumblingBroker):
    """A broker of which a part may be away: it says which events it could not take."""

    def __init__(self) -> None:
        super().__init__(failures=0)
        self.away: set[str] = set()
        self.calls: list[list[str]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        self.calls.append([event.id for event in events])
        self.taken += [event.id for event in events if event.id not in self.away]
        if self.away:
            raise Unreachable(frozenset(self.away & {event.id for event in events}))


async def test_nothing_is_looked_past_while_the_bus_is_away(store: DocStore) -> None:
    broker = Broken()
    broker.away = {"e1"}
    stored = await store.insert(THINGS, telling("a", "e1"))
    await store.insert(THINGS, telling("b", "f1"))
    relay = Relay(store, broker)
    with pytest.raises(Unreachable):
        await relay.drain()
    assert broker.taken == ["f1"]
    await store.replace(THINGS, replace(stored, pending=telling("a", "e2").pending))
    broker.away = set()
    assert await relay.drain() == 0
    assert broker.taken == ["f1", "e1", "e2"]
    assert await store.pending() == []


async def test_while_the_bus_is_away_the_store_is_not_asked_what_waits(store: DocStore) -> None:
    asked = 0

    class Asked:
        async def pending(self, limit: int) -> list[tuple[Collection, Document]]:
            nonlocal asked
            asked += 1
            return await store.pending(limit)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    broker = Broken()
    broker.away = {"e1", "f1", "g1"}
    stored = await store.insert(THINGS, telling("a", "e1"))
    await store.insert(THINGS, telling("b", "f1"))
    relay = Relay(cast("DocStore", Asked()), broker)
    for _ in range(5):
        with pytest.raises(Unreachable):
            await relay.drain()
    assert (asked, len(broker.calls)) == (1, 5)
    # What came meanwhile comes behind, in its order.
    await store.replace(THINGS, replace(stored, pending=telling("a", "e2").pending))
    broker.away = set()
    assert await relay.drain() == 0
    assert broker.taken == ["e1", "f1", "e2"]
    assert await store.pending() == []


async def test_a_relay_that_nobody_reaches_is_not_hurried_by_kicks(store: DocStore) -> None:
    broker = Broken()
    broker.away = {"e1"}
    await store.insert(THINGS, telling("a", "e1"))
    relay = Relay(store, broker, poll_s=0.001)
    async with relay.running():
        await until(lambda: bool(broker.calls))
        for _ in range(20):
            relay.kick()
            await asyncio.sleep(0.002)
        assert len(broker.calls) == 1
        broker.away = set()
        await until(lambda: broker.taken == ["e1"])


class Switch:
    """A leadership that a test gives and takes."""

    def __init__(self) -> None:
        self.leading = False
        self._changed = asyncio.Condition()

    async def set(self, leading: bool) -> None:
        async with self._changed:
            self.leading = leading
            self._changed.notify_all()

    async def _until(self, leading: bool) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.leading == leading)

    async def while_leading(self, work: Work) -> None:
        while True:
            await self._until(leading=True)
            async with work():
                with suppress(asyncio.CancelledError):
                    await self._until(leading=False)
                    continue
            return


async def test_only_the_leader_publishes_and_its_successor_goes_on_in_order(
    store: DocStore,
) -> None:
    broker = Broken()
    first, second = Switch(), Switch()
    one = Relay(store, broker, leadership=first, poll_s=0.001)
    other = Relay(store, broker, leadership=second, poll_s=0.001)
    await store.insert(THINGS, telling("a", "e1"))
    async with one.running(), other.running():
        await asyncio.sleep(0.02)
        assert broker.calls == []
        await first.set(leading=True)
        await until(lambda: broker.taken == ["e1"])
        await first.set(leading=False)
        await asyncio.sleep(0.02)
        await store.insert(THINGS, telling("b", "e2"))
        await asyncio.sleep(0.02)
        assert broker.taken == ["e1"]
        await second.set(leading=True)
        await until(lambda: broker.taken == ["e1", "e2"])


async def test_what_an_ousted_leader_still_sends_brings_nothing_out_of_order(
    store: DocStore,
) -> None:
    """Whatever a leader had in hand when it was ousted comes late, and changes no first coming."""
    go_on = asyncio.Event()
    log: list[str] = []

    class Frozen(Broken):
        async def publish(self, events: Sequence[Event]) -> None:
            await go_on.wait()
            log.extend(event.id for event in events)

    class Quick(Broken):
        async def publish(self, events: Sequence[Event]) -> None:
            log.extend(event.id for event in events)

    stored = await store.insert(THINGS, telling("a", "e1", "e2"))
    ousted, leader = Relay(store, Frozen()), Relay(store, Quick())
    async with asyncio.TaskGroup() as tasks:
        late = tasks.create_task(ousted.drain())
        await asyncio.sleep(0.02)
        await leader.drain()
        await store.replace(THINGS, replace(stored, pending=telling("a", "e3").pending))
        await leader.drain()
        go_on.set()
        await late
    assert log == ["e1", "e2", "e3", "e1", "e2"]
    assert list(dict.fromkeys(log)) == ["e1", "e2", "e3"]
    assert await store.pending() == []


async def test_a_bus_that_may_lose_its_log_is_asked_before_anything_is_published(
    store: DocStore,
) -> None:
    class Forgetful(Broken):
        async def mend(self) -> None:
            self.taken.append("mended")

    broker = Forgetful()
    await store.insert(THINGS, telling("a", "e1"))
    async with Relay(store, broker, poll_s=0.001).running():
        await until(lambda: len(broker.taken) == 2)
    assert broker.taken == ["mended", "e1"]
