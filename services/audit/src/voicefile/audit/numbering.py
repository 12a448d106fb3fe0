"""Numbers of one instance: which have arrived, and which are missing below them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence


class Numbers:
    """A set of numbers from 1 on, kept as runs: small as long as few are missing."""

    __slots__ = ("_runs",)

    def __init__(self, runs: Iterable[Sequence[int]] = ()) -> None:
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

    def merge(self, other: "Numbers") -> None:
        """Takes in all that the other has."""
        for first, last in other.runs:
            self.add_run(first, last)

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
        if not self._runs:
            return 0
        return self._runs[-1][1] - sum(last - first + 1 for first, last in self._runs)
