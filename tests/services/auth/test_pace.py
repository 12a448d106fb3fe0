"""Pace: the grid of refusals, the wait under attack, and who is not made to wait."""

import asyncio

import pytest
from tests.services.auth.access_world import Clock

from voicefile.auth.listening.access_errors import Busy, Locked, SignInRefused
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.pace import Pace

SETTINGS = AccessSettings(attack_strangers_max=3)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(SETTINGS, now_s=clock, sleep=clock.sleep)


async def answered(pace, clock, *, works_s, slowed=False, raises=None):
    """How long the answer took."""
    began = clock.s
    try:
        async with pace.answering(slowed=slowed):
            clock.s += works_s
            if raises is not None:
                raise raises
    except SignInRefused:
        pass
    return clock.s - began


@pytest.mark.parametrize(("works_s", "seen_s"), [(0.03, 0.1), (0.099, 0.1), (0.13, 0.2)])
async def test_refusals_leave_at_the_next_step(pace, clock, works_s, seen_s):
    for refusal in (SignInRefused(), Locked()):
        clock.s = 0.0
        lasted = await answered(pace, clock, works_s=works_s, raises=refusal)
        assert lasted == pytest.approx(seen_s)


async def test_successes_do_not_wait(pace, clock):
    assert await answered(pace, clock, works_s=0.03) == pytest.approx(0.03)


async def test_under_attack_locked_ones_take_nobodys_place(pace, clock):
    lasted = await answered(pace, clock, works_s=0.03, slowed=True, raises=Locked())
    assert lasted == pytest.approx(0.03)


@pytest.mark.parametrize("raises", [None, SignInRefused()])
@pytest.mark.parametrize("works_s", [0.03, 0.5, 9.9])
async def test_under_attack_every_checked_answer_takes_the_same_time(pace, clock, works_s, raises):
    lasted = await answered(pace, clock, works_s=works_s, slowed=True, raises=raises)
    assert lasted == pytest.approx(10)


async def test_under_attack_few_strangers_are_served_at_once_and_others_are_not_counted(clock):
    go = asyncio.Event()

    async def until_let_go(_seconds):
        await go.wait()

    pace = Pace(SETTINGS, now_s=clock, sleep=until_let_go)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(answered(pace, clock, works_s=0, slowed=True))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            async with pace.answering(slowed=True):
                pass
        async with pace.answering(slowed=False):
            go.set()
    async with pace.answering(slowed=True):
        pass
