"""A clock for deleting by age: what the wall clock jumps ahead has not passed."""

import time
from collections.abc import Callable


class SteadyClock:
    """Unix time, but no further on than the time this process has seen go by.

    Behind by as much as the clock was put forward, until the next start: things are deleted late
    then, and never early.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._started_s = now_s()
        self._started_monotonic_s = monotonic_s()

    def now_s(self) -> float:
        """The earlier of what the clock says and what can have passed."""
        return min(self._now_s(), self._started_s + self._passed_s())

    def jumped_s(self) -> float:
        """How far the wall clock is ahead of this one."""
        return self._now_s() - self.now_s()

    def _passed_s(self) -> float:
        return self._monotonic_s() - self._started_monotonic_s
