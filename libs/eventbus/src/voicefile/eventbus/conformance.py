"""The law of the event bus, and the bus that delivers everything twice.

An adapter's tests subclass EventBusConformance. A service's tests wrap their bus in `Twice`: a
handler that is not safe to repeat shows there, not on the day a broker stumbles.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import pytest

from voicefile.eventbus.port import Event, EventBus, Handler, NotNow, Undelivered

TOPIC = "voicefile.tested.v1"
OTHER_TOPIC = "voicefile.other.v1"
PATIENCE_S = 30.0


class Twice:
    """A bus around another, in which every batch is handled twice."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    async def publish(self, events: Sequence[Event]) -> None:
        await self._bus.publish(events)

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        async def handle_twice(events: Sequence[Event]) -> None:
            await handler(events)
            await handler(events)

        self._bus.subscribe(topic, group=group, handler=handle_twice)

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._bus.running()


class Listener:
    """A handler that keeps what it hears, and fails when told to."""

    def __init__(self, fails: Callable[[Sequence[Event]], bool] = lambda _: False) -> None:
        self.heard: list[Event] = []
        self._fails = fails

    async def __call__(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        if self._fails(events):
            raise ConnectionError
        self.heard += events

    def has(self, events: Sequence[Event]) -> bool:
        """Whether each of the events has come at least once."""
        return {event.id for event in events} <= {event.id for event in self.heard}

    def first_heard(self) -> list[Event]:
        """Each event once, in the order of its first coming."""
        return list({event.id: event for event in reversed(self.heard)}.values())[::-1]


def some_events(count: int, *, topic: str = TOPIC, keys: int = 3) -> list[Event]:
    """Events of a few keys; ids count up."""
    return [
        Event(f"{topic}-{number:04d}", topic, f"key-{number % keys}", b"\x00\xff%d" % number)
        for number in range(count)
    ]


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what a bus does in its own time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a broker has no event to wait for
            await asyncio.sleep(0.005)


async def publish_in_the_end(bus: EventBus, events: Sequence[Event]) -> None:
    """As a relay does: what is not safe comes again, in order."""
    left = list(events)
    while left:
        try:
            await bus.publish(left)
        except Undelivered as refused:
            left = [event for event in left if event.id in refused.event_ids]
            await asyncio.sleep(0.005)
            continue
        return


class EventBusConformance:
    """At least once to every group, in order per key, whatever single handlers do."""

    @pytest.fixture
    def bus(self) -> EventBus:
        """Overridden by the adapter's tests: a bus nobody has subscribed to yet."""
        raise NotImplementedError

    async def test_every_group_hears_every_event_of_its_topics(self, bus: EventBus) -> None:
        first, second, other = Listener(), Listener(), Listener()
        bus.subscribe(TOPIC, group="first", handler=first)
        bus.subscribe(TOPIC, group="second", handler=second)
        bus.subscribe(OTHER_TOPIC, group="second", handler=other)
        events, others = some_events(250), some_events(3, topic=OTHER_TOPIC)
        async with bus.running():
            await bus.publish([*events, *others])
            await until(lambda: first.has(events) and second.has(events) and other.has(others))
        assert {event.topic for event in first.heard + second.heard} == {TOPIC}
        assert sorted(first.first_heard(), key=lambda each: each.id) == events
        assert sorted(other.first_heard(), key=lambda each: each.id) == others

    async def test_the_order_of_a_key_is_kept(self, bus: EventBus) -> None:
        calls = 0

        def fails_now_and_then(_: Sequence[Event]) -> bool:
            nonlocal calls
            calls += 1
            return calls % 3 == 0

        listener = Listener(fails_now_and_then)
        bus.subscribe(TOPIC, group="group", handler=listener)
        events = some_events(200)
        async with bus.running():
            for start in range(0, 200, 50):
                await bus.publish(events[start : start + 50])
            await until(lambda: listener.has(events))
        for key in {event.key for event in events}:
            heard = [event.id for event in listener.first_heard() if event.key == key]
            assert heard == sorted(heard)

    async def test_what_a_handler_failed_on_comes_again(self, bus: EventBus) -> None:
        failures = 2

        def fails_at_first(_: Sequence[Event]) -> bool:
            nonlocal failures
            failures -= 1
            return failures >= 0

        listener = Listener(fails_at_first)
        bus.subscribe(TOPIC, group="group", handler=listener)
        events = some_events(5)
        async with bus.running():
            await bus.publish(events)
            await until(lambda: listener.has(events))
        assert failures < 0

    async def test_groups_do_not_wait_for_a_failing_one(self, bus: EventBus) -> None:
        healthy, failing = Listener(), Listener(lambda _: True)
        bus.subscribe(TOPIC, group="failing", handler=failing)
        bus.subscribe(TOPIC, group="healthy", handler=healthy)
        events = some_events(20)
        async with bus.running():
            for start in (0, 10):
                with suppress(Undelivered):
                    await bus.publish(events[start : start + 10])
            await until(lambda: healthy.has(events))
        assert failing.heard == []

    async def test_poison_does_not_hold_up_the_rest(self, bus: EventBus) -> None:
        events = some_events(30)
        poison = events[7]
        listener = Listener(lambda batch: poison in batch)
        bus.subscribe(TOPIC, group="group", handler=listener)
        rest = [event for event in events if event != poison]
        async with bus.running():
            with suppress(Undelivered):
                await bus.publish(events[:20])
            await bus.publish(events[20:])
            await until(lambda: listener.has(rest))
        assert poison not in listener.heard

    async def test_no_event_is_to_blame_for_engines_that_are_away(self, bus: EventBus) -> None:
        calls, listener = 0, Listener()

        async def handler(events: Sequence[Event]) -> None:
            nonlocal calls
            calls += 1
            if calls <= 3:
                raise NotNow
            await listener(events)

        bus.subscribe(TOPIC, group="group", handler=handler)
        events = some_events(20)
        async with bus.running():
            await publish_in_the_end(bus, events)
            await until(lambda: listener.has(events))
        for key in {event.key for event in events}:
            heard = [event.id for event in listener.first_heard() if event.key == key]
            assert heard == sorted(heard)

    async def test_a_bus_at_rest_takes_nothing(self, bus: EventBus) -> None:
        listener = Listener()
        bus.subscribe(TOPIC, group="group", handler=listener)
        events = some_events(2)
        with pytest.raises(Undelivered) as refused:
            await bus.publish(events)
        assert refused.value.event_ids == {event.id for event in events}
        async with bus.running():
            await publish_in_the_end(bus, events)
            await until(lambda: listener.has(events))

    async def test_leaving_finishes_the_handler_under_way(self, bus: EventBus) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def handler(_: Sequence[Event]) -> None:
            begun.set()
            await asyncio.sleep(0.05)
            ended.set()

        bus.subscribe(TOPIC, group="group", handler=handler)
        async with asyncio.TaskGroup() as tasks:
            async with bus.running():
                tasks.create_task(bus.publish(some_events(1)))
                await asyncio.wait_for(begun.wait(), PATIENCE_S)
            assert ended.is_set()

    async def test_a_publisher_who_leaves_disturbs_nobody(self, bus: EventBus) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        listener = Listener()

        async def handler(events: Sequence[Event]) -> None:
            begun.set()
            await go_on.wait()
            await listener(events)

        bus.subscribe(TOPIC, group="group", handler=handler)
        events = some_events(2)
        async with bus.running():
            async with asyncio.TaskGroup() as tasks:
                publishing = tasks.create_task(bus.publish(events[:1]))
                await asyncio.wait_for(begun.wait(), PATIENCE_S)
                publishing.cancel()
            go_on.set()
            await bus.publish(events[1:])
            await until(lambda: listener.has(events[1:]))

    async def test_nothing_to_publish_is_published(self, bus: EventBus) -> None:
        bus.subscribe(TOPIC, group="group", handler=Listener())
        async with bus.running():
            await bus.publish([])
            await bus.publish(some_events(1, topic="voicefile.nobody-listens.v1"))

    async def test_twice_means_that_every_event_is_handled_twice(self, bus: EventBus) -> None:
        listener = Listener()
        twice = Twice(bus)
        twice.subscribe(TOPIC, group="group", handler=listener)
        events = some_events(3)
        async with twice.running():
            await twice.publish(events)
            await until(lambda: len(listener.heard) >= 2 * len(events))
        assert listener.has(events)
