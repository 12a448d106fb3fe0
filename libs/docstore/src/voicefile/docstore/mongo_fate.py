"""What became of a write across a network: nothing is told to a caller before it is known.

The driver's errors arrive here as three: surely nothing was done (`NotDone`), a value or an id is
taken (`Taken`), or the answer was lost (`Unanswered`). A write of the third kind is tried again
in a way that does nothing twice, until one attempt is answered for certain.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voicefile.docstore.port import StoreBroken, StoreUnavailable

PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 1.0


class NotDone(StoreUnavailable):
    """It was never sent, or the server refused it as a whole: nothing was stored."""


class Unanswered(StoreUnavailable):
    """Sent, perhaps; what became of it is unknown. Only a read may let this out."""


class Taken(Exception):
    """The id, or a value in a unique index, belongs to another document."""


Outcome = NotDone | Unanswered | Taken | None
"""How the first attempt at one insert ended; None: it is stored."""


@dataclass(frozen=True)
class Patience:
    """How long one write is tried before the instance gives up on knowing."""

    seconds_max: float
    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class Fate:
    """One write on its way from doubt to certainty."""

    def __init__(self, patience: Patience, *, bound: bool = False) -> None:
        """`bound`: part of the call is stored already, so it can't be called off any more."""
        self._patience = patience
        self._until_s = patience.now_s() + patience.seconds_max
        self._pause_s = PAUSE_FIRST_S
        self._bound = bound
        self.doubtful = False
        """An attempt may have been carried out, or may still be on its way."""

    async def again(self, failed: StoreUnavailable) -> None:
        """Returns when it is to be tried again; else raises what the caller is to be told."""
        self.doubtful = self.doubtful or isinstance(failed, Unanswered)
        if not self.doubtful and not self._bound:
            raise failed
        await self.pause()

    def bind(self) -> None:
        """Part of the call is stored by now."""
        self._bound = True

    async def pause(self) -> None:
        if self._patience.now_s() > self._until_s:
            raise self.lost()
        await self._patience.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)

    def lost(self) -> StoreBroken:
        """The write left no trace that tells."""
        return StoreBroken("what became of a write could not be found out")
