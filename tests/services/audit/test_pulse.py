"""The pulse: who does not lead sees whether somebody does, soon, and believes nothing old."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from voicefile.audit.appendable import Appendable
from voicefile.audit.boots import Boots
from voicefile.audit.lead import RECOVER_AGAIN_S, Lead
from voicefile.audit.pulse import Pulse
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import PULSE
from voicefile.docstore.port import StoreUnavailable

SETTINGS = AuditSettings()


class Time:
    """Passes only by being waited for; what happens meanwhile the test says."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.meanwhile: Callable[[], Any] | None = None
        self.waits = 0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.waits += 1
        if self.meanwhile is not None:
            await self.meanwhile()
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def now() -> Time:
    return Time()


def pulse_of(docs: Any, now: Time) -> Pulse:
    return Pulse(docs, settings=SETTINGS, monotonic=now, sleep=now.sleep)


async def test_who_never_looked_finds_out_by_looking_twice(docs, now) -> None:
    leader, other = pulse_of(docs, now), pulse_of(docs, now)
    await leader.beat()
    now.meanwhile = leader.beat
    assert await other.beats()
    assert now.waits == 1
    assert now.now_s - 1_000.0 < SETTINGS.ready_within_s


async def test_what_moved_long_ago_is_no_pulse(docs, now) -> None:
    leader, other = pulse_of(docs, now), pulse_of(docs, now)
    for _ in range(3):
        await leader.beat()
    now.now_s += 10
    assert not await other.beats()
    await leader.beat()
    now.now_s += 10
    # It moved within these ten seconds, but nobody knows when.
    assert not await other.beats()


async def test_who_looks_all_the_time_waits_for_nothing_and_misses_no_end(docs, now) -> None:
    leader, other = pulse_of(docs, now), pulse_of(docs, now)
    now.meanwhile = leader.beat
    assert await other.beats()
    now.meanwhile = None
    now.waits = 0
    for _ in range(20):
        await leader.beat()
        now.now_s += 0.25
        assert await other.beats()
    assert now.waits == 0
    ended_s = now.now_s
    while await other.beats():
        now.now_s += 0.05
    assert now.now_s - ended_s <= SETTINGS.pulse_lasts_s + 0.5


async def test_many_questions_at_once_are_one_look(docs, now) -> None:
    leader, other = pulse_of(docs, now), pulse_of(docs, now)
    await leader.beat()
    now.meanwhile = leader.beat
    assert all(await asyncio.gather(*(other.beats() for _ in range(50))))
    assert now.waits == 1


async def test_a_leader_that_comes_back_does_not_stop_the_next_ones_pulse(docs, now) -> None:
    old, new = pulse_of(docs, now), pulse_of(docs, now)
    for leader in (old, new, old, new, new, old):
        await leader.beat()
    before = await docs.get(PULSE, "sequencer")
    for _ in range(3):
        await new.beat()
    after = await docs.get(PULSE, "sequencer")
    assert before is not None
    assert after is not None
    assert after.version > before.version


class NotLeading:
    leading = False

    async def while_leading(self, work: Any) -> None:
        raise NotImplementedError


async def test_who_does_not_lead_tells_the_leader_s_word_and_the_published_numbers(
    docs, now, tenant, instance, keeper_of
) -> None:
    keeper = keeper_of(docs)
    await keeper.append(instance.does_often(tenant, 5))
    await keeper.publish(tenant)
    leading = pulse_of(docs, now)
    standby = keeper_of(docs)
    lead = Lead(standby.sequencer, standby.publisher, 60, pulse_of(docs, now), now)
    appendable = Appendable(
        docs,
        lead,
        settings=SETTINGS,
        leadership=NotLeading(),
        now_s=lambda: 1_800_000_000,
        monotonic=now,
    )
    said = await appendable.verdict()
    assert (said.appendable, said.sequenced) == (False, {instance.boot: 5})
    now.meanwhile = leading.beat
    now.now_s += 1
    assert (await appendable.verdict()).appendable
    await keeper.append(instance.does_often(tenant, 2))
    await keeper.publish(tenant)
    now.now_s += 1
    assert (await appendable.verdict()).sequenced == {instance.boot: 7}


class AwayAtFirst:
    """A store that comes back after so many questions."""

    def __init__(self, docs: Any, times: int) -> None:
        self._docs, self._left = docs, times

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._docs, name)

        async def asked(*args: Any, **kwargs: Any) -> Any:
            if self._left:
                self._left -= 1
                raise StoreUnavailable
            return await operation(*args, **kwargs)

        return asked


async def test_a_term_begins_when_the_store_is_there(
    docs, now, tenant, instance, keeper_of, check
) -> None:
    await keeper_of(docs).append(instance.does_often(tenant, 3))
    keeper = keeper_of(AwayAtFirst(docs, 4))
    lead = Lead(keeper.sequencer, keeper.publisher, 60, None, now, now.sleep)
    async with asyncio.timeout(20), lead.term():
        assert now.now_s - 1_000.0 == pytest.approx(4 * RECOVER_AGAIN_S)
        assert keeper.sequencer.boots.known()[instance.boot].contiguous == 3
        await asyncio.sleep(0)
        await keeper.sequencer.handle(instance.does_often(tenant, 2))
    assert (await check(docs, tenant)).published == 5
    # And once more, after somebody else has led.
    await keeper_of(docs).append(instance.does_often(tenant, 1))
    async with asyncio.timeout(20), lead.term():
        await keeper.sequencer.handle(instance.does_often(tenant, 1))
    assert (await check(docs, tenant)).published == 7


async def test_numbers_noted_side_by_side_are_all_kept(docs, tenant, instance, keeper_of) -> None:
    keeper = keeper_of(docs, segment_deeds_max=2)
    await keeper.append(instance.does_often(tenant, 10))
    boots = Boots(docs)
    await asyncio.gather(*(boots.of(instance.boot) for _ in range(5)))
    one = await boots.of(instance.boot)
    one.add(1)
    assert await boots.of(instance.boot) is one
