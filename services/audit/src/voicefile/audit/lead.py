"""Leading: what one instance of audit does for all, for as long as it leads.

Two at once would do no harm: of two segments for one place the store takes one, of two heads over
one version as well, and whoever lost reads everything again. It would only be work done twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from voicefile.audit.append import Sequencer
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.gaps import GapWatch
from voicefile.audit.metrics import (
    deeds_missing,
    deeds_unfinished,
    leading,
    publish_lag_seconds,
)
from voicefile.audit.outside import NOBODY_OUTSIDE, Outside
from voicefile.audit.pulse import Pulse
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import StoreUnavailable

log = structlog.get_logger(__name__)

RECOVER_AGAIN_S = 1.0
Loop = Callable[[], Coroutine[None, None, None]]
"""What runs until it is cancelled."""


@dataclass(frozen=True)
class Lead:
    """The sequencer, the publisher and what watches beside them."""

    sequencer: Sequencer
    publisher: Publisher
    gap_after_s: float
    pulse: Pulse | None
    """None where nobody else could ask for it."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    outside: Outside = NOBODY_OUTSIDE
    """Whom it may ask outside of the vault; open as long as the instance runs."""
    others: tuple[Loop, ...] = ()
    """What else runs as long as this instance leads, and holds nothing up."""

    @asynccontextmanager
    async def term(self) -> AsyncIterator[None]:
        """Takes up where the leader before has left off; leaves nothing taken in unpublished."""
        self.sequencer.begin()
        self.publisher.begin()
        await self._recovered()
        leading().set(1)
        try:
            async with self._at_work():
                yield
        finally:
            # What is missing or waits is the next leader's to tell.
            gauges = (leading(), deeds_missing(), deeds_unfinished(), publish_lag_seconds())
            for gauge in gauges:
                gauge.set(0)

    async def _recovered(self) -> None:
        while True:
            try:
                await self.sequencer.recover()
            except StoreUnavailable as error:
                log.warning("round_failed", loop="recovery", **where_it_broke(error))
                loop_failures().labels(loop="recovery").inc()
                await self.sleep(RECOVER_AGAIN_S)
            else:
                return

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        gaps = GapWatch(
            self.sequencer.boots, gap_after_s=self.gap_after_s, monotonic=self.monotonic
        )
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(self.publisher.run())
            sequencing = tasks.create_task(self.sequencer.run())
            beside = [tasks.create_task(gaps.run())]
            beside += [tasks.create_task(each()) for each in self.others]
            if self.pulse is not None:
                beside.append(tasks.create_task(self.pulse.beat_while(self.sequencer)))
            try:
                yield
            finally:
                for watching in beside:
                    watching.cancel()
                # Appended first, published then: what was taken in leaves under a checkpoint.
                await self.sequencer.stop()
                await asyncio.wait({sequencing})
                self.publisher.stop()
                await asyncio.wait({publishing})
