"""The relay: takes events out of a store's documents to the bus, and settles what is safe.

Of all instances over one store, one relays: the leader. The order of a key is kept across its
successors as far as first deliveries go. A leader takes up all that is not settled, oldest first,
and publishes an event only together with, or after, every older unsettled one of its key. So
whatever an ousted leader may still have under way holds an event only behind the older ones of
its key, published by itself or settled before; two such series, mixed as they may be, bring each
event for the first time after those before it. What comes twice, comes twice anyway.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from voicefile.docstore.lease import ALONE, Leadership
from voicefile.docstore.port import Collection, DocStore, Document
from voicefile.eventbus.metrics import outbox_age
from voicefile.eventbus.port import Event, EventBus, Mending, Undelivered, Unreachable

_log = logging.getLogger(__name__)

POLL_S = 0.25
"""How long an event waits at most for a relay that nobody kicked."""
BATCH_DOCUMENTS = 500
"""Documents whose events are published together."""
PARKED_MAX = 2000
"""Undeliverable events the relay looks past; beyond, it waits for them."""
PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 60.0
"""An undeliverable event is tried again after pauses doubling up to this."""
AWAY_PAUSE_MAX_S = 4.0
"""A bus or a store that is away is asked again after pauses doubling up to this."""
MEND_EVERY_S = 5.0
"""How often a bus that may lose its log looks whether it has."""


@dataclass(frozen=True)
class _Parked:
    """An event the bus could not deliver, until it is offered again."""

    retry_at_s: float
    pause_s: float


class Relay:
    """Publishes the events of one store, at least once, oldest first. One per store and process.

    An event leaves the store only after the bus has called it safe, so a crash at any point
    publishes twice at worst.
    """

    def __init__(
        self,
        store: DocStore,
        bus: EventBus,
        *,
        leadership: Leadership = ALONE,
        poll_s: float = POLL_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._bus = bus
        self._leadership = leadership
        self._poll_s = poll_s
        self._now_s = now_s
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._parked: dict[str, _Parked] = {}
        self._first_seen_s: dict[str, float] = {}
        self._topics: set[str] = set()
        self._held: list[tuple[Collection, Document]] = []
        self._mended_at_s: float | None = None

    @property
    def oldest_age_s(self) -> float:
        """How long the oldest unpublished event has been waiting, as far as this relay saw."""
        oldest = min(self._first_seen_s.values(), default=None)
        return 0.0 if oldest is None else self._now_s() - oldest

    def kick(self) -> None:
        """Says that there is something to publish now."""
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publishes while entered and leading; leaving it finishes the batch under way."""
        async with asyncio.TaskGroup() as tasks:
            relaying = tasks.create_task(self._leadership.while_leading(self._at_work))
            try:
                yield
            finally:
                relaying.cancel()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        self._stopping.clear()
        self._held = []
        self._mended_at_s = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._loop())
            try:
                yield
            finally:
                self._stopping.set()
                self.kick()
        # What waits now is another leader's to publish, and to be worried about.
        self._note([])

    async def drain(self) -> int:
        """Publishes all there is, parked events too; answers how many could not be delivered."""
        self._parked.clear()
        while await self._pass():
            pass
        return len(self._parked)

    async def _loop(self) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopping.is_set():
            self._woken.clear()
            busy = False
            try:
                if self._leadership.leading:
                    await self._mend()
                    busy = await self._pass()
            except Unreachable:
                _log.warning("bus_unreachable")
            except Exception:  # noqa: BLE001 - see below
                # The loop's edge: nothing was settled, so nothing is lost by trying again; the
                # age of the oldest event tells that this does not get better.
                _log.exception("relay_failed")
            else:
                pause_s = PAUSE_FIRST_S
                if not busy and not self._stopping.is_set():
                    await self._wait(self._woken, self._poll_s)
                continue
            # Whoever kicks in the meantime would only ask again in vain.
            await self._wait(self._stopping, pause_s)
            pause_s = min(pause_s * 2, AWAY_PAUSE_MAX_S)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    async def _mend(self) -> None:
        if not isinstance(self._bus, Mending):
            return
        now_s = self._now_s()
        if self._mended_at_s is None or now_s - self._mended_at_s >= MEND_EVERY_S:
            await self._bus.mend()
            self._mended_at_s = now_s

    async def _pass(self) -> bool:
        """Publishes one batch; whether that moved anything."""
        async with self._one_at_a_time:
            look = BATCH_DOCUMENTS + min(len(self._parked), PARKED_MAX)
            # While the bus is away the store is not asked over and over what it waits with.
            waiting = self._held or await self._store.pending(look)
            self._held = []
            self._note(waiting)
            events = self._offered(waiting)
            if not events:
                return False
            ids = {event.id for event in events}
            try:
                await self._bus.publish(events)
            except Unreachable as away:
                # Nothing is parked: the next pass begins with the oldest again, in order.
                taken = ids - away.event_ids
                self._held = [] if taken else waiting
                await self._settle(waiting, taken)
                raise
            except Undelivered as refused:
                self._park(refused.event_ids)
                ids -= refused.event_ids
            await self._settle(waiting, ids)
            return bool(ids)

    def _note(self, waiting: list[tuple[Collection, Document]]) -> None:
        now_s = self._now_s()
        ids = {event.id for _, document in waiting for event in document.pending}
        self._first_seen_s = {each: self._first_seen_s.get(each, now_s) for each in ids}
        self._parked = {each: self._parked[each] for each in ids if each in self._parked}
        self._topics |= {event.topic for _, document in waiting for event in document.pending}
        for topic in self._topics:
            outbox_age().labels(topic).set(self.oldest_age_s)

    def _offered(self, waiting: list[tuple[Collection, Document]]) -> list[Event]:
        now_s = self._now_s()
        return [
            Event(event.id, event.topic, event.key, event.payload)
            for _, document in waiting
            for event in document.pending
            if event.id not in self._parked or self._parked[event.id].retry_at_s <= now_s
        ]

    def _park(self, event_ids: frozenset[str]) -> None:
        now_s = self._now_s()
        for event_id in event_ids:
            before = self._parked.get(event_id)
            pause_s = PAUSE_FIRST_S if before is None else before.pause_s * 2
            pause_s = min(pause_s, PAUSE_MAX_S)
            self._parked[event_id] = _Parked(now_s + pause_s, pause_s)

    async def _settle(self, waiting: list[tuple[Collection, Document]], settled: set[str]) -> None:
        async with asyncio.TaskGroup() as writes:
            for collection, document in waiting:
                ids = {event.id for event in document.pending} & settled
                if ids:
                    writes.create_task(self._store.settle(collection, document.id, ids))
        for event_id in settled:
            self._parked.pop(event_id, None)
            self._first_seen_s.pop(event_id, None)
