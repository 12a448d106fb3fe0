"""Dead letters of a service: what they say, and how their events are brought again.

A dead letter stands in `voicefile.<service>.dead.v1` under a key of its own, and says where the
event lies and why it was buried, not what it is. Brought again, the event is published to its own
topic once more, so every group of that topic hears it again; then nothing stands under the key
(the topic may be compacted: the newest under a key is what counts).

Who brings letters again needs more rights than the service has: to read the topics that the
letters name, and to write to them.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition  # type: ignore[import-untyped]  # ships no types

from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.kafka_client import AWAY, Connection, close_consumer, new_consumer
from voicefile.eventbus.kafka_publisher import Away, Publisher
from voicefile.eventbus.kafka_record import (
    ID_HEADER,
    Outgoing,
    Unreadable,
    event_of,
    outgoing,
)

LISTED_MAX: Final = 10_000
"""Dead letters read at once; the oldest ones. Bring those again, then look for more."""
READ_S: Final = 30.0
"""How long brokers may stay silent in the middle of reading."""
_WAIT_MS: Final = 500


def dead_topic(service: str) -> str:
    """Where a service's dead letters are."""
    return f"voicefile.{service}.dead.v1"


@dataclass(frozen=True)
class Buried:
    """A dead letter that nobody has brought again yet."""

    letter: DeadLetter
    at_ms: int
    """When it was buried; 0 where unknown."""


class Fate(Enum):
    """What became of a dead letter that was to be brought again."""

    AGAIN = "published again"
    GONE = "no longer in its topic"
    UNREADABLE = "not an event"


def dead_record(service: str, letter: DeadLetter, *, at_ms: int) -> Outgoing:
    """The letter as it lies in its topic: ids only."""
    fields = asdict(letter)
    # Who hears the event can look its key up in it; who reads dead letters need not know.
    del fields["key"]
    return _record(service, letter, json.dumps({**fields, "at_ms": at_ms}).encode())


def _record(service: str, letter: DeadLetter, value: bytes | None) -> Outgoing:
    key = _key(letter)
    return Outgoing(key, dead_topic(service), key.encode(), value, [])


def _key(letter: DeadLetter) -> str:
    return f"{letter.group} {letter.topic} {letter.partition} {letter.offset}"


class DeadLetters:
    """The dead letters of one service, for whoever looks after them."""

    def __init__(self, connection: Connection, service: str) -> None:
        self._connection = connection
        self._service = service

    async def buried(self) -> list[Buried]:
        """Those not brought again yet, the oldest first. Raises Away."""
        found: dict[str, Buried] = {}
        try:
            async with self._reading() as consumer:
                async for record in self._whole_topic(consumer):
                    _take_in(found, record)
        except AWAY as error:
            raise Away from error
        return sorted(found.values(), key=lambda each: each.at_ms)[:LISTED_MAX]

    async def bring_again(
        self,
        letters: Iterable[DeadLetter],
        *,
        told: Callable[[DeadLetter, Fate], None],
    ) -> None:
        """Publishes, then forgets the letter: who is interrupted brings one twice. Raises Away."""
        publisher = Publisher(self._connection, idempotent=True)
        try:
            async with self._reading() as consumer:
                for letter in letters:
                    told(letter, await self._again(consumer, publisher, letter))
        except AWAY as error:
            raise Away from error
        finally:
            await publisher.close()

    async def _again(
        self, consumer: AIOKafkaConsumer, publisher: Publisher, letter: DeadLetter
    ) -> Fate:
        record = await self._original(consumer, letter)
        if record is None:
            return Fate.GONE
        try:
            event = event_of(
                record.topic, key=record.key, value=record.value, headers=record.headers
            )
        except Unreadable:
            return Fate.UNREADABLE
        for each in (outgoing(event), _record(self._service, letter, None)):
            sent = await publisher.send([each])
            if each.id not in sent.acknowledged:
                raise Away
        return Fate.AGAIN

    async def _original(
        self, consumer: AIOKafkaConsumer, letter: DeadLetter
    ) -> ConsumerRecord | None:
        at = TopicPartition(letter.topic, letter.partition)
        begins = (await consumer.beginning_offsets([at]))[at]
        ends = (await consumer.end_offsets([at]))[at]
        if not begins <= letter.offset < ends:
            return None
        consumer.assign([at])
        consumer.seek(at, letter.offset)
        by_s = time.monotonic() + READ_S
        while time.monotonic() < by_s:
            polled = await consumer.getmany(at, timeout_ms=_WAIT_MS, max_records=1)
            for record in polled.get(at, []):
                return record if _is_it(record, letter) else None
        raise Away

    async def _whole_topic(self, consumer: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
        """From the beginning to where it ended when we began."""
        topic = dead_topic(self._service)
        count = await self._partitions(topic)
        places = [TopicPartition(topic, number) for number in range(count)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        by_s = time.monotonic() + READ_S
        while any([await consumer.position(each) < ends[each] for each in places]):
            polled = await consumer.getmany(timeout_ms=_WAIT_MS)
            for records in polled.values():
                by_s = time.monotonic() + READ_S
                for record in records:
                    yield record
            if time.monotonic() > by_s:
                raise Away

    async def _partitions(self, topic: str) -> int:
        publisher = Publisher(self._connection, idempotent=False)
        try:
            return await publisher.partitions(topic)
        finally:
            await publisher.close()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = new_consumer(self._connection, None)
        try:
            await consumer.start()
            yield consumer
        finally:
            await close_consumer(consumer, self._connection.limits)


def _take_in(found: dict[str, Buried], record: ConsumerRecord) -> None:
    try:
        key = record.key.decode()
        if record.value is None:
            found.pop(key, None)
            return
        stored = json.loads(record.value)
        letter = DeadLetter(
            str(stored["topic"]),
            str(stored["group"]),
            event_id=str(stored["event_id"]),
            key="",
            partition=int(stored["partition"]),
            offset=int(stored["offset"]),
            reason=str(stored["reason"]),
        )
        found[key] = Buried(letter, int(stored["at_ms"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # not written by us


def _is_it(record: ConsumerRecord, letter: DeadLetter) -> bool:
    """The log may have been lost since, and something else lie in this place."""
    ids = [value for name, value in record.headers if name == ID_HEADER]
    if record.offset != letter.offset:
        return False
    return not letter.event_id or ids == [letter.event_id.encode()]
