"""The memory bus keeps the law, and what it adds: safe means handled."""

import asyncio
from collections.abc import Sequence

import pytest

from voicefile.docstore.port import StoreUnavailable
from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.conformance import TOPIC, EventBusConformance, Listener, some_events
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import Event, EventBus, NotNow, Undelivered

HASTY = Patience(backoff_s=0.0005)


class TestMemory(EventBusConformance):
    @pytest.fixture
    def bus(self) -> EventBus:
        return MemoryEventBus(patience=HASTY)


@pytest.fixture
def rung() -> list[DeadLetter]:
    return []


@pytest.fixture
def bus(rung: list[DeadLetter]) -> MemoryEventBus:
    return MemoryEventBus(patience=HASTY, on_dead_letter=rung.append)


async def undelivered(bus: EventBus, events: Sequence[Event]) -> set[str]:
    try:
        await bus.publish(events)
    except Undelivered as refused:
        return set(refused.event_ids)
    return set()


async def test_publish_returns_when_every_group_has_handled_every_event(
    bus: MemoryEventBus,
) -> None:
    ended: list[str] = []

    async def slow(_: Sequence[Event]) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        ended.append("slow")

    async def quick(_: Sequence[Event]) -> None:
        ended.append("quick")

    bus.subscribe(TOPIC, group="slow", handler=slow)
    bus.subscribe(TOPIC, group="quick", handler=quick)
    async with bus.running():
        await bus.publish(some_events(1))
        assert ended == ["quick", "slow"]


async def test_batches_have_a_limit() -> None:
    bus = MemoryEventBus(patience=Patience(batch_max=7))
    sizes: list[int] = []

    async def handler(events: Sequence[Event]) -> None:
        sizes.append(len(events))

    bus.subscribe(TOPIC, group="group", handler=handler)
    async with bus.running():
        await bus.publish(some_events(20))
    assert sizes == [7, 7, 6]


async def test_poison_stays_with_its_publisher_and_rings_once(
    bus: MemoryEventBus, rung: list[DeadLetter]
) -> None:
    events = some_events(10)
    poison, healed = events[3], False
    tries = 0

    def fails(batch: Sequence[Event]) -> bool:
        nonlocal tries
        tries += list(batch) == [poison]
        return poison in batch and not healed

    listener = Listener(fails)
    bus.subscribe(TOPIC, group="group", handler=listener)
    async with bus.running():
        assert await undelivered(bus, events) == {poison.id}
        assert tries == HASTY.tries_max
        letter = DeadLetter(TOPIC, "group", poison.id, poison.key, reason="ConnectionError")
        assert rung == bus.dead_letters == [letter]
        # It holds the others up no more: one try each time it comes again.
        assert await undelivered(bus, [poison]) == {poison.id}
        assert tries == HASTY.tries_max + 2  # as a batch and alone
        assert len(rung) == 1
        healed = True
        assert await undelivered(bus, [poison]) == set()
        assert bus.dead_letters == []
    assert listener.has(events)


async def test_a_group_that_is_down_gives_everything_back_soon(
    bus: MemoryEventBus, rung: list[DeadLetter]
) -> None:
    calls = 0

    async def down(_: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError

    healthy = Listener()
    bus.subscribe(TOPIC, group="down", handler=down)
    bus.subscribe(TOPIC, group="healthy", handler=healthy)
    events = some_events(1000)
    async with bus.running():
        assert await undelivered(bus, events) == {event.id for event in events}
        assert healthy.has(events)
        assert calls <= 3 * HASTY.tries_max + 1
        assert len(rung) == 3


async def test_a_handler_that_hangs_has_failed() -> None:
    bus = MemoryEventBus(patience=Patience(handler_s=0.005, backoff_s=0.0005, tries_max=2))

    async def hangs(_: Sequence[Event]) -> None:
        await asyncio.Event().wait()

    bus.subscribe(TOPIC, group="group", handler=hangs)
    events = some_events(2)
    async with bus.running():
        assert await undelivered(bus, events) == {event.id for event in events}


async def test_a_handler_that_cancels_itself_has_failed_and_the_lane_lives(
    bus: MemoryEventBus,
) -> None:
    cancels = True

    async def handler(_: Sequence[Event]) -> None:
        if cancels:
            raise asyncio.CancelledError

    bus.subscribe(TOPIC, group="group", handler=handler)
    events = some_events(2)
    async with bus.running():
        assert await undelivered(bus, events) == {event.id for event in events}
        cancels = False
        assert await undelivered(bus, events) == set()


async def test_a_bus_at_rest_takes_nothing(bus: MemoryEventBus) -> None:
    bus.subscribe(TOPIC, group="group", handler=Listener())
    events = some_events(2)
    assert await undelivered(bus, events) == {event.id for event in events}
    async with bus.running():
        assert await undelivered(bus, events) == set()
    assert await undelivered(bus, events) == {event.id for event in events}
    async with bus.running():
        assert await undelivered(bus, events) == set()


async def test_leaving_gives_back_what_was_not_handled() -> None:
    bus = MemoryEventBus(patience=Patience(batch_max=1))
    begun, go_on = asyncio.Event(), asyncio.Event()
    handled: list[str] = []

    async def handler(events: Sequence[Event]) -> None:
        begun.set()
        await go_on.wait()
        handled.extend(event.id for event in events)

    bus.subscribe(TOPIC, group="group", handler=handler)
    events = some_events(6)
    async with asyncio.TaskGroup() as tasks, bus.running():
        first = tasks.create_task(undelivered(bus, events[:3]))
        second = tasks.create_task(undelivered(bus, events[3:]))
        await begun.wait()
        asyncio.get_running_loop().call_soon(go_on.set)
    assert handled == [events[0].id]
    assert first.result() | second.result() == {event.id for event in events[1:]}


async def test_a_lane_that_is_cancelled_leaves_no_publisher_waiting(bus: MemoryEventBus) -> None:
    begun = asyncio.Event()

    async def handler(_: Sequence[Event]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def run() -> None:
        async with bus.running():
            await asyncio.Event().wait()

    bus.subscribe(TOPIC, group="group", handler=handler)
    events = some_events(1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run())
        await asyncio.sleep(0)
        publishing = [tasks.create_task(undelivered(bus, events)) for _ in range(2)]
        await begun.wait()
        running.cancel()
    assert [each.result() for each in publishing] == [{events[0].id}] * 2


async def test_a_group_hears_a_topic_once(bus: MemoryEventBus) -> None:
    bus.subscribe(TOPIC, group="group", handler=Listener())
    with pytest.raises(ValueError, match="already hears"):
        bus.subscribe(TOPIC, group="group", handler=Listener())
    async with bus.running():
        with pytest.raises(RuntimeError):
            bus.subscribe(TOPIC, group="late", handler=Listener())


@pytest.mark.parametrize("outage", [NotNow, StoreUnavailable])
async def test_no_event_is_to_blame_while_the_engines_of_a_handler_are_away(
    bus: MemoryEventBus, rung: list[DeadLetter], outage: type[Exception]
) -> None:
    calls = 0

    async def waits(_: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        raise KeyError from outage()

    bus.subscribe(TOPIC, group="group", handler=waits)
    events = some_events(300)
    async with bus.running():
        assert await undelivered(bus, events) == {event.id for event in events}
    assert calls == 1
    assert rung == []
