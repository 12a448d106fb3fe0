"""The throttle policy by itself: windows, pauses, hours."""

import random

from hypothesis import given
from hypothesis import strategies as st

from voicefile.auth.throttling import throttle_policy as policy
from voicefile.auth.throttling.throttle_policy import (
    Channel,
    HourCount,
    Limits,
    Strangers,
    Tries,
    Wait,
)

LIMITS = Limits()
NOON_MS = 1_800_000_000_000

steps = st.lists(
    st.tuples(
        st.integers(0, 6 * policy.HOUR_MS),
        st.sampled_from(Channel),
        st.booleans(),
    ),
    max_size=150,
)


def run(attempts):
    """Charges one attempt after the other; answers the failed ones that were let through."""
    now_ms, strangers, failed = NOON_MS, Strangers(), []
    for pause_ms, channel, right in attempts:
        now_ms += pause_ms
        charged = policy.charge_stranger(strangers, channel, now_ms=now_ms, limits=LIMITS)
        if isinstance(charged, Wait):
            assert charged.until_ms > now_ms
            continue
        strangers = charged
        if right:
            strangers = policy.stranger_succeeded(
                strangers, channel, charged_ms=now_ms, now_ms=now_ms
            )
        else:
            failed.append((now_ms, channel))
    return failed


@given(steps)
def test_no_day_anywhere_holds_more_than_its_tries(attempts):
    failed = run(attempts)
    for start_ms, _ in failed:
        day = [channel for at, channel in failed if start_ms <= at < start_ms + policy.DAY_MS]
        assert len(day) <= 30
        assert all(day.count(channel) <= 15 for channel in Channel)


@given(steps)
def test_the_fourth_failure_waits_and_each_later_one_longer(attempts):
    for channel in Channel:
        only = [step for step in attempts if step[1] is channel and not step[2]]
        times = [at for at, _ in run([(pause, channel, False) for pause, _, _ in only])]
        for number in range(3, len(times)):
            earlier = [at for at in times[:number] if at > times[number] - policy.DAY_MS]
            waits = LIMITS.stranger_waits_s
            pause_ms = waits[min(len(earlier), len(waits) - 1)] * 1_000
            assert not earlier or times[number] - times[number - 1] >= pause_ms


@given(st.lists(st.integers(0, policy.DAY_MS), min_size=1, max_size=60))
def test_waiting_until_the_named_moment_suffices(pauses):
    tries, now_ms = Tries(), NOON_MS
    for pause_ms in pauses:
        now_ms += pause_ms
        charged = policy.charge(tries, now_ms=now_ms, most=3, window_ms=policy.DAY_MS)
        if isinstance(charged, Wait):
            now_ms = charged.until_ms
            charged = policy.charge(tries, now_ms=now_ms, most=3, window_ms=policy.DAY_MS)
        assert isinstance(charged, Tries)
        tries = charged


def test_ten_thousand_callers_get_thirty_checks_a_day_of_each_of_a_hundred_ids():
    dice, now_ms = random.Random(3), NOON_MS
    ids = [Strangers() for _ in range(100)]
    callers = [Tries() for _ in range(10_000)]
    checks = [[] for _ in ids]
    for _ in range(100_000):
        now_ms += 864 * 2  # two days
        caller, target = dice.randrange(10_000), dice.randrange(100)
        origin = policy.charge(
            callers[caller],
            now_ms=now_ms,
            most=LIMITS.origin_failures_per_hour,
            window_ms=policy.HOUR_MS,
        )
        if isinstance(origin, Wait):
            continue
        callers[caller] = origin
        charged = policy.charge_stranger(
            ids[target], dice.choice(list(Channel)), now_ms=now_ms, limits=LIMITS
        )
        if isinstance(charged, Strangers):
            ids[target] = charged
            checks[target].append(now_ms)
    for times in checks:
        assert 30 < len(times) <= 60, "in two days"
        assert all(
            sum(start <= at < start + policy.DAY_MS for at in times) <= 30 for start in times
        )


def test_a_success_takes_its_own_charge_back_and_no_other():
    tries = Tries()
    for at in (1, 2, 3):
        tries = policy.charge(tries, now_ms=at, most=15, window_ms=policy.DAY_MS)
    assert policy.take_back(tries, 2).at_ms == (1, 3)
    assert policy.take_back(tries, 7).at_ms == (1, 2, 3)


def test_a_clock_set_back_gives_no_tries():
    tries = Tries(tuple(range(NOON_MS, NOON_MS + 3)))
    earlier_ms = NOON_MS - policy.DAY_MS
    assert isinstance(
        policy.charge(tries, now_ms=earlier_ms, most=3, window_ms=policy.DAY_MS), Wait
    )


def test_after_a_success_the_next_slip_waits_for_nothing():
    strangers, now_ms = Strangers(), NOON_MS
    for _ in range(3):
        strangers = policy.charge_stranger(strangers, Channel.WEB, now_ms=now_ms, limits=LIMITS)
        now_ms += 1
    assert isinstance(
        policy.charge_stranger(strangers, Channel.WEB, now_ms=now_ms, limits=LIMITS), Wait
    )
    now_ms += 30_000
    strangers = policy.charge_stranger(strangers, Channel.WEB, now_ms=now_ms, limits=LIMITS)
    strangers = policy.stranger_succeeded(strangers, Channel.WEB, charged_ms=now_ms, now_ms=now_ms)
    assert strangers.in_a_row == 0
    again = policy.charge_stranger(strangers, Channel.WEB, now_ms=now_ms + 1, limits=LIMITS)
    assert isinstance(again, Strangers)


@given(st.lists(st.integers(0, policy.HOUR_MS // 4), max_size=80))
def test_the_hour_count_forgets_within_two_hours_and_never_grows_by_itself(pauses):
    count, now_ms = HourCount(), NOON_MS
    for pause_ms in pauses:
        now_ms += pause_ms
        count = count.more(now_ms)
    seen = count.recent(now_ms)
    later = [count.recent(now_ms + step * policy.HOUR_MS // 8) for step in range(17)]
    assert all(one >= other for one, other in zip([seen, *later], later, strict=False))
    assert later[-1] == 0


@given(st.integers(0, 3 * policy.HOUR_MS))
def test_what_was_counted_is_taken_back_once(pause_ms):
    count = HourCount().more(NOON_MS)
    after = count.less(NOON_MS, now_ms=NOON_MS + pause_ms)
    assert after.recent(NOON_MS + pause_ms) == 0
