"""What goes wrong with brokers and consumers, on a broker that is ours to harm."""

import asyncio
import gc
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.engines.certificates import certificate
from tests.engines.kafka import Kafka
from tests.libs.eventbus.brokers import (
    LIMITS,
    OPERATOR,
    bus_for,
    connection,
    events_of,
    fresh_service,
    in_order,
    publish_in_the_end,
    topics,
)
from tests.libs.eventbus.conftest import Start
from tests.quiet_machine import on_a_quiet_machine

from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    PendingEvent,
    StoreUnavailable,
)
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.conformance import Listener, until
from voicefile.eventbus.kafka import KafkaEventBus
from voicefile.eventbus.kafka_client import Limits
from voicefile.eventbus.kafka_dead import dead_topic
from voicefile.eventbus.port import Event, Unreachable
from voicefile.eventbus.relay import Relay
from voicefile.eventbus.sent import SENT, SentJournal

THINGS = Collection("things")
ROOT = Path(__file__).parents[3]

# A connection whose handshake is cut short by a timeout is closed by Python's collector, not by
# asyncio: here that happens on purpose, and must not be held against whatever test comes next.
pytestmark = [
    on_a_quiet_machine,
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def own(start: Start) -> Kafka:
    engine = start(Kafka)
    assert isinstance(engine, Kafka)
    return engine


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [THINGS, SENT])
    yield store
    await store.close()


