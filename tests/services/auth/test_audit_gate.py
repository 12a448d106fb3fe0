"""The audit gate: what counts as the log's word, and for how long."""

import asyncio
import json

import httpx
import pytest
from tests.services.auth.access_world import Clock, a_world, settled

from voicefile.auth.listening.access_errors import AuditUnavailable
from voicefile.auth.listening.audit_gate import AuditGate, GateLimits

BOOT = "b" * 32


class Log:
    """A log and the deeds of one instance, told by hand."""

    def __init__(self):
        self.clock = Clock()
        self.given_n = 0
        self.waited_s = 0.0
        self.answer = {"appendable": True, "sequenced": {BOOT: 0}}
        self.status = 200
        self.fails = None
        self.takes_s = 0.0
        self.asked = []
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(self.respond), base_url="https://vault.internal"
        )
        self.gate = AuditGate(
            client,
            boot_id=BOOT,
            last_n=lambda: self.given_n,
            unpublished_for_s=self.unpublished_for_s,
            now_s=self.clock,
        )

    async def unpublished_for_s(self):
        return self.waited_s

    def respond(self, request):
        self.asked.append(request)
        self.clock.s += self.takes_s
        if self.fails is not None:
            raise self.fails
        content = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer)
        return httpx.Response(self.status, content=content)

    def open(self):
        try:
            self.gate.require_open()
        except AuditUnavailable:
            return False
        return True


@pytest.fixture
def log():
    return Log()


async def test_shut_until_the_first_yes(log):
    assert not log.open()
    await log.gate.ask()
    assert log.open()
    assert log.asked[0].url.path == "/audit/internal/v1/appendable"


async def test_a_yes_lasts_one_second(log):
    await log.gate.ask()
    log.clock.s += 1.0
    assert log.open()
    log.clock.s += 0.01
    assert not log.open()


async def test_a_vault_too_busy_to_ask_asks_before_it_refuses(log):
    await log.gate.ask()
    log.clock.s += 30
    await log.gate.pass_through()
    assert len(log.asked) == 2
    log.clock.s += 30
    log.answer = {"appendable": False}
    with pytest.raises(AuditUnavailable):
        await log.gate.pass_through()


async def test_a_slow_yes_is_an_old_one(log):
    log.takes_s = 0.9
    await log.gate.ask()
    assert log.open()
    log.clock.s += 0.2
    assert not log.open()


@pytest.mark.parametrize(
    "answer",
    [
        {"appendable": False, "sequenced": {}},
        {"appendable": "yes"},
        {"appendable": 1},
        {},
        [],
        None,
        b"<html>",
        b"\xff",
    ],
)
async def test_what_is_no_clear_yes_is_none(log, answer):
    log.answer = answer
    await log.gate.ask()
    assert not log.open()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500, 503])
async def test_a_yes_under_another_status_is_none(log, status):
    log.status = status
    await log.gate.ask()
    assert not log.open()


async def test_a_log_that_cannot_be_reached_says_nothing(log):
    await log.gate.ask()
    for log.fails in (
        httpx.ConnectError("x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
    ):
        log.clock.s += 0.3
        await log.gate.ask()
    assert log.open()
    log.clock.s += 0.2
    assert not log.open()


async def run_for(log, seconds, *, every_s=0.5):
    until_s = log.clock.s + seconds
    while log.clock.s < until_s:
        log.clock.s += every_s
        await log.gate.ask()


async def test_a_deed_that_waits_for_half_an_hour_shuts_the_gate_though_the_log_says_yes(log):
    await log.gate.ask()
    log.given_n = 1
    await run_for(log, 1_800)
    assert log.open()
    await run_for(log, 2)
    assert not log.open()
    log.answer["sequenced"][BOOT] = 1
    await log.gate.ask()
    assert log.open()


async def test_deeds_that_arrive_in_time_never_shut_the_gate(log):
    for _ in range(200):
        log.given_n += 5
        await run_for(log, 60, every_s=20)
        log.answer["sequenced"][BOOT] = log.given_n - 2
        await log.gate.ask()
        assert log.open()


async def test_one_deed_left_behind_shuts_it_however_many_went_past(log):
    await log.gate.ask()
    log.given_n = 10
    await log.gate.ask()
    log.answer["sequenced"][BOOT] = 7
    for _ in range(100):
        log.given_n += 1
        await run_for(log, 20, every_s=10)
    assert not log.open()


async def test_other_instances_numbers_count_for_nothing(log):
    log.answer["sequenced"] = {"c" * 32: 10**9}
    log.given_n = 1
    await run_for(log, 1_803)
    assert not log.open()


async def test_a_bus_that_is_down_for_days_costs_no_memory(log):
    for _ in range(3_000):
        log.given_n += 1_000
        log.clock.s += 0.25
        await log.gate.ask()
    assert len(log.gate._numbered) <= 751


async def test_what_a_former_start_left_behind_counts_as_well(log):
    await log.gate.ask()
    log.waited_s = 1_801
    await log.gate.look()
    assert not log.open()
    log.waited_s = 0
    await log.gate.look()
    assert log.open()


async def test_running_asks_until_it_is_left(log):
    quick = GateLimits(ask_every_s=0.001, look_every_s=0.001)
    gate = AuditGate(
        log.gate._client,
        boot_id=BOOT,
        last_n=lambda: 0,
        unpublished_for_s=log.unpublished_for_s,
        limits=quick,
    )
    async with gate.running():
        await settled(lambda: len(log.asked) >= 5)
        gate.require_open()
    asked = len(log.asked)
    await asyncio.sleep(0.01)
    assert len(log.asked) == asked


async def test_after_a_long_night_it_opens_as_soon_as_the_deeds_have_left(log):
    log.waited_s = 1_801
    gate = AuditGate(
        log.gate._client,
        boot_id=BOOT,
        last_n=lambda: 0,
        unpublished_for_s=log.unpublished_for_s,
        limits=GateLimits(ask_every_s=0.001, look_every_s=3_600),
    )
    async with gate.running():
        await settled(lambda: len(log.asked) >= 3)
        with pytest.raises(AuditUnavailable):
            gate.require_open()
        log.waited_s = 0
        await settled(lambda: not gate._too_long(gate._waiting_since_s))
        gate.require_open()


async def test_the_stores_oldest_deed_is_found_after_a_restart(tmp_path):
    async with a_world(tmp_path) as world:
        await world.session(await world.letter(await world.tenant()))
    async with a_world(tmp_path) as restarted:
        restarted.clock.s += 1_801
        await restarted.doors.gate.ask()
        restarted.doors.gate.require_open()
        await restarted.doors.gate.look()
        with pytest.raises(AuditUnavailable):
            restarted.doors.gate.require_open()


async def test_the_doors_run_and_stop(tmp_path):
    async with a_world(tmp_path) as world:
        before = world.audit.asked
        async with world.doors.running():
            await settled(lambda: world.audit.asked > before)
