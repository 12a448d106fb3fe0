"""Numbers of one instance: which have arrived, and which are missing below them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Gap:
    """Numbers that have not arrived: how many, and, if any, the first of them."""

    count: int
    first: int


class Numbers:
    """A set of numbers from 1 on, kept as runs: small as long as few are missing."""

    __slots__ = ("_runs", "stored_through")

    def __init__(self, runs: Iterable[Sequence[int]] = (), *, stored_through: int = 0) -> None:
        self.stored_through = stored_through
        """The instance had stored all up to here, by its own word."""
        self._runs: list[tuple[int, int]] = []
        for first, last in runs:
            self.add_run(first, last)

    def __contains__(self, n: int) -> bool:
        if not self._runs or n > self._runs[-1][1]:
            return False
        at = bisect_right(self._runs, n, key=lambda run: run[0]) - 1
        return at >= 0 and n <= self._runs[at][1]

    def add(self, n: int) -> None:
        """Takes a number in; one that is in already changes nothing."""
        if self._runs and self._runs[-1][1] == n - 1:  # the usual case: the next one
            self._runs[-1] = (self._runs[-1][0], n)
        else:
            self.add_run(n, n)

    def add_run(self, first: int, last: int) -> None:
        """Takes in first..last."""
        assert 1 <= first <= last, "numbers start at 1"
        begin = bisect_left(self._runs, first - 1, key=lambda run: run[1])
        end = bisect_right(self._runs, last + 1, key=lambda run: run[0])
        for run in self._runs[begin:end]:
            first, last = min(first, run[0]), max(last, run[1])
        self._runs[begin:end] = [(first, last)]

    def heard(self, n: int, *, stored_through: int) -> None:
        """Takes in a number, and what its deed says of those before."""
        self.add(n)
        self.stored_through = max(self.stored_through, stored_through)

    def merge(self, other: "Numbers") -> None:
        """Takes in all that the other has."""
        for first, last in other.runs:
            self.add_run(first, last)
        self.stored_through = max(self.stored_through, other.stored_through)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """What has arrived, as (first, last)."""
        return list(self._runs)

    @property
    def contiguous(self) -> int:
        """All numbers up to this one have arrived."""
        return self._runs[0][1] if self._runs and self._runs[0][0] == 1 else 0

    @property
    def missing(self) -> int:
        """How many numbers below the highest have not arrived."""
        return self.unfinished.count + self.lost.count

    @property
    def lost(self) -> "Gap":
        """What was stored, by the instance's own word, and has not arrived."""
        return self._gap(1, self.stored_through)

    @property
    def unfinished(self) -> "Gap":
        """What has not arrived and may never have been stored."""
        return self._gap(self.stored_through + 1, self._runs[-1][1] if self._runs else 0)

    def _gap(self, first: int, last: int) -> "Gap":
        count, at = max(0, last - first + 1), first
        for run_first, run_last in self._runs:
            count -= max(0, min(run_last, last) - max(run_first, first) + 1)
            if run_first <= at <= run_last:
                at = run_last + 1
        return Gap(count, at)
