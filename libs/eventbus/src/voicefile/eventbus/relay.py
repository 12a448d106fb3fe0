"""The relay: takes events out of a store's documents to the bus, and settles what is safe."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from voicefile.docstore.port import Collection, DocStore, Document
from voicefile.eventbus.port import Event, EventBus, Undelivered

_log = logging.getLogger(__name__)

POLL_S = 0.25
"""How long an event waits at most for a relay that nobody kicked."""
BATCH_DOCUMENTS = 500
"""Documents whose events are published together."""
PARKED_MAX = 2000
"""Undeliverable events the relay looks past; beyond, it waits for them."""
PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 60.0
"""An undeliverable event, or a bus that fails, is tried again after pauses doubling up to this."""


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
        poll_s: float = POLL_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._bus = bus
        self._poll_s = poll_s
        self._now_s = now_s
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._stopping = False
        self._parked: dict[str, _Parked] = {}
        self._first_seen_s: dict[str, float] = {}

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
        """Publishes while entered; leaving it finishes the batch under way."""
        self._stopping = False
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._loop())
            try:
                yield
            finally:
                self._stopping = True
                self.kick()

    async def drain(self) -> int:
        """Publishes all there is, parked events too; answers how many could not be delivered."""
        self._parked.clear()
        while await self._pass():
            pass
        return len(self._parked)

    async def _loop(self) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopping:
            self._woken.clear()
            try:
                busy = await self._pass()
            except Exception:  # noqa: BLE001 - see below
                # The loop's edge: nothing was settled, so nothing is lost by trying again; the
                # age of the oldest event tells that this does not get better.
                _log.exception("relay_failed")
                await self._wait(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
                continue
            pause_s = PAUSE_FIRST_S
            if not busy and not self._stopping:
                await self._wait(self._poll_s)

    async def _wait(self, seconds: float) -> None:
        if self._stopping:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _pass(self) -> bool:
        """Publishes one batch; whether that moved anything."""
        async with self._one_at_a_time:
            look = BATCH_DOCUMENTS + min(len(self._parked), PARKED_MAX)
            waiting = await self._store.pending(look)
            self._note(waiting)
            events = self._offered(waiting)
            if not events:
                return False
            undelivered = await self._publish(events)
            settled = {event.id for event in events} - undelivered
            await self._settle(waiting, settled)
            return bool(settled)

    def _note(self, waiting: list[tuple[Collection, Document]]) -> None:
        now_s = self._now_s()
        ids = {event.id for _, document in waiting for event in document.pending}
        self._first_seen_s = {each: self._first_seen_s.get(each, now_s) for each in ids}
        self._parked = {each: self._parked[each] for each in ids if each in self._parked}

    def _offered(self, waiting: list[tuple[Collection, Document]]) -> list[Event]:
        now_s = self._now_s()
        return [
            Event(event.id, event.topic, event.key, event.payload)
            for _, document in waiting
            for event in document.pending
            if event.id not in self._parked or self._parked[event.id].retry_at_s <= now_s
        ]

    async def _publish(self, events: list[Event]) -> frozenset[str]:
        try:
            await self._bus.publish(events)
        except Undelivered as refused:
            now_s = self._now_s()
            for event_id in refused.event_ids:
                before = self._parked.get(event_id)
                pause_s = PAUSE_FIRST_S if before is None else before.pause_s * 2
                pause_s = min(pause_s, PAUSE_MAX_S)
                self._parked[event_id] = _Parked(now_s + pause_s, pause_s)
            return refused.event_ids
        return frozenset()

    async def _settle(self, waiting: list[tuple[Collection, Document]], settled: set[str]) -> None:
        async with asyncio.TaskGroup() as writes:
            for collection, document in waiting:
                ids = {event.id for event in document.pending} & settled
                if ids:
                    writes.create_task(self._store.settle(collection, document.id, ids))
        for event_id in settled:
            self._parked.pop(event_id, None)
            self._first_seen_s.pop(event_id, None)
