"""The event bus inside one process: safe means handled, so the publisher's outbox is its disk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from voicefile.eventbus.attempts import Patience
from voicefile.eventbus.dead_letter import DeadLetter, OnDeadLetter, ring_nobody
from voicefile.eventbus.lane import Lane
from voicefile.eventbus.port import Event, Handler, Undelivered


class MemoryEventBus:
    """An EventBus that keeps nothing: `publish` returns when every group has handled everything.

    What a group cannot handle stays with the publisher (`Undelivered`), whose relay offers it
    again, ever more rarely. So poison holds up nobody for long, and nothing is ever dropped.
    A handler must not publish and wait: it writes to its store, whose own relay publishes.
    """

    def __init__(
        self,
        *,
        patience: Patience | None = None,
        on_dead_letter: OnDeadLetter = ring_nobody,
    ) -> None:
        self._patience = patience or Patience()
        self._on_dead_letter = on_dead_letter
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._open = False

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """What some group keeps failing on: ids only, the events are with their publishers."""
        return [letter for lane in self._lanes.values() for letter in lane.dead.values()]

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        if self._open:
            raise RuntimeError("subscribe before the bus is running")
        if (topic, group) in self._lanes:
            raise ValueError(f"{group} already hears {topic}")
        self._lanes[topic, group] = Lane(
            topic, group, handler, patience=self._patience, on_dead_letter=self._on_dead_letter
        )

    async def publish(self, events: Sequence[Event]) -> None:
        if not self._open:
            raise Undelivered(frozenset(event.id for event in events))
        answers = []
        for (topic, _), lane in self._lanes.items():
            heard = [event for event in events if event.topic == topic]
            if heard:
                answers.append(lane.send(heard))
        failed = frozenset[str]().union(*await asyncio.gather(*answers))
        if failed:
            raise Undelivered(failed)

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as lanes:
            for lane in self._lanes.values():
                lane.start()
                lanes.create_task(lane.run())
            self._open = True
            try:
                yield
            finally:
                self._open = False
                for lane in self._lanes.values():
                    lane.stop()
