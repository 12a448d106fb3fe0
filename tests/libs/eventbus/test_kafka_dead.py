"""Dead letters: ids only, durable before the event is passed, and brought again by hand."""

import json
import secrets
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from tests.engines.kafka import Kafka
from tests.libs.eventbus.brokers import OPERATOR, bus_for, connection, events_of, fresh_service

from voicefile.eventbus.conformance import Listener, until
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.kafka_client import new_consumer
from voicefile.eventbus.kafka_dead import Buried, DeadLetters, Fate, dead_topic
from voicefile.eventbus.kafka_publisher import Publisher
from voicefile.eventbus.kafka_record import Outgoing
from voicefile.eventbus.port import Event


class Told:
    """What became of each letter that was to be brought again."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []

    def __call__(self, _letter: DeadLetter, fate: Fate) -> None:
        self.fates.append(fate)


async def raw_records(broker: Kafka, topic: str) -> list[bytes]:
    """Everything in a topic with one partition, as it lies there."""
    consumer = new_consumer(connection(broker), None)
    await consumer.start()
    try:
        at = TopicPartition(topic, 0)
        [end] = (await consumer.end_offsets([at])).values()
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        found: list[bytes] = []
        while len(found) < end:
            for record in (await consumer.getmany(at, timeout_ms=200)).get(at, []):
                headers = b"".join(name.encode() + value for name, value in record.headers)
                found.append((record.key or b"") + (record.value or b"") + headers)
        return found
    finally:
        await consumer.stop()


def bytes_on_disk(broker: Kafka, topic: str) -> bytes:
    segments = sorted(broker.data.glob(f"{topic}-*/*.log"))
    assert segments
    return b"".join(path.read_bytes() for path in segments)


async def test_a_dead_letter_names_its_event_and_quotes_nothing_of_it(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka, partitions=1)
    canary, key = secrets.token_bytes(24), secrets.token_hex(16)
    poison = Event(secrets.token_hex(16), topic, key, b"before" + canary + b"after")
    rung: list[DeadLetter] = []
    listener = Listener(lambda batch: poison in batch)
    bus = bus_for(kafka, service, on_dead_letter=rung.append)
    bus.subscribe(topic, group=service, handler=listener)
    events = events_of(topic, 20)
    async with bus.running():
        await bus.publish([*events[:10], poison, *events[10:]])
        await until(lambda: listener.has(events) and bool(rung))
    letter = DeadLetter(topic, service, poison.id, key, 0, 10, "ConnectionError")
    assert rung == [letter]
    [raw] = await raw_records(kafka, dead_topic(service))
    stored = json.loads(raw[raw.index(b"{") :])
    assert stored.pop("at_ms") > 0
    assert stored == {
        "topic": topic,
        "group": service,
        "event_id": poison.id,
        "partition": 0,
        "offset": 10,
        "reason": "ConnectionError",
    }
    dead = bytes_on_disk(kafka, dead_topic(service))
    assert poison.id.encode() in dead
    assert canary not in dead
    assert key.encode() not in dead
    # The control: in its own topic it is found, so it would have been found.
    assert canary in bytes_on_disk(kafka, topic)


async def test_letters_are_listed_until_their_events_were_brought_again(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    poison = events_of(topic, 3, start=900)
    ill = True
    listener = Listener(lambda batch: ill and any(event in poison for event in batch))
    bus = bus_for(kafka, service)
    bus.subscribe(topic, group=service, handler=listener)
    events = events_of(topic, 30)
    letters = DeadLetters(connection(kafka), service)
    async with bus.running():
        assert await letters.buried() == []
        await bus.publish([*events[:15], *poison, *events[15:]])
        await until(lambda: listener.has(events))
        buried = await listed(letters, 3)
        assert {each.letter.event_id for each in buried} == {event.id for event in poison}
        told = Told()
        ill = False
        await letters.bring_again([each.letter for each in buried], told=told)
        assert told.fates == [Fate.AGAIN] * 3
        await until(lambda: listener.has(poison))
        assert await letters.buried() == []
    assert [event for event in listener.heard if event in poison] != []


async def listed(letters: DeadLetters, count: int) -> Sequence[Buried]:
    found: list[Buried] = []

    async def look() -> bool:
        found[:] = await letters.buried()
        return len(found) >= count

    for _ in range(50):
        if await look():
            break
    assert len(found) == count
    return found


async def test_an_event_brought_again_that_fails_again_is_buried_again(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    events = events_of(topic, 10)
    listener = Listener(lambda batch: events[4] in batch)
    bus = bus_for(kafka, service)
    bus.subscribe(topic, group=service, handler=listener)
    letters = DeadLetters(connection(kafka), service)
    async with bus.running():
        await bus.publish(events)
        [first] = await listed(letters, 1)
        await letters.bring_again([first.letter], told=Told())
        [second] = await listed(letters, 1)
    assert second.letter.event_id == first.letter.event_id == events[4].id
    assert second.letter.offset > first.letter.offset


async def test_a_letter_whose_event_is_gone_stays_and_says_so(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    bus = bus_for(kafka, service)
    async with bus.running():
        await bus.publish(events_of(topic, 5, keys=1))
        for offset, event_id in ((4711, "e000000"), (0, "some-other-event")):
            letter = DeadLetter(topic, service, event_id, "", await partition(kafka, topic), offset)
            assert await bus.bury(letter)
    letters = DeadLetters(connection(kafka), service)
    buried = await letters.buried()
    told = Told()
    await letters.bring_again([each.letter for each in buried], told=told)
    assert told.fates == [Fate.GONE] * 2
    assert await letters.buried() == buried


async def partition(broker: Kafka, topic: str) -> int:
    """The one that has something in it."""
    consumer = new_consumer(connection(broker), None)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, at) for at in range(3)])
    finally:
        await consumer.stop()
    [found] = [at.partition for at, end in ends.items() if end]
    return found


@pytest.mark.parametrize("headers", [[], [("id", b"\xff\xfe")], [("id", b"x"), ("id", b"y")]])
async def test_foreign_bytes_are_dead_letters_and_hold_up_nobody(
    kafka: Kafka, headers: list[tuple[str, bytes]]
) -> None:
    service, topic = await fresh_service(kafka, partitions=1)
    foreign = Outgoing("foreign", topic, b"\xff", secrets.token_bytes(40), headers)
    publisher = Publisher(connection(kafka), idempotent=True)
    listener = Listener()
    bus = bus_for(kafka, service)
    bus.subscribe(topic, group=service, handler=listener)
    events = events_of(topic, 10)
    letters = DeadLetters(connection(kafka), service)
    async with bus.running():
        await bus.publish(events[:5])
        assert (await publisher.send([foreign])).acknowledged
        await publisher.close()
        await bus.publish(events[5:])
        await until(lambda: listener.has(events))
        [buried] = await listed(letters, 1)
        assert buried.letter == DeadLetter(topic, service, "", "", 0, 5, "Unreadable")
        told = Told()
        await letters.bring_again([buried.letter], told=told)
    assert told.fates == [Fate.UNREADABLE]
    assert len(listener.heard) == len(events)


async def test_what_others_wrote_among_the_dead_letters_is_none(kafka: Kafka) -> None:
    service, topic = await fresh_service(kafka)
    publisher = Publisher(connection(kafka, OPERATOR), idempotent=True)
    strange = [b"", b"{}", b"[1]", b'{"topic": 1}', b"\xff"]
    records = [
        Outgoing(f"r{at}", dead_topic(service), b"k%d" % at, value, [])
        for at, value in enumerate(strange)
    ]
    await publisher.send(records)
    await publisher.close()
    assert await DeadLetters(connection(kafka), service).buried() == []
    assert topic
