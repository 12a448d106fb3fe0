"""One group's way of one topic through the memory bus: in order, with patience, never stuck."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from voicefile.eventbus.port import Event, Handler

_log = logging.getLogger(__name__)

_DOWN_AFTER = 3
"""So many events in a row failing for good mean that not they are poison: the group is down."""
_DEAD_MAX = 10_000
"""Dead letters listed per lane. More are still kept by their publishers, just not listed."""


@dataclass(frozen=True)
class Patience:
    """How hard a lane tries."""

    batch_max: int = 100
    """Events per call of a handler."""
    tries_max: int = 5
    """Calls with one event before it becomes a dead letter."""
    backoff_s: float = 0.05
    """Pause after an event's first failure; each further one doubles it."""
    handler_s: float = 30.0
    """A handler that takes longer has failed."""


@dataclass(frozen=True)
class DeadLetter:
    """An event that a group keeps failing on. Ids only: the payload stays in the outbox."""

    topic: str
    group: str
    event_id: str
    key: str


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
        on_dead_letter: Callable[[DeadLetter], None],
    ) -> None:
        self.dead: dict[str, DeadLetter] = {}
        self._topic = topic
        self._group = group
        self._handler = handler
        self._patience = patience
        self._on_dead_letter = on_dead_letter
        self._parcels: asyncio.Queue[_Parcel | None] = asyncio.Queue()
        self._stopping = asyncio.Event()
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
            if await self._handled(batch):
                for event in batch:
                    self.dead.pop(event.id, None)
                continue
            failed_here, down = await self._singly(batch)
            failed |= failed_here
            if down:
                return failed | _ids(events[start + size :])
        return failed

    async def _singly(self, batch: Sequence[Event]) -> tuple[frozenset[str], bool]:
        failed: frozenset[str] = frozenset()
        in_a_row = 0
        for at, event in enumerate(batch):
            if await self._handled_in_the_end(event):
                in_a_row = 0
                continue
            failed |= {event.id}
            in_a_row += 1
            if in_a_row == _DOWN_AFTER or self._stopping.is_set():
                return failed | _ids(batch[at:]), True
        return failed, False

    async def _handled_in_the_end(self, event: Event) -> bool:
        # A dead letter that comes again gets one try: the others have waited for it once.
        tries = 1 if event.id in self.dead else self._patience.tries_max
        for attempt in range(tries):
            if await self._handled([event]):
                self.dead.pop(event.id, None)
                return True
            if attempt + 1 < tries:
                await self._pause(self._patience.backoff_s * 2**attempt)
            if self._stopping.is_set():
                return False
        self._bury(event)
        return False

    async def _handled(self, batch: Sequence[Event]) -> bool:
        try:
            async with asyncio.timeout(self._patience.handler_s):
                await self._handler(batch)
        except Exception:  # noqa: BLE001 - see below
            # The edge of the delivery loop: the events are not lost by going on, they count as
            # failed, stay in their publisher's outbox and come again.
            _log.exception("handler_failed", extra={"topic": self._topic, "group": self._group})
            return False
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside the handler was cancelled, not this lane: that is a failure, too.
            _log.warning("handler_cancelled", extra={"topic": self._topic, "group": self._group})
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _bury(self, event: Event) -> None:
        if event.id in self.dead:
            return
        letter = DeadLetter(self._topic, self._group, event.id, event.key)
        if len(self.dead) < _DEAD_MAX:
            self.dead[event.id] = letter
        self._on_dead_letter(letter)


def _answer(parcel: _Parcel, failed: frozenset[str]) -> None:
    if not parcel.failed.done():  # else its publisher was cancelled and will publish again
        parcel.failed.set_result(failed)


def _ids(events: Sequence[Event]) -> frozenset[str]:
    return frozenset(event.id for event in events)
