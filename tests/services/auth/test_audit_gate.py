"""The audit gate: what counts as the log's word, and for how long."""

import asyncio
import json

import httpx
import pytest
from tests.services.auth.access_world import Clock, a_world, settled

from voicefile.audit.settings import AuditSettings
from voicefile.auth.events import TOPIC, wrap
from voicefile.auth.listening.access_errors import AuditUnavailable
from voicefile.auth.listening.access_store import OUTSTANDING
from voicefile.auth.listening.audit_gate import AuditGate, GateLimits
from voicefile.auth.listening.outstanding import Outstanding
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import StoreUnavailable
from voicefile.docstore.sqlite import SqliteDocStore

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


async def test_a_yes_lasts_so_long_that_with_what_it_is_based_on_it_is_a_second(log):
    lasts_s = GateLimits().yes_lasts_s
    assert lasts_s + AuditSettings().durable_within_s <= 1.0
    await log.gate.ask()
    log.clock.s += lasts_s
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


async def test_who_is_refused_waits_for_one_question_of_half_a_second(log):
    """A log that hangs: no yes is left, and no refusal takes another one."""
    await log.gate.ask()
    log.fails, log.takes_s = httpx.ReadTimeout("silence"), GateLimits().answer_within_s
    log.clock.s += GateLimits().yes_lasts_s + 0.01
    began_s = log.clock.s
    with pytest.raises(AuditUnavailable):
        await log.gate.pass_through()
    assert log.clock.s - began_s <= 0.5
    assert len(log.asked) == 2
    assert set(log.asked[1].extensions["timeout"].values()) == {0.5}
    # It comes round by itself: whoever asks next is let through, and nobody had to reset it.
    log.fails, log.takes_s = None, 0.0
    await log.gate.pass_through()
    assert log.open()


async def test_a_slow_yes_is_an_old_one(log):
    log.takes_s = 0.7
    await log.gate.ask()
    assert log.open()
    log.clock.s += 0.1
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
        log.clock.s += 0.2
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


class Instances:
    """Instances of auth over one store."""

    def __init__(self, docs, clock):
        self.docs, self.clock = docs, clock
        self.stored = {}

    def begun(self, boot, stored=0):
        self.stored[boot] = stored
        return Outstanding(
            self.docs, boot_id=boot, stored_through=lambda: self.stored[boot], now_s=self.clock
        )

    async def marks(self):
        return [each.id for each in await self.docs.scan(OUTSTANDING)]


@pytest.fixture
async def instances(tmp_path):
    docs = await SqliteDocStore.open(tmp_path / "auth.db", [OUTSTANDING])
    yield Instances(docs, Clock())
    await docs.close()


DEAD, ALIVE = "d" * 32, "a" * 32


async def test_what_a_dead_instance_sent_counts_until_it_is_in_the_log(instances):
    assert await instances.begun(DEAD, 7).for_s({}) == 0
    alive = instances.begun(ALIVE)
    for waited_s in (0, 600, 1_801):
        instances.clock.s = 1_800_000_000.0 + waited_s
        assert await alive.for_s({DEAD: 6}) == waited_s
    assert await alive.for_s({DEAD: 7}) == 0


async def test_a_mark_on_its_way_keeps_the_time_of_the_oldest_deed(instances):
    one = instances.begun(ALIVE)
    for stored in (5, 9, 14):
        instances.stored[ALIVE] = stored
        await one.for_s({ALIVE: 4})
        instances.clock.s += 10
    instances.stored[ALIVE] = 20
    assert await one.for_s({ALIVE: 4}) == 30
    # The first mark is past: from now on the next one tells.
    assert await one.for_s({ALIVE: 5}) == 0
    instances.clock.s += 10
    assert await one.for_s({ALIVE: 5}) == 10


async def test_marks_that_are_past_go_and_no_more_are_made_than_needed(instances):
    one = instances.begun(ALIVE, 8)
    await instances.begun(DEAD, 3).for_s({})
    await one.for_s({DEAD: 3})
    instances.clock.s += 3_601
    assert await one.for_s({DEAD: 3, ALIVE: 8}) == 0
    assert await instances.marks() == [ALIVE]
    before = await instances.docs.get(OUTSTANDING, ALIVE)
    assert await one.for_s({ALIVE: 8}) == 0
    assert await instances.docs.get(OUTSTANDING, ALIVE) == before


async def test_what_nobody_will_send_again_is_told_and_shuts_no_gate_for_ever(instances, capsys):
    await instances.begun(DEAD, 3).for_s({})
    alive = instances.begun(ALIVE)
    instances.clock.s += 86_000
    assert await alive.for_s({}) == 86_000
    instances.clock.s += 401
    assert await alive.for_s({}) == 0
    assert await instances.marks() == []
    assert "deeds_never_arrived" in capsys.readouterr().out


async def test_instances_clear_away_side_by_side(instances):
    for n in range(5):
        await instances.begun(f"{n:032x}", 1).for_s({})
    instances.clock.s += 3_601
    sequenced = {f"{n:032x}": 1 for n in range(5)}
    looking = [instances.begun(f"{n + 10:032x}") for n in range(3)]
    assert await asyncio.gather(*(each.for_s(sequenced) for each in looking)) == [0, 0, 0]
    assert await instances.marks() == []


async def test_what_was_under_way_at_a_death_shuts_no_gate(instances):
    series = DeedSeries(instances.docs, topic=TOPIC, wrap=wrap)
    under_way = series.pending(
        Deed(actor=Actor.service(), action=Action.ACTION_EPOCH_OPENED, tenant="", object_id="")
    )
    assert under_way
    dying = Outstanding(
        instances.docs,
        boot_id=series.boot_id,
        stored_through=lambda: series.stored_through,
        now_s=instances.clock,
    )
    await dying.for_s({})
    instances.clock.s += 1_801
    assert await instances.begun(ALIVE).for_s({}) == 0


async def test_a_dead_instances_deeds_shut_the_gate_of_the_living(log, instances):
    await instances.begun(DEAD, 3).for_s({})
    log.gate._outstanding = instances.begun(BOOT)
    await log.gate.ask()
    await log.gate.look()
    assert log.open()
    instances.clock.s += 1_801
    await log.gate.look()
    assert not log.open()
    log.answer["sequenced"][DEAD] = 3
    await log.gate.ask()
    await log.gate.look()
    assert log.open()


async def test_the_gate_goes_on_asking_while_the_store_is_away(log):
    async def away():
        raise StoreUnavailable

    gate = AuditGate(
        log.gate._client,
        boot_id=BOOT,
        last_n=lambda: 0,
        unpublished_for_s=away,
        limits=GateLimits(ask_every_s=0.001, look_every_s=0.001),
    )
    async with gate.running():
        await settled(lambda: len(log.asked) >= 5)
        gate.require_open()
