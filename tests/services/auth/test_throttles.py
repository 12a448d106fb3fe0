"""Throttles over a real store: attacks, first-time callers, known callers, crashes."""

import asyncio
import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicefile.auth.listening.access_errors import Locked
from voicefile.auth.listening.access_store import THROTTLES
from voicefile.auth.throttling.buckets import Buckets
from voicefile.auth.throttling.throttle_policy import Channel, Limits
from voicefile.auth.throttling.throttles import Throttles, Visitor
from voicefile.chassis.problems import RateLimited
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.sqlite import SqliteDocStore

KEY = SecretKey.random()
TENANT = "a" * 32
DAY_S = 86_400
CUSTOMER = Visitor(Channel.WEB, "192.0.2.0/24", "device-of-the-customer")


class Clock:
    def __init__(self):
        self.s = 1_800_000_000.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path):
    opened = await SqliteDocStore.open(tmp_path / "auth.db", [THROTTLES])
    yield opened
    await opened.close()


async def key():
    return KEY


@pytest.fixture
def throttles(store, clock):
    return Throttles(Buckets(store, key=key, now_s=clock))


def stranger(number, channel=Channel.WEB):
    return Visitor(channel, f"10.{number // 256}.{number % 256}.0/24", f"device-{number}")


async def tried(throttles, locator, visitor, *, right=False):
    """Whether a try was let through to a check."""
    known = await throttles.is_known(locator, visitor)
    try:
        charge = await throttles.charge(locator, visitor, known=known)
    except (Locked, RateLimited):
        return False
    spent = await throttles.charge_totals(charge, TENANT)
    if right and not spent:
        await throttles.succeeded(charge, TENANT)
        await throttles.remember(locator, visitor)
    return not spent


async def test_a_day_of_attack_gets_thirty_checks_of_an_id_and_locks_no_customer_out(
    throttles, clock
):
    ids = [f"id-{number}" for number in range(10)]
    for locator in ids:
        assert await tried(throttles, locator, CUSTOMER, right=True)
    checks, served, dice = dict.fromkeys(ids, 0), [], random.Random(7)
    callers = itertools.cycle(range(1_000))
    for step in range(12 * 60):
        clock.s += 120
        wave = [
            (locator, stranger(next(callers), dice.choice(list(Channel))))
            for locator in dice.sample(ids, 2)
        ]
        let = await asyncio.gather(*(tried(throttles, *attempt) for attempt in wave))
        for (locator, _), through in zip(wave, let, strict=True):
            checks[locator] += through
        if step % 47 == 0:
            served.append(await tried(throttles, dice.choice(ids), CUSTOMER, right=True))
    assert max(checks.values()) <= 30
    assert min(checks.values()) >= 10, "the attack was too weak to show anything"
    assert all(served)
    newcomer = Visitor(Channel.PHONE, "+49301234567", "+49301234567")
    assert await tried(throttles, "an-id-nobody-attacks", newcomer, right=True)


async def test_guesses_that_arrive_at_once_are_charged_one_by_one(throttles):
    attempts = [tried(throttles, "id", stranger(number)) for number in range(60)]
    # All at the same moment: three are free, every further one would have to wait.
    assert sum(await asyncio.gather(*attempts)) == 3


async def test_two_instances_share_every_charge(store, clock):
    instances = [Throttles(Buckets(store, key=key, now_s=clock)) for _ in range(2)]
    attempts = [
        tried(instances[number % 2], "id", stranger(number), right=False) for number in range(24)
    ]
    assert sum(await asyncio.gather(*attempts)) == 3


async def test_one_network_is_told_to_wait_whatever_it_asks_for(throttles, clock):
    visitor = stranger(1)
    for number in range(10):
        assert await tried(throttles, f"id-{number}", visitor)
    with pytest.raises(RateLimited) as told:
        await throttles.charge("yet-another", visitor, known=False)
    assert told.value.retry_after_s == 3_600
    clock.s += 3_600
    assert await tried(throttles, "yet-another", visitor)


async def test_successes_use_up_no_network_budget(throttles, clock):
    for number in range(30):
        clock.s += 1
        visitor = Visitor(Channel.WEB, "198.51.100.0/24", f"device-{number}")
        assert await tried(throttles, f"id-{number}", visitor, right=True)


async def test_a_known_caller_has_ten_failures_a_day_and_no_more(throttles, clock):
    assert await tried(throttles, "id", CUSTOMER, right=True)
    let = [await tried(throttles, "id", CUSTOMER) for _ in range(30)]
    assert let.count(True) == 10
    clock.s += DAY_S
    assert await tried(throttles, "id", CUSTOMER, right=True)


