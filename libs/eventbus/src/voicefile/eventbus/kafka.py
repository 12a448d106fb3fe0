"""The event bus over Kafka: safe means acknowledged by every replica in sync.

With a journal it is safe beyond that: should all of Kafka be lost, what was sent lately is sent
again (`sent.py`). The batch that was on its way when the log went may then lie before what is
older; everything after it follows the order.
"""

import asyncio
import logging
import ssl as tls
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

from voicefile.docstore.lease import ALONE, Leadership
from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.dead_letter import DeadLetter, OnDeadLetter, ring_nobody
from voicefile.eventbus.kafka_client import Connection, Limits, Password
from voicefile.eventbus.kafka_dead import dead_record
from voicefile.eventbus.kafka_group import Group, Hearing
from voicefile.eventbus.kafka_publisher import Away, LogState, Publisher, Sent, reason_of
from voicefile.eventbus.kafka_record import Outgoing, outgoing
from voicefile.eventbus.kafka_trace import publishing
from voicefile.eventbus.metrics import events_dead, events_published, events_sent_again
from voicefile.eventbus.port import Event, Handler, Undelivered, Unreachable
from voicefile.eventbus.sent import Contended, SentJournal

_log = logging.getLogger(__name__)

PATIENCE = Patience(batch_max=500, backoff_s=0.2)
"""Larger steps than within one process: whoever is called is further away."""
CHECKED_S = 1.0
"""No broker comes back empty within this, so the log is looked at once in it, at most."""
LOOKS = 3
LOOK_AGAIN_S = 1.0
"""A log counts as lost when it looked lost so many times: a broker that starts may not know all."""


