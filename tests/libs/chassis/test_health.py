"""Health tells which part is not ready, by a code, without letting probes wear the parts out."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from voicefile.chassis.health import CHECK_EVERY_S, Readiness, health_app
from voicefile.chassis.inprocess import InProcessTransport
from voicefile.identity.guard import RuleKind, rules_of


@dataclass
class Part:
    """A service whose readiness a test decides."""

    answer: bool | Exception = True
    asked: int = 0

    async def ready(self) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def auth() -> Part:
    return Part()


@pytest.fixture
def audit() -> Part:
    return Part()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asking(auth: Part, audit: Part, clock: Clock) -> httpx.AsyncClient:
    registry = CollectorRegistry()
    Counter("voicefile_test", "A count", registry=registry).inc()
    app = health_app({"auth": auth.ready, "audit": audit.ready}, registry=registry, monotonic=clock)
    return httpx.AsyncClient(transport=InProcessTransport(app), base_url="https://vault.test")


async def test_alive_is_alive_whatever_the_parts_say(asking, auth: Part):
    auth.answer = False
    assert (await asking.get("/livez")).status_code == 200


async def test_ready_when_every_part_is(asking):
    answer = await asking.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "parts": {"auth": "ok", "audit": "ok"}},
    )


async def test_a_part_that_is_not_ready_is_named_by_a_code(asking, auth: Part, audit: Part):
    auth.answer = False
    audit.answer = ValueError("the secret reason")
    answer = await asking.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not-ready", "parts": {"auth": "not-ready", "audit": "failed"}},
    )


async def test_probes_share_one_check_for_a_moment(asking, auth: Part, clock: Clock):
    await asyncio.gather(*(asking.get("/readyz") for _ in range(20)))
    assert auth.asked == 1
    clock.now_s += CHECK_EVERY_S
    auth.answer = False
    assert (await asking.get("/readyz")).status_code == 503


async def test_a_part_that_does_not_answer_is_not_waited_for():
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    states = await Readiness({"auth": hangs}, check_s_max=0.01).states()
    assert states == {"auth": "timeout"}


async def test_metrics_are_in_the_open_format(asking):
    answer = await asking.get("/metrics")
    assert "voicefile_test_total 1.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_health_port_has_three_routes_and_no_more():
    rules = rules_of(health_app({}))
    assert {path for _, path in rules} == {"/livez", "/readyz", "/metrics"}
    assert {rule.kind for rule in rules.values()} == {RuleKind.PUBLIC}
