"""One group's way of one topic through the memory bus: in order, with patience, never stuck."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from voicefile.eventbus.attempts import DOWN_AFTER, Attempts, Patience, is_outage
from voicefile.eventbus.dead_letter import DeadLetter, OnDeadLetter
from voicefile.eventbus.metrics import events_dead
from voicefile.eventbus.port import Event, Handler

_DEAD_MAX = 10_000
"""Dead letters listed per lane. More are still kept by their publishers, just not listed."""


@dataclass(frozen=True)
class _Parcel:
    events: Sequence[Event]
    failed: "asyncio.Future[frozenset[str]]"


class Lane:
    """Delivers parcels one after the other, so the order of every key is kept.

    A failed batch comes again event by event. One that fails `tries_max` times is a dead letter:
    it is answered as failed and the rest goes on, later ones of its key too.
    """

    def __init__(
        self,
        topic: str,
        group: str,
        handler: Handler,
        *,
        patience: Patience,
        on_dead_letter: OnDeadLetter,
    ) -> None:
        self.dead: dict[str, DeadLetter] = {}
        self._topic = topic
        self._group = group
        self._patience = patience
        self._on_dead_letter = on_dead_letter
        self._parcels: asyncio.Queue[_Parcel | None] = asyncio.Queue()
        self._stopping = asyncio.Event()
        self._attempts = Attempts(topic, group, handler, patience=patience, leave=self._stopping)
        self._ended = False

    def start(self) -> None:
        """Takes parcels from now on; `run` delivers them."""
        self._stopping.clear()
        self._ended = False

    def send(self, events: Sequence[Event]) -> "asyncio.Future[frozenset[str]]":
        """Answers with the ids of those events that the group did not handle."""
        failed: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        if self._ended:
            failed.set_result(_ids(events))
        else:
            self._parcels.put_nowait(_Parcel(events, failed))
        return failed

    def stop(self) -> None:
        """Lets the handler finish what it has in hand; the rest stays with its publishers."""
        self._stopping.set()
        self._parcels.put_nowait(None)

    async def run(self) -> None:
        parcel: _Parcel | None = None
        try:
            while (parcel := await self._parcels.get()) is not None:
                _answer(parcel, await self._deliver(parcel.events))
        finally:
            # Also when cancelled in the middle: no publisher waits for ever.
            self._ended = True
            while True:
                if parcel is not None:
                    _answer(parcel, _ids(parcel.events))
                if self._parcels.empty():
                    break
                parcel = self._parcels.get_nowait()

    async def _deliver(self, events: Sequence[Event]) -> frozenset[str]:
        failed: frozenset[str] = frozenset()
        size = self._patience.batch_max
        for start in range(0, len(events), size):
            batch = events[start : start + size]
            if self._stopping.is_set():
                return failed | _ids(events[start:])
            failure = await self._attempts.once(batch)
            if failure is None:
                for event in batch:
                    self.dead.pop(event.id, None)
                continue
            if is_outage(failure):
                return failed | _ids(events[start:])
            failed_here, down = await self._singly(batch)
            failed |= failed_here
            if down:
                return failed | _ids(events[start + size :])
        return failed

    async def _singly(self, batch: Sequence[Event]) -> tuple[frozenset[str], bool]:
        failed: frozenset[str] = frozenset()
        in_a_row = 0
        for at, event in enumerate(batch):
            # A dead letter that comes again gets one try: the others have waited for it once.
            tries = 1 if event.id in self.dead else self._patience.tries_max
            failure = await self._attempts.in_the_end(event, tries=tries)
            if failure is None:
                self.dead.pop(event.id, None)
                in_a_row = 0
                continue
            if self._stopping.is_set() or is_outage(failure):
                return failed | _ids(batch[at:]), True
            self._bury(event, failure)
            failed |= {event.id}
            in_a_row += 1
            if in_a_row == DOWN_AFTER:
                return failed | _ids(batch[at:]), True
        return failed, False

    def _bury(self, event: Event, failure: Exception) -> None:
        if event.id in self.dead:
            return
        reason = type(failure).__name__
        letter = DeadLetter(self._topic, self._group, event.id, event.key, reason=reason)
        if len(self.dead) < _DEAD_MAX:
            self.dead[event.id] = letter
        events_dead().labels(self._topic, self._group).inc()
        self._on_dead_letter(letter)


def _answer(parcel: _Parcel, failed: frozenset[str]) -> None:
    if not parcel.failed.done():  # else its publisher was cancelled and will publish again
        parcel.failed.set_result(failed)


def _ids(events: Sequence[Event]) -> frozenset[str]:
    return frozenset(event.id for event in events)