class KafkaEventBus:
    """An EventBus over brokers. One per service instance; its groups hear while it runs."""

    def __init__(
        self,
        bootstrap: str,
        *,
        client: str,
        ssl: tls.SSLContext | None,
        sasl: tuple[str, Password] | None = None,
        journal: SentJournal | None = None,
        consuming: Leadership = ALONE,
        on_dead_letter: OnDeadLetter = ring_nobody,
        patience: Patience = PATIENCE,
        limits: Limits | None = None,
        idempotent: bool = True,
    ) -> None:
        """`client` is the service's name; dead letters go to `voicefile.<client>.dead.v1`.

        Without a journal, safe is what the brokers say. `idempotent=False` is for brokers that
        know no idempotent producers: a publish that is tried again may then lie there twice.
        """
        self._client = client
        self._connection = Connection(bootstrap, client, ssl, sasl, limits or Limits())
        self._publisher = Publisher(self._connection, idempotent=idempotent)
        self._journal = journal
        self._consuming = consuming
        self._on_dead_letter = on_dead_letter
        self._patience = patience
        self._idempotent = idempotent
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._open = False
        self._one_at_a_time = asyncio.Lock()
        self._checked_at_s: float | None = None

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        if self._open:
            raise RuntimeError("subscribe before the bus is running")
        heard = self._handlers.setdefault(group, {})
        if topic in heard:
            raise ValueError(f"{group} already hears {topic}")
        heard[topic] = handler

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises Unreachable for what is not acknowledged, Undelivered for what is too large."""
        if not events:
            return
        ids = frozenset(event.id for event in events)
        if not self._open:
            raise Unreachable(ids)
        try:
            sent = await self._sent(events)
        except (Away, Contended):
            self._checked_at_s = None
            raise Unreachable(ids) from None
        for topic in {event.topic for event in events}:
            safe = sum(each.topic == topic and each.id in sent.acknowledged for each in events)
            events_published().labels(topic).inc(safe)
        left = ids - sent.acknowledged
        if left - sent.refused:
            # Whatever happened to the brokers: their log is looked at before the next one.
            self._checked_at_s = None
            raise Unreachable(left)
        if left:
            raise Undelivered(left)

    async def mend(self) -> None:
        """Publishes again what the brokers have lost, and forgets what is kept long enough."""
        if self._journal is None:
            return
        async with self._one_at_a_time:
            try:
                await self._journal.load()
                await self._check(self._journal)
                await self._journal.purge()
            except (Away, Contended):
                self._checked_at_s = None
                raise Unreachable(frozenset()) from None

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    async def bury(self, letter: DeadLetter) -> bool:
        """Writes a dead letter to its topic, then rings; answers whether it is durable."""
        record = dead_record(self._client, letter, at_ms=int(time.time() * 1000))
        sent = await self._publisher.send([record])
        if record.id not in sent.acknowledged:
            return False
        events_dead().labels(letter.topic, letter.group).inc()
        about = {
            "topic": letter.topic,
            "group": letter.group,
            "partition": letter.partition,
            "offset": letter.offset,
            "reason": reason_of(letter.reason),
            **({"event_id": letter.event_id} if letter.event_id else {}),
        }
        _log.error("event_dead", extra=about)
        self._on_dead_letter(letter)
        return True

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        if not self._idempotent:
            # Said aloud at each start: what may lie there twice is for consumers to bear.
            _log.warning("bus_not_idempotent")
        try:
            async with asyncio.TaskGroup() as tasks:
                self._open = True
                hearing = tasks.create_task(self._consuming.while_leading(self._hearing))
                try:
                    yield
                finally:
                    self._open = False
                    hearing.cancel()
        finally:
            await self._publisher.close()

    @asynccontextmanager
    async def _hearing(self) -> AsyncIterator[None]:
        groups = [
            Group(Hearing(group, handlers, self._patience, self.bury), self._connection)
            for group, handlers in self._handlers.items()
        ]
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(group.run())
            try:
                yield
            finally:
                for group in groups:
                    group.stop()

    async def _sent(self, events: Sequence[Event]) -> Sent:
        with ExitStack() as spans:
            traces = {
                topic: spans.enter_context(
                    publishing(topic, sum(event.topic == topic for event in events))
                )
                for topic in sorted({event.topic for event in events})
            }
            records = [outgoing(event, trace=traces[event.topic]) for event in events]
            if self._journal is None:
                return await self._publisher.send(records)
            async with self._one_at_a_time:
                return await self._kept(self._journal, events, records)

    async def _kept(
        self, journal: SentJournal, events: Sequence[Event], records: Sequence[Outgoing]
    ) -> Sent:
        """Sends, then keeps: what is not in the journal when this returns is not safe."""
        now_s = time.monotonic()
        if self._checked_at_s is None:
            await journal.load()
        if self._checked_at_s is None or now_s - self._checked_at_s > CHECKED_S:
            await self._check(journal)
        sent = await self._publisher.send(records)
        if not sent.acknowledged:
            return sent
        lost = journal.precedes(sent.first)
        if lost:
            await self._begin_again(journal, journal.cluster)
        await journal.keep([each for each in events if each.id in sent.acknowledged], sent.last)
        if lost:
            await self._send_again(journal)
        return sent

    async def _check(self, journal: SentJournal) -> None:
        """Looks whether the log still holds what the journal says, and mends it. Raises Away."""
        state: LogState | None = None
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_AGAIN_S)
            state = await self._publisher.log_state(journal.last)
            if not _is_lost(journal, state):
                break
        else:
            assert state is not None
            await self._begin_again(journal, state.cluster)
        if state.cluster and journal.cluster != state.cluster:
            await journal.begin(state.cluster)
        if journal.behind:
            await self._send_again(journal)
        self._checked_at_s = time.monotonic()

    async def _begin_again(self, journal: SentJournal, cluster: str) -> None:
        _log.error("broker_log_lost")
        self._checked_at_s = None
        await journal.begin_again(cluster)

    async def _send_again(self, journal: SentJournal) -> None:
        count = 0
        async for kept in journal.older():
            records = [outgoing(event) for event in kept.events]
            sent = await self._publisher.send(records)
            if len(sent.acknowledged) + len(sent.refused) < len({each.id for each in records}):
                raise Away
            if journal.precedes(sent.first):
                await self._begin_again(journal, journal.cluster)
                raise Away  # lost once more: whoever publishes comes again, and we begin again
            await journal.published_again(kept, sent.last)
            count += len(kept.events)
            for event in kept.events:
                events_sent_again().labels(event.topic).inc()
        await journal.caught_up()
        _log.warning("events_sent_again", extra={"events": count})


def _is_lost(journal: SentJournal, state: LogState) -> bool:
    if not journal.last:
        return False
    if journal.cluster and state.cluster and journal.cluster != state.cluster:
        return True
    return any(state.ends.get(place, 0) <= offset for place, offset in journal.last.items())
