"""A round that fails is counted, and the next one comes all the same."""

import asyncio
from contextlib import suppress

from prometheus_client import REGISTRY

from voicefile.chassis.rounds import keep_doing
from voicefile.docstore.port import StoreUnavailable


def failures() -> float:
    return REGISTRY.get_sample_value("voicefile_loop_failures_total", {"loop": "test"}) or 0.0


async def test_a_failed_round_is_counted_and_followed_by_the_next():
    before, rounds = failures(), []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            raise StoreUnavailable

    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            while len(rounds) < 5:
                await run_for(0.05, work)
    assert len(rounds) >= 5
    assert failures() - before == 2


async def run_for(seconds: float, work) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await keep_doing(work, every_s=0.001, name="test")


async def test_the_first_round_can_wait():
    rounds = []

    async def work() -> None:
        rounds.append(1)

    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await keep_doing(work, every_s=0.0, name="test", first_s=10)
    assert rounds == []
