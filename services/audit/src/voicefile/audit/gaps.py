"""Gaps: numbers of an instance that stay missing though later ones have arrived.

Each deed says up to where all deeds of its instance were stored before it. What is missing up to
there is lost, or somebody holds it back: an alarm. What is missing beyond was under way when the
instance died. Nobody was answered for it, and it may never have been stored.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

import structlog

from voicefile.audit.boots import Boots
from voicefile.audit.metrics import deeds_missing, deeds_unfinished
from voicefile.audit.numbering import Gap

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0


class GapWatch:
    """Tells a gap from mere disorder by its age, and reports each gap once."""

    def __init__(
        self,
        boots: Boots,
        *,
        gap_after_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._boots = boots
        self._lost = _Aging(gap_after_s, monotonic)
        self._unfinished = _Aging(gap_after_s, monotonic)

    async def run(self) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> dict[str, int]:
        """How many deeds are lost, by instance, where that is no mere disorder any more."""
        known = self._boots.known().items()
        lost = self._lost.old({boot: numbers.lost for boot, numbers in known})
        for boot, gap in self._lost.news():
            log.error("deeds_missing", boot=boot, n=gap.first, count=gap.count)
        unfinished = self._unfinished.old({boot: numbers.unfinished for boot, numbers in known})
        for boot, gap in self._unfinished.news():
            log.warning("deeds_unfinished", boot=boot, n=gap.first, count=gap.count)
        deeds_missing().set(sum(gap.count for gap in lost.values()))
        deeds_unfinished().set(sum(gap.count for gap in unfinished.values()))
        return {boot: gap.count for boot, gap in lost.items()}


class _Aging:
    """Gaps by instance, and since when each begins where it does."""

    def __init__(self, after_s: float, monotonic: Callable[[], float]) -> None:
        self._after_s = after_s
        self._monotonic = monotonic
        self._since: dict[str, tuple[int, float]] = {}
        self._old: dict[str, Gap] = {}
        self._told: dict[str, int] = {}

    def old(self, gaps: Mapping[str, Gap]) -> Mapping[str, Gap]:
        """Those that have begun where they do for long enough."""
        now_s, since = self._monotonic(), self._since
        open_gaps = {boot: gap for boot, gap in gaps.items() if gap.count}
        self._since = {
            boot: since[boot] if since.get(boot, (0, 0.0))[0] == gap.first else (gap.first, now_s)
            for boot, gap in open_gaps.items()
        }
        self._old = {
            boot: gap
            for boot, gap in open_gaps.items()
            if now_s - self._since[boot][1] >= self._after_s
        }
        return self._old

    def news(self) -> Iterator[tuple[str, Gap]]:
        """Of these, each once."""
        for boot, gap in self._old.items():
            if self._told.get(boot) != gap.first:
                self._told[boot] = gap.first
                yield boot, gap
