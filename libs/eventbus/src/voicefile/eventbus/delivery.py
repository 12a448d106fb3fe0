"""Delivery out of a broker's log: a record is passed when it is handled, or buried, and not before.

A failed batch comes again event by event. Who is to blame for one that fails for good?

* If the handler's engines are away (`is_outage`), no event is: all wait, for ever.
* If an event of another key is handled, tried ahead of its turn (it comes again in its turn), the
  group is alive: the failing one gets a last chance, and is poison.
* If no other is handled either, the group is down: all wait, for ever.
* If there is no other, the first two count as poison, and the next one waits for others to come.

An event that waits is overtaken by none of its key, with one exception: of a group that has been
down for a while, the newest event of all is tried as well. Or poison in a row that happens to
hold one of every key would be taken for a group that is down, for ever.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

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


class _Verdict(Enum):
    """Of an event that failed for good."""

    HANDLED = auto()
    """At its last chance."""
    POISON = auto()
    DOWN = auto()
    """It is not the event, as far as can be told."""


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
        self._down = False
        self._alone_in_a_row = 0
        """So many were buried without anything else to compare them with."""
        self._wait_s = 0.0

    async def deliver(self, records: Sequence[Taken]) -> Outcome:
        """Records in the order of their partitions. What is not passed has to be brought again."""
        size = self._patience.batch_max
        for start in range(0, len(records), size):
            if self._leave.is_set():
                return Outcome(start)
            end = min(start + size, len(records))
            passed = await self._batch(records, start, end)
            if passed < end:
                return self._waiting(passed)
        # Not `_worked`: what was buried alone counts on, into the next records.
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
        for number, one in enumerate(batch):
            # While the group is down, one more try is enough to see whether it still is.
            tries = 1 if self._down else self._patience.tries_max
            failure = await self._attempts.in_the_end(one.event, tries=tries)
            if failure is None:
                self._worked()
                events_handled().labels(self._topic, self._group).inc()
                continue
            if self._leave.is_set() or is_outage(failure):
                return number
            verdict = await self._verdict(one, rest[number + 1 :])
            if verdict is _Verdict.DOWN:
                return number
            if verdict is _Verdict.POISON and not await self._buried(one.taken, failure):
                return number
        return len(batch)

    async def _verdict(self, one: _Readable, rest: Sequence[_Readable]) -> _Verdict:
        probes = _probes(one.event.key, rest)
        if self._down:
            probes += rest[-1:]
        for probe in probes:
            if await self._attempts.once([probe.event]) is None:
                self._worked()
                failure = await self._attempts.once([one.event])
                if failure is None:
                    return _Verdict.HANDLED
                return _Verdict.DOWN if is_outage(failure) else _Verdict.POISON
        self._alone_in_a_row += not rest
        if not rest and self._alone_in_a_row < DOWN_AFTER:
            return _Verdict.POISON
        self._down = True
        _log.error("group_down", extra={"topic": self._topic, "group": self._group})
        return _Verdict.DOWN

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
        self._down = False
        self._alone_in_a_row = 0
        self._wait_s = 0.0
        group_waiting().labels(self._topic, self._group).set(0)

    def _waiting(self, passed: int) -> Outcome:
        self._wait_s = min(max(self._wait_s * 2, WAIT_FIRST_S), WAIT_MAX_S)
        if not self._leave.is_set():
            group_waiting().labels(self._topic, self._group).set(1)
        return Outcome(passed, self._wait_s)


def _probes(key: str, rest: Sequence[_Readable]) -> list[_Readable]:
    """Events that may be tried ahead of their turn: the newest, one in the middle, the next one.

    Spread, because poison likes to come in a row.
    """
    seen = {key}
    free: list[_Readable] = []
    for each in rest:
        if each.event.key not in seen:
            seen.add(each.event.key)
            free.append(each)
    places = dict.fromkeys((len(free) - 1, len(free) // 2, 0)) if free else {}
    return [free[place] for place in places]