@asynccontextmanager
async def a_consumer(
    broker: Kafka, service: str, topic: str, *, hangs: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """In a process of its own, as long as nobody kills it."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.libs.eventbus.consumer", broker.bootstrap),
        *(str(broker.authority), str(certificate(broker.certificates, OPERATOR))),
        *(service, topic, "group", "hangs" if hangs else "goes-on"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        # Read to its end, so that its pipe is closed when this returns.
        await child.communicate()


async def test_what_a_killed_consumer_had_in_hand_comes_again_elsewhere(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    bus = bus_for(own, service, limits=Limits())
    listener = Listener()
    bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 60)
    other = bus_for(own, service)
    async with other.running(), a_consumer(own, service, topic, hangs=True) as child:
        await other.publish(events)
        assert child.stdout is not None
        in_hand = (await asyncio.wait_for(child.stdout.readline(), 20)).split()
        assert in_hand
        child.send_signal(signal.SIGKILL)
        begun_s = time.monotonic()
        async with bus.running():
            await until(lambda: listener.has(events))
    taken_s = time.monotonic() - begun_s
    print(f"taken over {taken_s:.1f} s after kill -9")
    assert taken_s < 15
    assert in_order(listener.heard)


async def test_who_leaves_in_good_order_is_not_waited_for(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    first, second = Listener(), Listener()
    events = events_of(topic, 200)
    leaving, staying = (bus_for(own, service, limits=Limits()) for _ in range(2))
    leaving.subscribe(topic, group="group", handler=first)
    staying.subscribe(topic, group="group", handler=second)
    async with staying.running():
        async with leaving.running():
            for at in range(0, 100, 10):
                await staying.publish(events[at : at + 10])
                await until(lambda: len(first.heard + second.heard) > at)  # noqa: B023
                await asyncio.sleep(0.3)
            await until(lambda: len(first.heard + second.heard) == 100)
            assert first.heard
        begun_s = time.monotonic()
        await staying.publish(events[100:])
        await until(lambda: second.has(events[100:]))
    taken_s = time.monotonic() - begun_s
    print(f"taken over {taken_s:.1f} s after a clean leave")
    assert taken_s < 5


async def test_consumers_come_and_go_while_events_flow(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    listeners = [Listener() for _ in range(3)]
    buses = [bus_for(own, service) for _ in listeners]
    for bus, listener in zip(buses, listeners, strict=True):
        bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 3000)

    async def speak() -> None:
        for at in range(0, len(events), 30):
            await publish_in_the_end(buses[0], events[at : at + 30])
            await asyncio.sleep(0.03)

    def heard() -> list[Event]:
        return [event for listener in listeners for event in listener.heard]

    async with buses[0].running(), AsyncExitStack() as stack:
        await stack.enter_async_context(buses[1].running())
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(speak())
            await until(lambda: len(heard()) > 300)
            async with buses[2].running():
                await until(lambda: bool(listeners[2].heard))
            await stack.aclose()
            await speaking
        await until(lambda: {event.id for event in heard()} == {event.id for event in events})
    twice = len(heard()) - len(events)
    print(f"{twice} of {len(events)} came twice through 4 rebalances")
    # Partitions change hands only after what was handled is committed.
    assert twice == 0
    assert all(in_order(listener.heard) for listener in listeners)


async def test_a_group_that_waits_for_its_store_stays_a_member_and_loses_nothing(
    own: Kafka,
) -> None:
    service, topic = await fresh_service(own)
    limits = Limits(session_s=1.5, heartbeat_s=0.3, fetch_wait_s=0.1)
    away = True
    heard: list[Event] = []
    rung: list[object] = []

    async def handler(events: Sequence[Event]) -> None:
        if away:
            raise StoreUnavailable
        heard.extend(events)

    bus = bus_for(own, service, limits=limits, on_dead_letter=rung.append)
    bus.subscribe(topic, group="group", handler=handler)
    events = events_of(topic, 40)
    async with bus.running():
        await bus.publish(events[:20])
        await asyncio.sleep(5)
        await bus.publish(events[20:])
        away = False
        await until(lambda: len(heard) >= 40)
    assert len(heard) == 40
    assert in_order(heard)
    assert rung == []


async def test_a_handler_may_take_longer_than_a_session(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    limits = Limits(session_s=1.5, heartbeat_s=0.3, fetch_wait_s=0.1)
    listener = Listener()

    async def slow(events: Sequence[Event]) -> None:
        await asyncio.sleep(4)
        await listener(events)

    bus = bus_for(own, service, limits=limits)
    bus.subscribe(topic, group="group", handler=slow)
    events = events_of(topic, 20)
    async with bus.running():
        await bus.publish(events)
        await until(lambda: listener.has(events))
    assert len(listener.heard) == len(events)


async def test_a_broker_that_is_killed_and_comes_back_has_lost_nothing(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    listener = Listener()
    bus = bus_for(own, service)
    bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 600)
    async with bus.running(), asyncio.TaskGroup() as tasks:

        async def speak() -> None:
            for at in range(0, len(events), 10):
                await publish_in_the_end(bus, events[at : at + 10])
                await asyncio.sleep(0.02)

        speaking = tasks.create_task(speak())
        await until(lambda: len(listener.heard) > 100)
        await asyncio.to_thread(own.kill)
        killed_s = time.monotonic()
        await asyncio.sleep(1)
        before = len(listener.heard)
        await asyncio.to_thread(own.start)
        up_s = time.monotonic()
        await until(lambda: len(listener.heard) > before)
        flows_s = time.monotonic()
        await speaking
        await until(lambda: listener.has(events))
    print(f"broker back after {up_s - killed_s:.1f} s, events flow {flows_s - up_s:.1f} s later")
    assert flows_s - up_s < 15
    assert in_order(listener.heard)


async def test_a_broker_that_stands_still_is_not_waited_for_for_ever(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    limits = Limits(request_s=2.0, publish_s=3.0, close_s=5.0, fetch_wait_s=0.1)
    listener = Listener()
    bus = bus_for(own, service, limits=limits)
    bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 40)
    async with bus.running():
        await bus.publish(events[:20])
        await until(lambda: listener.has(events[:20]))
        own.pause()
        try:
            begun_s = time.monotonic()
            with pytest.raises(Unreachable) as refused:
                await bus.publish(events[20:])
            assert time.monotonic() - begun_s < 10
        finally:
            own.resume()
        assert refused.value.event_ids == {event.id for event in events[20:]}
        await publish_in_the_end(bus, events[20:])
        await until(lambda: listener.has(events))
    assert in_order(listener.heard)
    # Connections that were closed meanwhile have said goodbye before the loop ends.
    await asyncio.sleep(1)


async def test_leaving_while_the_broker_stands_still_takes_bounded_time(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    limits = Limits(request_s=2.0, publish_s=3.0, close_s=5.0, fetch_wait_s=0.1)
    bus = bus_for(own, service, limits=limits)
    listener = Listener()
    bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 5)
    try:
        async with bus.running():
            await bus.publish(events)
            await until(lambda: listener.has(events))
            own.pause()
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 15
    finally:
        own.resume()
        # Connections that were closed meanwhile say goodbye now; the loop ends after that.
        await asyncio.sleep(2)


async def test_a_bus_may_begin_before_there_is_a_broker(own: Kafka) -> None:
    service, topic = await fresh_service(own)
    await asyncio.to_thread(own.stop)
    listener = Listener()
    bus = bus_for(own, service)
    bus.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 10)
    async with bus.running():
        with pytest.raises(Unreachable):
            await bus.publish(events)
        await asyncio.to_thread(own.start)
        await publish_in_the_end(bus, events)
        await until(lambda: listener.has(events))


async def test_brokers_that_lose_everything_get_everything_kept_again(
    own: Kafka, store: DocStore
) -> None:
    service, topic = await fresh_service(own)
    bus = bus_for(own, service, journal=SentJournal(store))
    before, after = Listener(), Listener()
    bus.subscribe(topic, group="before", handler=before)
    events = events_of(topic, 900)
    for at, event in enumerate(events[:600]):
        await store.insert(THINGS, carrying(at, event))
    async with bus.running(), Relay(store, bus, poll_s=0.02).running():
        await until(lambda: before.has(events[:600]))
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.wipe)
        for at, event in enumerate(events[600:], start=600):
            await store.insert(THINGS, carrying(at, event))
        await asyncio.to_thread(own.start)
        up_s = time.monotonic()
        await topics(own, topic, dead_topic(service))
        # Whoever had not heard them before the loss hears all of them now, and in order.
        hearing = bus_for(own, service)
        hearing.subscribe(topic, group="after", handler=after)
        async with hearing.running():
            await until(lambda: after.has(events))
            print(f"all {len(events)} events there {time.monotonic() - up_s:.1f} s after the start")
        await until(lambda: before.has(events))
        assert await store.pending() == []
    assert in_order(after.heard)
    assert len(after.heard) == len(events)


async def test_a_successor_finishes_what_a_killed_relay_had_begun_to_send_again(
    own: Kafka, store: DocStore
) -> None:
    service, topic = await fresh_service(own)
    journal = SentJournal(store)
    bus = bus_for(own, service, journal=journal)
    events = events_of(topic, 200)
    async with bus.running():
        for at in range(0, 200, 10):
            await bus.publish(events[at : at + 10])
    # As if the log had been lost, and whoever noticed had died after the first document.
    await asyncio.to_thread(own.kill)
    await asyncio.to_thread(own.wipe)
    await asyncio.to_thread(own.start)
    await topics(own, topic, dead_topic(service))
    await journal.begin_again("")
    listener = Listener()
    successor = bus_for(own, service, journal=SentJournal(store))
    successor.subscribe(topic, group="group", handler=listener)
    async with successor.running():
        await successor.mend()
        await until(lambda: listener.has(events))
        await successor.mend()
        await asyncio.sleep(0.5)
    assert [event.id for event in listener.heard] != []
    assert len(listener.heard) == len(events)
    assert in_order(listener.heard)


def carrying(number: int, event: Event) -> Document:
    pending = PendingEvent(event.id, event.topic, event.key, event.payload)
    return Document(f"d{number:06d}", "", {}, pending=(pending,))


async def test_who_has_no_certificate_of_the_authority_is_let_in_nowhere(
    own: Kafka, tmp_path: Path
) -> None:
    service, topic = await fresh_service(own)
    strange = tmp_path / "strange-certificates"
    strangers = certificate(strange, OPERATOR)
    another_name = ssl.create_default_context(cafile=str(own.authority))
    another_name.load_cert_chain(strangers)
    nobody = ssl.create_default_context(cafile=str(own.authority))
    fooled = ssl.create_default_context(cafile=str(strange / "ca.pem"))
    fooled.load_cert_chain(certificate(own.certificates, OPERATOR))
    for context in (another_name, nobody, fooled):
        bus = KafkaEventBus(own.bootstrap, client=service, ssl=context, limits=LIMITS)
        async with bus.running():
            with pytest.raises(Unreachable):
                await bus.publish(events_of(topic, 1))


async def test_a_password_never_travels_in_the_clear() -> None:
    with pytest.raises(ValueError, match="TLS"):
        KafkaEventBus("127.0.0.1:1", client="auth", ssl=None, sasl=("auth", connection))


async def test_the_order_of_a_key_survives_producers_that_fail(own: Kafka) -> None:
    """Publishes that are broken off in the middle, again and again, on one bus."""
    service, topic = await fresh_service(own)
    limits = Limits(publish_s=0.03, request_s=5.0, fetch_wait_s=0.1)
    broken = bus_for(own, service, limits=limits)
    listener = Listener()
    hearing = bus_for(own, service)
    hearing.subscribe(topic, group="group", handler=listener)
    events = events_of(topic, 400)
    refused = 0
    async with hearing.running(), broken.running():
        for at in range(0, len(events), 40):
            left = events[at : at + 40]
            for _ in range(3):
                try:
                    await broken.publish(left)
                except Unreachable as away:
                    refused += 1
                    left = [event for event in left if event.id in away.event_ids]
            await publish_in_the_end(hearing, left)
        await until(lambda: listener.has(events))
    print(f"{refused} publishes broken off")
    assert refused
    assert in_order(listener.heard)
