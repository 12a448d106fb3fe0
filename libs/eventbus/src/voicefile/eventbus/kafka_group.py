"""One consumer group in one process: takes records, has them handled, then commits.

Rebalances are eager, the only kind the client library has: every partition is given up and dealt
out anew. Before ours are given up, the handler under way ends, and what it did is committed; so
the next owner begins where we stopped. What was taken and not handled, it takes again.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition  # type: ignore[import-untyped]  # ships no types

from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.delivery import Bury, Delivery
from voicefile.eventbus.kafka_client import AWAY, Connection, close_consumer, new_consumer
from voicefile.eventbus.kafka_record import Place, Taken, Unreadable, event_of, trace_of
from voicefile.eventbus.kafka_trace import handling
from voicefile.eventbus.metrics import consumer_lag, events_missed
from voicefile.eventbus.port import Handler

_log = logging.getLogger(__name__)

AGAIN_FIRST_S = 0.25
AGAIN_MAX_S = 4.0
"""Pauses before a consumer that failed is replaced, doubling."""
_POLL_MS = 1000


@dataclass(frozen=True)
class Hearing:
    """Who hears what, and how a group gets rid of poison."""

    group: str
    handlers: Mapping[str, Handler]
    patience: Patience
    bury: Bury


class Group:
    """Runs until `stop`; brokers that are away are waited for."""

    def __init__(self, hearing: Hearing, connection: Connection) -> None:
        self._hearing = hearing
        self._connection = connection
        self._stopping = False
        self._leave = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._polling: asyncio.Timeout | None = None
        self._deliveries = {
            topic: Delivery(
                topic,
                hearing.group,
                handler,
                patience=hearing.patience,
                bury=hearing.bury,
                leave=self._leave,
            )
            for topic, handler in hearing.handlers.items()
        }
        self._next: dict[TopicPartition, int] = {}

    def stop(self) -> None:
        """The handler under way ends, what it did is committed, and the group is left."""
        self._stopping = True
        self._leave.set()
        if self._polling is not None:
            # Nothing is in hand while it waits for a broker, so nothing is lost by not waiting.
            self._polling.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        again_s = AGAIN_FIRST_S
        while not self._stopping:
            consumer = new_consumer(self._connection, self._hearing.group)
            try:
                await self._join(consumer)
                while not self._stopping:
                    await self._round(consumer)
                    again_s = AGAIN_FIRST_S
            except Exception as error:  # noqa: BLE001 - see below
                # The loop's edge: nothing was committed that was not handled, so a new consumer
                # begins where this one stopped; the lag tells that it does not get better.
                if not self._stopping:
                    about = {"group": self._hearing.group}
                    _log.warning("consumer_failed", extra=about, exc_info=error)
            finally:
                await self._close(consumer)
            await self._pause(again_s)
            again_s = min(again_s * 2, AGAIN_MAX_S)

    async def _join(self, consumer: AIOKafkaConsumer) -> None:
        async with asyncio.timeout(None) as self._polling:
            await consumer.start()
        self._polling = None
        # Not named to the consumer before: a topic that does not exist yet would hold up all.
        consumer.subscribe(list(self._hearing.handlers), listener=_Listener(self))

    async def _close(self, consumer: AIOKafkaConsumer) -> None:
        """Leaves the group, so that others need not wait until we are missed."""
        self._polling = None
        for topic in self._hearing.handlers:
            consumer_lag().labels(topic, self._hearing.group).set(0)
        await close_consumer(consumer, self._connection.limits)

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        """One poll, and everything it brought."""
        async with asyncio.timeout(None) as self._polling:
            polled = await consumer.getmany(
                timeout_ms=_POLL_MS, max_records=self._connection.limits.poll_records
            )
        # Nothing else has run since the records were taken (leaving the block above does not
        # wait), so a rebalance either finds us idle or waits for all of the following.
        self._idle.clear()
        self._polling = None
        try:
            wait_s = await self._take(consumer, polled) if polled else 0.0
            self._measure(consumer)
        finally:
            self._idle.set()
        if wait_s:
            await self._pause(wait_s)

    async def _take(
        self, consumer: AIOKafkaConsumer, polled: Mapping[TopicPartition, list[ConsumerRecord]]
    ) -> float:
        """Delivers topic by topic and commits; answers how long to wait before going on."""
        await self._look_for_gaps(consumer, polled)
        reached: dict[TopicPartition, int] = {}
        wait_s = 0.0
        for topic, delivery in self._deliveries.items():
            records = [
                _taken(record)
                for at, found in polled.items()
                if at.topic == topic
                for record in found
            ]
            if not records:
                continue
            with handling(topic, records):
                outcome = await delivery.deliver(records)
            reached |= _reached(records, outcome.passed)
            wait_s = max(wait_s, outcome.wait_s)
        await self._commit(consumer, polled, reached)
        self._go_back(consumer, reached, polled)
        return wait_s

    async def _commit(
        self,
        consumer: AIOKafkaConsumer,
        polled: Mapping[TopicPartition, list[ConsumerRecord]],
        reached: Mapping[TopicPartition, int],
    ) -> None:
        done = {at: offset for at, offset in reached.items() if offset > polled[at][0].offset}
        if not done:
            return
        try:
            async with asyncio.timeout(self._connection.limits.request_s):
                await consumer.commit(done)
        except AWAY:
            # The partitions are another's by now, or the broker is away: what was handled comes
            # again, which every handler bears.
            _log.warning("commit_failed", extra={"group": self._hearing.group})

    def _go_back(
        self,
        consumer: AIOKafkaConsumer,
        reached: Mapping[TopicPartition, int],
        polled: Mapping[TopicPartition, list[ConsumerRecord]],
    ) -> None:
        """What was taken and not passed is taken again, together with what has come since."""
        for at, offset in reached.items():
            self._next[at] = offset
            if offset <= polled[at][-1].offset and at in consumer.assignment():
                consumer.seek(at, offset)

    async def _look_for_gaps(
        self, consumer: AIOKafkaConsumer, polled: Mapping[TopicPartition, list[ConsumerRecord]]
    ) -> None:
        """A log has no gaps: where one shows, events went before this group had seen them."""
        for at, found in polled.items():
            if at not in self._next:
                with suppress(*AWAY):
                    async with asyncio.timeout(self._connection.limits.request_s):
                        committed = await consumer.committed(at)
                        if committed is not None:
                            self._next[at] = committed
            missed = found[0].offset - self._next.get(at, found[0].offset)
            if missed > 0:
                events_missed().labels(at.topic, self._hearing.group).inc(missed)
                about = {"topic": at.topic, "group": self._hearing.group, "events": missed}
                _log.error("events_missed", extra=about)

    def _measure(self, consumer: AIOKafkaConsumer) -> None:
        lags = dict.fromkeys(self._hearing.handlers, 0)
        for at in consumer.assignment():
            end = consumer.highwater(at)
            if end is not None and at in self._next:
                lags[at.topic] += max(0, end - self._next[at])
        for topic, lag in lags.items():
            consumer_lag().labels(topic, self._hearing.group).set(lag)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leave.wait(), seconds)

    async def given_up(self) -> None:
        """Partitions are about to go to others: returns when nothing of them is in hand."""
        self._leave.set()
        await self._idle.wait()
        self._next.clear()
        if not self._stopping:
            self._leave.clear()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """What the client library calls around a rebalance."""

    def __init__(self, group: Group) -> None:
        self._group = group

    async def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        await self._group.given_up()

    async def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        pass


def _taken(record: ConsumerRecord) -> Taken:
    place = Place(record.topic, record.partition)
    try:
        event = event_of(record.topic, key=record.key, value=record.value, headers=record.headers)
    except Unreadable:
        return Taken(place, record.offset, None)
    return Taken(place, record.offset, event, trace_of(record.headers))


def _reached(records: Sequence[Taken], passed: int) -> dict[TopicPartition, int]:
    """For each partition, the offset of the first record that is not passed."""
    reached: dict[TopicPartition, int] = {}
    for number, taken in enumerate(records):
        at = TopicPartition(*taken.place)
        if number < passed:
            reached[at] = taken.offset + 1
        else:
            reached.setdefault(at, taken.offset)
    return reached
