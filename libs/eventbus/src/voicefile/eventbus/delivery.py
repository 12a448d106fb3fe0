"""Delivery out of a broker's log: a record is passed when it is handled, or buried, and not before.

A failed batch comes again event by event. Who is to blame is found out in this order:

* the handler's engines are away (`is_outage`): all wait, for ever, nothing is buried;
* one event fails for good, and the next one does not: poison, buried as a dead letter;
* several in a row fail for good: the group is down, and all wait. So that a handful of poison
  ones in a row is not taken for that for ever, an event of another key is tried ahead of its
  turn (it comes again): if it is handled, the group is alive and the others are poison.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from voicefile.eventbus.attempts import DOWN_AFTER, Attempts, Patience, is_outage
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.kafka_record import Taken, Unreadable
from voicefile.eventbus.metrics import events_handled, group_waiting
from voicefile.eventbus.port import Event, Handler

_log = logging.getLogger(__name__)

WAIT_FIRST_S = 0.2
WAIT_MAX_S = 8.0
"""A group that can't work is tried again after waits doubling up to this."""

Bury = Callable[[DeadLetter], Awaitable[bool]]
"""Makes a dead letter durable; answers whether it is."""


@dataclass(frozen=True)
class Outcome:
    """How far it went."""

    passed: int
    """So many of the records, from the first on, are handled or buried."""
    wait_s: float = 0.0
    """Before the rest is tried again."""


@dataclass(frozen=True)
class _Readable:
    """A record that is an event."""

    at: int
    taken: Taken
    event: Event


class Delivery:
    """One group's way through one topic. `leave` is set when it is to give up soon."""

    def __init__(
        self,
        topic: str,
        group: str,
        handler: Handler,
        *,
        patience: Patience,
        bury: Bury,
        leave: asyncio.Event,
    ) -> None:
        self._topic = topic
        self._group = group
        self._patience = patience
        self._bury = bury
        self._leave = leave
        self._attempts = Attempts(topic, group, handler, patience=patience, leave=leave)
        self._in_a_row = 0
        self._alive = False
        """Whether an event ahead of its turn was just handled, while others failed."""
        self._proven = False
        """The same, for the round under way."""
        self._wait_s = 0.0

    async def deliver(self, records: Sequence[Taken]) -> Outcome:
        """Records in the order of their partitions. What is not passed has to be brought again."""
        self._proven, self._alive = self._alive, False
        size = self._patience.batch_max
        for start in range(0, len(records), size):
            if self._leave.is_set():
                return Outcome(start)
            end = min(start + size, len(records))
            passed = await self._batch(records, start, end)
            if passed < end:
                return self._waiting(passed)
        # Not `_worked`: what was buried last counts on, into the next records.
        self._wait_s = 0.0
        group_waiting().labels(self._topic, self._group).set(0)
        return Outcome(len(records))

    async def _batch(self, records: Sequence[Taken], start: int, end: int) -> int:
        """Handles or buries the records of one batch; answers the number of the first left."""
        readable = [
            _Readable(start + number, taken, taken.event)
            for number, taken in enumerate(records[start:])
            if taken.event is not None
        ]
        batch = [each for each in readable if each.at < end]
        passed = await self._handled(batch, readable) if batch else 0
        reached = end if passed == len(batch) else batch[passed].at
        for number in range(start, reached):
            taken = records[number]
            if taken.event is None and not await self._buried(taken, Unreadable()):
                return number
        return reached

    async def _handled(self, batch: Sequence[_Readable], rest: Sequence[_Readable]) -> int:
        failure = await self._attempts.once([each.event for each in batch])
        if failure is None:
            self._worked()
            events_handled().labels(self._topic, self._group).inc(len(batch))
            return len(batch)
        return 0 if is_outage(failure) else await self._singly(batch, rest)

    async def _singly(self, batch: Sequence[_Readable], rest: Sequence[_Readable]) -> int:
        suspects: list[tuple[_Readable, Exception]] = []
        for number, one in enumerate(batch):
            failure = await self._attempts.in_the_end(one.event, tries=self._tries())
            if failure is None:
                if not await self._all_buried(suspects):
                    return number - len(suspects)
                suspects.clear()
                self._worked()
                events_handled().labels(self._topic, self._group).inc()
                continue
            if self._leave.is_set() or is_outage(failure):
                return number - len(suspects)
            suspects.append((one, failure))
            self._in_a_row += 1
            if self._in_a_row >= DOWN_AFTER and not self._proven:
                _log.error("group_down", extra={"topic": self._topic, "group": self._group})
                first = number + 1 - len(suspects)
                self._alive = await self._somebody_is_handled(rest[first:])
                return first
        return len(batch) if await self._all_buried(suspects) else len(batch) - len(suspects)

    def _tries(self) -> int:
        # While everything fails, one more try each time is enough to see whether it still does.
        down = self._in_a_row >= DOWN_AFTER and not self._proven
        return 1 if down else self._patience.tries_max

    async def _somebody_is_handled(self, rest: Sequence[_Readable]) -> bool:
        """Tries the newest event that overtakes no other of its key."""
        keys: set[str] = set()
        probe: _Readable | None = None
        for each in rest:
            if each.event.key not in keys:
                probe = each
            keys.add(each.event.key)
        if probe is None or probe is rest[0]:
            return False
        return await self._attempts.once([probe.event]) is None

    async def _all_buried(self, suspects: Sequence[tuple[_Readable, Exception]]) -> bool:
        for one, failure in suspects:
            if not await self._buried(one.taken, failure):
                return False
        return True

    async def _buried(self, taken: Taken, failure: Exception) -> bool:
        letter = DeadLetter(
            self._topic,
            self._group,
            event_id="" if taken.event is None else taken.event.id,
            key="" if taken.event is None else taken.event.key,
            partition=taken.place.partition,
            offset=taken.offset,
            reason=type(failure).__name__,
        )
        return await self._bury(letter)

    def _worked(self) -> None:
        self._in_a_row = 0
        self._wait_s = 0.0
        group_waiting().labels(self._topic, self._group).set(0)

    def _waiting(self, passed: int) -> Outcome:
        self._wait_s = min(max(self._wait_s * 2, WAIT_FIRST_S), WAIT_MAX_S)
        if not self._leave.is_set():
            group_waiting().labels(self._topic, self._group).set(1)
        return Outcome(passed, self._wait_s)
