"""Sends records to topics and knows of each whether brokers have acknowledged it."""

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # ships no types
from aiokafka.errors import (  # type: ignore[import-untyped]  # ships no types
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]  # ships no types
from aiokafka.protocol.offset import OffsetRequest  # type: ignore[import-untyped]  # ships no types

from voicefile.eventbus.kafka_client import AWAY, Connection, new_producer
from voicefile.eventbus.kafka_record import Outgoing, Place

_log = logging.getLogger(__name__)

_LATEST = -1
_STARTS = 4
_CANCELS = 3
_CANCELLED_S = 1.0
_READ_UNCOMMITTED = 0


class Away(Exception):
    """The brokers can't be reached now, or can't do it now."""


@dataclass
class Sent:
    """What became of the records of one send; those not named here are not safe."""

    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """Too large for a broker, today and tomorrow."""
    first: dict[Place, int] = field(default_factory=dict)
    last: dict[Place, int] = field(default_factory=dict)
    """Offsets of the first and last acknowledged record in each partition."""

    def note(self, place: Place, records: Sequence[Outgoing], offset: int) -> None:
        self.acknowledged.update(record.id for record in records)
        if offset < 0:
            return  # written by an earlier try, and the broker no longer knows where
        self.first.setdefault(place, offset)
        self.last[place] = offset + len(records) - 1


@dataclass(frozen=True)
class LogState:
    """What a cluster says about its log."""

    cluster: str
    """The cluster's id; empty where it names none."""
    ends: dict[Place, int]
    """The offset the next record will get; a partition that is missing does not exist."""


class Publisher:
    """One producer, replaced whenever it has failed: a gap in its numbers would stay for ever.

    What it still had on the way when it was replaced may come later or never, and was answered
    as not safe. One send at a time, so that such leftovers are no other's.
    """

    def __init__(self, connection: Connection, *, idempotent: bool) -> None:
        self._connection = connection
        self._limits = connection.limits
        self._idempotent = idempotent
        self._producer: AIOKafkaProducer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def send(self, records: Sequence[Outgoing]) -> Sent:
        """Never raises for what brokers do: what is not acknowledged is not in the answer."""
        sent = Sent()
        with suppress(Away):
            async with self._producing() as producer:
                queues = await self._sorted(producer, records, sent)
                sends = [
                    self._send_to(producer, place, queue, sent) for place, queue in queues.items()
                ]
                # Partitions fail one by one; one must not cut short what another does.
                outcomes = await asyncio.gather(*sends, return_exceptions=True)
                _raise_first(outcomes)
        return sent

    async def log_state(self, places: Collection[Place]) -> LogState:
        """Raises Away."""
        async with self._producing() as producer:
            return await self._ask(producer, places)

    async def partitions(self, topic: str) -> int:
        """How many the topic has. Raises Away."""
        async with self._producing() as producer:
            return len(await producer.partitions_for(topic))

    async def close(self) -> None:
        """Gives up what is still on its way."""
        async with self._one_at_a_time:
            await self._discard()

    @asynccontextmanager
    async def _producing(self) -> AsyncIterator[AIOKafkaProducer]:
        async with self._one_at_a_time:
            try:
                # Longer than it takes to find out that nobody answers: the library leaves a
                # connection open that is broken off while it begins.
                async with asyncio.timeout(_STARTS * self._limits.request_s):
                    producer = await self._ready()
                async with asyncio.timeout(self._limits.publish_s):
                    yield producer
            except Exception as error:
                # Whatever it was: what is not acknowledged comes again, by another producer.
                _log.warning("publish_failed", extra={"reason": reason_of(type(error).__name__)})
                await self._discard()
                raise Away from error

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = new_producer(self._connection, idempotent=self._idempotent)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _sorted(
        self, producer: AIOKafkaProducer, records: Iterable[Outgoing], sent: Sent
    ) -> dict[Place, deque[Outgoing]]:
        queues: dict[Place, deque[Outgoing]] = {}
        counts: dict[str, int] = {}
        for record in records:
            if record.size > self._limits.record_bytes_max:
                sent.refused.add(record.id)
                continue
            if record.topic not in counts:
                counts[record.topic] = len(await producer.partitions_for(record.topic))
            place = Place(record.topic, partition_of(record.key, counts[record.topic]))
            queues.setdefault(place, deque()).append(record)
        return queues

    async def _send_to(
        self, producer: AIOKafkaProducer, place: Place, queue: deque[Outgoing], sent: Sent
    ) -> None:
        """Batch after batch: what comes later in a partition waits for what comes before."""
        while queue:
            batch = producer.create_batch()
            records: list[Outgoing] = []
            while queue and _added(batch, queue[0]):
                records.append(queue.popleft())
            batch.close()
            try:
                acknowledged = await producer.send_batch(
                    batch, place.topic, partition=place.partition
                )
                written = await acknowledged
            except MessageSizeTooLargeError:
                sent.refused.update(record.id for record in records)
                raise
            sent.note(place, records, written.offset)

    async def _ask(self, producer: AIOKafkaProducer, places: Collection[Place]) -> LogState:
        client = producer.client
        topics = sorted({place.topic for place in places})
        metadata = await client.send(client.get_random_node(), MetadataRequest(topics))
        leaders: dict[int, list[Place]] = {}
        for place, leader in _leaders(metadata).items():
            if place in places:
                leaders.setdefault(leader, []).append(place)
        ends: dict[Place, int] = {}
        for leader, theirs in leaders.items():
            asked = [(place.topic, [(place.partition, _LATEST)]) for place in theirs]
            answer = await client.send(leader, OffsetRequest(-1, _READ_UNCOMMITTED, asked))
            for topic, partitions in answer.topics:
                for partition, code, _, offset, *_ in partitions:
                    _raise_code(code)
                    ends[Place(topic, partition)] = offset
        return LogState(getattr(metadata, "cluster_id", None) or "", ends)

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # Its stop() first waits until all is delivered, by the very broker that is away. So the
        # task that sends is ended, then the connections, and it is told that this was its stop.
        producer._closed = True  # noqa: SLF001 - the library has no way to give up
        sending = producer._sender.sender_task  # noqa: SLF001 - as above
        for _ in range(_CANCELS):
            # The first one lets requests under way come to their end, the next one does not.
            sending.cancel()
            await asyncio.wait({sending}, timeout=_CANCELLED_S)
            if sending.done():
                break
        with suppress(*AWAY):
            async with asyncio.timeout(self._limits.close_s):
                await producer.client.close()


def partition_of(key: bytes, count: int) -> int:
    """The same key, the same partition, as long as their number stays."""
    return zlib.crc32(key) % count


def _added(batch: object, record: Outgoing) -> bool:
    added: object = batch.append(  # type: ignore[attr-defined]  # the library has no types
        timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
    )
    return added is not None


def _leaders(metadata: object) -> dict[Place, int]:
    leaders: dict[Place, int] = {}
    for code, topic, _, partitions in metadata.topics:  # type: ignore[attr-defined]  # as above
        if for_code(code) is UnknownTopicOrPartitionError:
            continue
        _raise_code(code)
        for _, partition, leader, *_ in partitions:
            if leader < 0:
                raise LeaderNotAvailableError
            leaders[Place(topic, partition)] = leader
    return leaders


def _raise_code(code: int) -> None:
    error: type[Exception] = for_code(code)
    if code:
        raise error


def _raise_first(outcomes: Sequence[BaseException | None]) -> None:
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def reason_of(name: str) -> str:
    """The name of a class, as the log takes it: `not_enough_replicas_error`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")
