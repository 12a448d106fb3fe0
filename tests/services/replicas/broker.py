"""A broker in this process: what was published is safe before anybody has handled it.

As with a real one, the members of a group share its work, batches come twice now and then, what
a handler refuses comes again, and nothing is ever given up.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from voicefile.docstore.lease import ALONE, Leadership
from voicefile.eventbus.port import Event, Handler, Unreachable

BATCH = 50
AGAIN_S = 0.01
TWICE = 0.1
"""How often a batch that was handled comes a second time."""


@dataclass
class Member:
    """One instance's part in a group; takes part while it leads."""

    handler: Handler
    leadership: Leadership


@dataclass
class Broker:
    """Topics as lists, and how far each group has come."""

    chance: random.Random = field(default_factory=random.Random)
    away: bool = False
    topics: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    refused: list[Exception] = field(default_factory=list)
    _members: dict[tuple[str, str], list[Member]] = field(default_factory=lambda: defaultdict(list))
    _passed: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def client(self, *, consuming: Leadership = ALONE) -> "Client":
        return Client(self, consuming)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as groups:
            tasks = [groups.create_task(self._deliver(*place)) for place in self._members]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether every group has handled all there is."""
        return all(self._passed[place] == len(self.topics[place[0]]) for place in self._members)

    async def _deliver(self, topic: str, group: str) -> None:
        place = topic, group
        while True:
            at = self._passed[place]
            batch = self.topics[topic][at : at + BATCH]
            members = [each for each in self._members[place] if each.leadership.leading]
            if self.away or not batch or not members:
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                async with asyncio.timeout(30):
                    await self.chance.choice(members).handler(batch)
                    if self.chance.random() < TWICE:
                        await self.chance.choice(members).handler(batch)
            except Exception as failure:  # noqa: BLE001 - whatever it is: the batch comes again
                self.refused.append(failure)
                await asyncio.sleep(AGAIN_S)
            else:
                self._passed[place] = at + len(batch)


@dataclass
class Client:
    """The bus as one instance has it."""

    broker: Broker
    consuming: Leadership
    cut_off: bool = False

    async def publish(self, events: Sequence[Event]) -> None:
        if self.cut_off or self.broker.away:
            raise Unreachable(frozenset(event.id for event in events))
        for event in events:
            self.broker.topics[event.topic].append(event)

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        self.broker._members[topic, group].append(Member(handler, self.consuming))

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        yield
