"""The event bus: facts travel between services at least once, in order per key.

A service speaks on one topic, its own, and hears the ones it needs.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Undelivered(Exception):
    """Some events of a publish are not safe; whoever published keeps them and tries again."""

    def __init__(self, event_ids: frozenset[str]) -> None:
        super().__init__(f"{len(event_ids)} events are not safe")
        self.event_ids = event_ids


class Unreachable(Undelivered):
    """Nothing is wrong with these events: the bus is away, or a part of it.

    So there is nothing to look past. They come first when the bus is tried again, and nothing
    of their keys before them.
    """


class NotNow(Exception):
    """A handler can't work now, whatever the events: an engine it needs is away.

    Raised by a handler, alone or as the cause of something else. No event is to blame: all wait.
    """


@dataclass(frozen=True)
class Event:
    """One fact. Consumers are idempotent by `id`."""

    id: str
    topic: str
    key: str
    payload: bytes


Handler = Callable[[Sequence[Event]], Awaitable[None]]
"""Takes a batch; raising means that the whole batch comes again."""


class EventBus(Protocol):
    """Carries events. After `publish` returned, none of its events can be lost any more."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Returns when every event is safe: durable in a broker, or handled by every group.

        Raises Undelivered, naming the events that are not; all others of the call are. After
        any other error none counts as safe.
        """

    def subscribe(self, topic: str, *, group: str, handler: Handler) -> None:
        """Before `running`: each group gets every event of the topic at least once."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Delivers while entered; leaving it finishes the handlers under way."""


@runtime_checkable
class Mending(Protocol):
    """A bus over a log that can be lost as a whole, and that kept what it had sent."""

    async def mend(self) -> None:
        """Publishes again what the log has lost since, oldest first; mostly there is nothing.

        Called by whoever publishes, when it begins and now and then. Raises Unreachable.
        """
