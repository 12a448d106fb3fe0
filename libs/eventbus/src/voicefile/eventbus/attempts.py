"""Attempts: a handler is called with patience, and what it raised says who is to blame."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from voicefile.docstore.port import StoreBroken, StoreUnavailable
from voicefile.eventbus.port import Event, Handler, NotNow

_log = logging.getLogger(__name__)

DOWN_AFTER = 3
"""So many events in a row failing for good mean that not they are poison: the group is down."""
_CHAIN_MAX = 8


@dataclass(frozen=True)
class Patience:
    """How hard a handler is tried."""

    batch_max: int = 100
    """Events per call of a handler."""
    tries_max: int = 5
    """Calls with one event before it becomes a dead letter."""
    backoff_s: float = 0.05
    """Pause after an event's first failure; each further one doubles it."""
    handler_s: float = 30.0
    """A handler that takes longer has failed."""


class HandlerCancelled(Exception):
    """Something inside the handler was cancelled, not we: a failure like any other."""


def is_outage(failure: BaseException | None) -> bool:
    """Whether the handler's engines are away: then its events are fine, and wait."""
    for _ in range(_CHAIN_MAX):
        if failure is None:
            return False
        if isinstance(failure, NotNow | StoreUnavailable | StoreBroken):
            return True
        if isinstance(failure, BaseExceptionGroup):
            return any(is_outage(each) for each in failure.exceptions)
        hidden = failure.__suppress_context__
        failure = failure.__cause__ or (None if hidden else failure.__context__)
    return False


class Attempts:
    """Calls the handler of one group for one topic. `leave` is set when it is to give up soon."""

    def __init__(
        self, topic: str, group: str, handler: Handler, *, patience: Patience, leave: asyncio.Event
    ) -> None:
        self._about = {"topic": topic, "group": group}
        self._handler = handler
        self._patience = patience
        self._leave = leave

    async def once(self, batch: Sequence[Event]) -> Exception | None:
        """One call with the whole batch; answers why it failed."""
        try:
            async with asyncio.timeout(self._patience.handler_s):
                await self._handler(batch)
        except Exception as failure:  # noqa: BLE001 - see below
            # The edge of the delivery loop: the events are not lost by going on, they count as
            # failed, stay where they are kept and come again.
            _log.exception("handler_failed", extra=self._about)
            return failure
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something inside the handler was cancelled, not this loop.
            _log.warning("handler_cancelled", extra=self._about)
            return HandlerCancelled()
        return None

    async def in_the_end(self, event: Event, *, tries: int) -> Exception | None:
        """Several calls with one event; an outage or having to leave ends them early."""
        failure: Exception | None = None
        for attempt in range(tries):
            failure = await self.once([event])
            if failure is None or is_outage(failure):
                return failure
            if attempt + 1 < tries:
                await self.pause(self._patience.backoff_s * 2**attempt)
            if self._leave.is_set():
                return failure
        return failure

    async def pause(self, seconds: float) -> None:
        """Ends early when it is time to leave."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leave.wait(), seconds)