async def test_known_on_one_access_id_means_nothing_on_another(throttles):
    assert await tried(throttles, "id", CUSTOMER, right=True)
    assert await throttles.is_known("id", CUSTOMER)
    assert not await throttles.is_known("other-id", CUSTOMER)


async def test_withheld_numbers_do_not_lock_each_other_out(throttles):
    withheld = Visitor(Channel.PHONE)
    for number in range(30):
        assert await tried(throttles, f"id-{number}", withheld)
    assert not await throttles.is_known("id-1", withheld)


async def test_a_hundred_failures_in_a_row_are_noticed(throttles, clock):
    rows = []
    for number in itertools.count():
        clock.s += 3_600
        visitor = stranger(number, Channel.PHONE if number % 2 else Channel.WEB)
        try:
            charge = await throttles.charge("id", visitor, known=False)
        except Locked:
            continue
        rows.append(charge.in_a_row)
        if charge.in_a_row == 100:
            break
    assert rows == list(range(1, 101))
    await throttles.row_ended("id")
    clock.s += DAY_S
    assert (await throttles.charge("id", stranger(9_000), known=False)).in_a_row == 1


async def test_the_customers_own_success_ends_the_row_and_leaves_the_days_budget_spent(
    throttles, clock
):
    assert await tried(throttles, "id", CUSTOMER, right=True)
    spent = 0
    for number in range(40):
        clock.s += 3_600 if spent > 5 else 700
        spent += await tried(throttles, "id", stranger(number))
        if spent == 15:
            break
    assert not await tried(throttles, "id", stranger(41))
    assert await tried(throttles, "id", CUSTOMER, right=True)
    assert not await tried(throttles, "id", stranger(42))


async def test_a_tenant_over_its_budget_refuses_strangers_and_serves_known_callers(store, clock):
    throttles = Throttles(
        Buckets(store, key=key, now_s=clock), limits=Limits(tenant_failures_per_hour=20)
    )
    assert await tried(throttles, "id", CUSTOMER, right=True)
    let = [await tried(throttles, f"id-{number}", stranger(number)) for number in range(30)]
    assert let.count(True) == 20
    assert await tried(throttles, "id", CUSTOMER, right=True)


async def test_attack_mode_begins_at_its_count_and_ends_by_itself(store, clock):
    throttles = Throttles(Buckets(store, key=key, now_s=clock), limits=Limits(failures_per_hour=20))
    for number in range(19):
        await tried(throttles, f"id-{number}", stranger(number))
    assert not await throttles.under_attack()
    await tried(throttles, "id-20", stranger(20))
    assert await throttles.under_attack()
    clock.s += 2 * 3_600
    assert not await throttles.under_attack()


async def test_three_wrong_answers_a_day_and_a_right_one_clears_them(throttles, clock):
    rows = [(await throttles.charge_answer("credential")).in_a_row for _ in range(3)]
    assert rows == [1, 2, 3]
    with pytest.raises(Locked):
        await throttles.charge_answer("credential")
    clock.s += DAY_S
    assert (await throttles.charge_answer("credential")).in_a_row == 4
    await throttles.answers_cleared("credential")
    assert (await throttles.charge_answer("credential")).in_a_row == 1


async def test_the_store_shows_neither_ids_nor_addresses_and_forgets(throttles, store, clock):
    await tried(throttles, "some-locator", CUSTOMER, right=True)
    await tried(throttles, "other-locator", stranger(3))
    seen = repr(await store.scan(THROTTLES, limit=1_000))
    for told in ("some-locator", "other-locator", "192.0.2", "10.0.3", "device"):
        assert told not in seen
    clock.s += 181 * DAY_S
    await Buckets(store, key=key, now_s=clock).sweep()
    assert await store.scan(THROTTLES) == []


@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 7_200), st.sampled_from(Channel), st.sampled_from(["fail", "crash"])
        ),
        max_size=60,
    )
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_crash_after_the_charge_never_gives_a_try_back(tmp_path_factory, plan):
    clock, path = Clock(), tmp_path_factory.mktemp("crash") / "auth.db"
    store = await SqliteDocStore.open(path, [THROTTLES])
    try:
        checks = []
        for number, (pause_s, channel, fate) in enumerate(plan):
            clock.s += pause_s
            throttles = Throttles(Buckets(store, key=key, now_s=clock))
            try:
                await throttles.charge("id", stranger(number, channel), known=False)
            except Locked:
                continue
            checks.append(clock.s)
            if fate == "crash":
                await store.close()
                store = await SqliteDocStore.open(path, [THROTTLES])
        for start in checks:
            assert sum(start <= at < start + DAY_S for at in checks) <= 30
    finally:
        await store.close()
