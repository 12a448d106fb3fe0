"""Rounds: what a service does by itself every so often, and how it survives a bad one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from voicefile.chassis.metrics import loop_failures

log = structlog.get_logger(__name__)


async def keep_doing(
    work: Callable[[], Awaitable[object]], *, every_s: float, name: str, first_s: float = 0.0
) -> NoReturn:
    """Does the work, pauses, and again, for ever. `first_s`: how long before the first round.

    For work that reads anew each time what is to do; `name` is the loop's in log and metrics.
    """
    await asyncio.sleep(first_s)
    while True:
        try:
            await work()
        except Exception:
            # The loop's edge: the next round makes up for this one, and a failure that stays
            # shows in the count. A store that refused for good ends the instance by itself.
            log.exception("round_failed", loop=name)
            loop_failures().labels(loop=name).inc()
        await asyncio.sleep(every_s)
