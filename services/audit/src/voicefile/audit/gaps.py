"""Gaps: numbers of an instance that stay missing though later ones have arrived."""

import asyncio
import time
from collections.abc import Callable

import structlog

from voicefile.audit.boots import Boots
from voicefile.audit.metrics import deeds_missing

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
        self._gap_after_s = gap_after_s
        self._monotonic = monotonic
        self._waiting_since_s: dict[str, tuple[int, float]] = {}
        self._reported: dict[str, int] = {}

    async def run(self) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> dict[str, int]:
        """How many deeds are missing, by instance, where that is no mere disorder any more."""
        now_s = self._monotonic()
        gaps: dict[str, int] = {}
        for boot, numbers in self._boots.known().items():
            if not numbers.missing:
                self._waiting_since_s.pop(boot, None)
                continue
            at, since_s = self._waiting_since_s.get(boot, (-1, now_s))
            if at != numbers.contiguous:
                since_s = now_s
            self._waiting_since_s[boot] = (numbers.contiguous, since_s)
            if now_s - since_s >= self._gap_after_s:
                gaps[boot] = numbers.missing
                self._report(boot, numbers.contiguous + 1, numbers.missing)
        deeds_missing().set(sum(gaps.values()))
        return gaps

    def _report(self, boot: str, first: int, missing: int) -> None:
        if self._reported.get(boot) != first:
            self._reported[boot] = first
            log.error("deeds_missing", boot=boot, n=first, count=missing)
