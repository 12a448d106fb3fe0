"""Audit and its witnesses: what is cosigned is kept and told, and no witness holds the log up."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.services.audit.conftest import LOG_KEY, NOW_S, key_of
from tests.services.audit.witnesses import Watcher

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.collect import Collector
from voicefile.audit.cosigned import best_over, read_cosigned, with_cosignatures
from voicefile.audit.prove import read_head
from voicefile.audit.settings import AuditSettings
from voicefile.audit.witness import Answer
from voicefile.crypto.primitives import SigningKey
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import origin_of

SETTINGS = AuditSettings(offer_every_s=5, offer_again_s_max=40, offer_quiet_s=3600)


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(tmp_path, tenant) -> Watcher:
    return Watcher.begun(tmp_path / "witness").trusts(key_of(tenant))


def collector(
    docs: Any, clock: Clock, *pairs: Any, settings: AuditSettings = SETTINGS
) -> Collector:
    return Collector(docs, pairs, settings=settings, now_s=lambda: NOW_S, monotonic=clock)


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def contradicted(witnesses: Collector) -> int:
    return sum(each.contradicted for each in witnesses._witnesses)


@pytest.fixture
async def published(docs, tenant, instance, keeper_of) -> Any:
    keeper = keeper_of(docs)
    await keeper.append(instance.does_often(tenant, 20))
    await keeper.publish(tenant)
    return keeper


async def test_a_head_is_cosigned_and_then_told_with_the_cosignature(
    docs, tenant, published, watcher, clock
) -> None:
    door = watcher.door(now_s=NOW_S)
    witnesses = collector(docs, clock, (watcher.place(), door))
    await witnesses.begin()
    await witnesses.round()
    head = await read_head(docs, tenant)
    told_head = await with_cosignatures(docs, tenant, head)
    assert open_checkpoint(told_head.checkpoint, key_of(tenant)).size == 20
    assert cosigned_at(told_head.checkpoint, watcher.key) == NOW_S
    assert cosigned_at(head.checkpoint, watcher.key) is None


async def test_what_the_witness_knows_already_is_proven_from_there(
    docs, tenant, published, instance, watcher, clock
) -> None:
    door = watcher.door()
    witnesses = collector(docs, clock, (watcher.place(), door))
    await witnesses.begin()
    await witnesses.round()
    for more in (1, 300, 7):
        await published.append(instance.does_often(tenant, more))
        await published.publish(tenant)
        witnesses.signed(tenant)
        await witnesses.round()
        cosigned = await read_cosigned(docs, tenant)
        assert cosigned.size == (await read_head(docs, tenant)).size
    assert [asked.old_size for asked in door.asked] == [0, 20, 21, 321]


async def test_another_leader_finds_out_what_the_witness_knows(
    docs, tenant, published, instance, watcher, clock
) -> None:
    first = collector(docs, clock, (watcher.place(), watcher.door()))
    await first.begin()
    await first.round()
    await published.append(instance.does_often(tenant, 5))
    await published.publish(tenant)
    door = watcher.door()
    second = collector(docs, clock, (watcher.place(), door))
    await second.begin()
    await second.round()
    assert [asked.old_size for asked in door.asked] == [0, 20]
    # The first still believes in 20, and asks as if nothing had happened.
    first.signed(tenant)
    await first.round()
    assert (await read_cosigned(docs, tenant)).size == 25
    assert not contradicted(first)
    assert not contradicted(second)


async def test_signatures_of_several_witnesses_come_together_under_one_head(
    docs, tenant, published, tmp_path, watcher, clock
) -> None:
    other = Watcher.begun(tmp_path / "other", "court.example/w").trusts(key_of(tenant))
    late = other.door()
    late.away = True
    pairs = [(watcher.place(), watcher.door()), (other.place(), late)]
    witnesses = collector(docs, clock, *pairs)
    await witnesses.begin()
    await witnesses.round()
    first = (await read_cosigned(docs, tenant)).checkpoint
    assert cosigned_at(first, watcher.key)
    assert cosigned_at(first, other.key) is None
    late.away = False
    clock.s += 5
    await witnesses.round()
    both = (await read_cosigned(docs, tenant)).checkpoint
    assert cosigned_at(both, watcher.key)
    assert cosigned_at(both, other.key)


async def test_a_proof_is_under_the_cosigned_head_as_soon_as_there_is_one_over_it(
    docs, tenant, published, instance, watcher, clock
) -> None:
    witnesses = collector(docs, clock, (watcher.place(), watcher.door()))
    await witnesses.begin()
    await witnesses.round()
    await published.append(instance.does_often(tenant, 10))
    await published.publish(tenant)
    head = await read_head(docs, tenant)
    assert (await best_over(docs, tenant, 19, head)).size == 20
    assert (await best_over(docs, tenant, 20, head)).size == 30


async def test_a_witness_that_is_away_is_asked_less_and_less_and_its_lag_is_told(
    docs, tenant, published, watcher, clock
) -> None:
    door = watcher.door()
    door.away = True
    witnesses = collector(docs, clock, (watcher.place(), door))
    await witnesses.begin()
    before = told("voicefile_audit_offers_total", witness=watcher.key.name, outcome="away")
    for _ in range(100):
        await witnesses.round()
        clock.s += 1
    tries = told("voicefile_audit_offers_total", witness=watcher.key.name, outcome="away") - before
    assert tries == 5  # at 0, 5, 15, 35, 75
    assert witnesses._witnesses[0].lag_s == 100
    assert await read_cosigned(docs, tenant) is None
    door.away = False
    clock.s += 40
    await witnesses.round()
    assert witnesses._witnesses[0].lag_s == 0
    assert (await read_cosigned(docs, tenant)).size == 20


async def test_a_log_without_news_is_offered_again_after_a_while(
    docs, tenant, published, watcher, clock
) -> None:
    door = watcher.door()
    witnesses = collector(docs, clock, (watcher.place(), door))
    await witnesses.begin()
    for _ in range(10):
        await witnesses.round()
        clock.s += 300
    assert len(door.asked) == 1
    clock.s += 1000
    await witnesses.round()
    assert [asked.old_size for asked in door.asked] == [0, 20]


async def test_a_fork_is_an_alarm(
    docs, tenant, published, instance, tmp_path, watcher, clock, keeper_of
):
    first = collector(docs, clock, (watcher.place(), watcher.door()))
    await first.begin()
    await first.round()
    # Somebody with the key and the store writes another history, longer than the first.
    forged = await SqliteDocStore.open(tmp_path / "forged.sqlite", COLLECTIONS)
    forger = keeper_of(forged)
    await forger.append(instance.does_often(tenant, 33))
    await forger.publish(tenant)
    witnesses = collector(forged, clock, (watcher.place(), watcher.door()))
    await witnesses.begin()
    await witnesses.round()
    assert contradicted(witnesses) == 1
    assert await read_cosigned(forged, tenant) is None
    await forged.close()


async def test_a_rollback_is_an_alarm_even_while_nothing_new_happens(
    docs, tenant, published, instance, tmp_path, watcher, clock, keeper_of
) -> None:
    older = await SqliteDocStore.open(tmp_path / "older.sqlite", COLLECTIONS)
    keeper = keeper_of(older)
    events = instance.does_often(tenant, 12)
    await keeper.append(events[:5])
    await keeper.publish(tenant)
    first = collector(docs, clock, (watcher.place(), watcher.door()))
    await first.begin()
    await first.round()  # the witness saw 20
    witnesses = collector(older, clock, (watcher.place(), watcher.door()))
    await witnesses.begin()
    await witnesses.round()
    assert contradicted(witnesses) == 1
    # It stays one for as long as it is: nobody has explained it.
    clock.s += 50
    await witnesses.round()
    assert contradicted(witnesses) == 1
    await older.close()


async def test_a_witness_that_knows_another_key_for_the_log_refuses(
    docs, tenant, published, tmp_path, clock
) -> None:
    swapped = VerifierKey(origin_of("test", tenant), SigningKey.generate().public)
    watcher = Watcher.begun(tmp_path / "witness").trusts(swapped)
    witnesses = collector(docs, clock, (watcher.place(), watcher.door()))
    await witnesses.begin()
    await witnesses.round()
    assert await read_cosigned(docs, tenant) is None
    assert not contradicted(witnesses)
    assert LOG_KEY.public != swapped.public


@pytest.mark.parametrize(
    "says",
    [
        Answer(200, ""),
        Answer(200, "— dpo.example/w1 AAAAAAAA\n"),
        Answer(200, "x" * 1000),
        Answer(409, "many\n"),
        Answer(409, "0\n"),
        Answer(418, ""),
        Answer(302, ""),
        Answer(404, ""),
    ],
)
async def test_a_witness_that_talks_nonsense_is_not_believed(
    docs, tenant, published, watcher, clock, says
) -> None:
    door = watcher.door()
    door.says = says
    witnesses = collector(docs, clock, (watcher.place(), door))
    await witnesses.begin()
    await witnesses.round()
    assert await read_cosigned(docs, tenant) is None
    assert not contradicted(witnesses)
    assert len(door.asked) <= 3
    door.says = None
    clock.s += 40
    await witnesses.round()
    assert (await read_cosigned(docs, tenant)).size == 20


async def test_another_witness_s_line_is_not_taken_for_this_one_s(
    docs, tenant, published, tmp_path, watcher, clock
) -> None:
    other = Watcher.begun(tmp_path / "other", "court.example/w").trusts(key_of(tenant))
    witnesses = collector(docs, clock, (watcher.place(), other.door()))
    await witnesses.begin()
    await witnesses.round()
    assert await read_cosigned(docs, tenant) is None


async def test_a_cosignature_from_the_future_is_not_believed(
    docs, tenant, published, watcher, clock
) -> None:
    witnesses = collector(docs, clock, (watcher.place(), watcher.door(now_s=NOW_S + 4000)))
    await witnesses.begin()
    await witnesses.round()
    assert await read_cosigned(docs, tenant) is None


async def test_a_witness_of_some_logs_is_offered_no_other(
    docs, tenant, other_tenant, published, instance, watcher, clock
) -> None:
    await published.append(instance.does_often(other_tenant, 3))
    await published.publish(other_tenant)
    door = watcher.door()
    place = watcher.place().model_copy(update={"logs": (tenant,)})
    witnesses = collector(docs, clock, (place, door))
    await witnesses.begin()
    await witnesses.round()
    assert {asked.origin for asked in door.asked} == {origin_of("test", tenant)}


async def test_a_store_that_is_away_ends_a_round_and_not_the_loop(
    docs, tenant, published, watcher, clock
) -> None:
    settings = AuditSettings(offer_every_s=0.01, offer_quiet_s=3600)
    flaky = FlakyOnce(docs)
    witnesses = collector(flaky, clock, (watcher.place(), watcher.door()), settings=settings)
    running = asyncio.create_task(witnesses.run())
    async with asyncio.timeout(20):
        while await read_cosigned(docs, tenant) is None:
            await asyncio.sleep(0.01)
    running.cancel()
    assert flaky.failed
    assert told("voicefile_loop_failures_total", loop="witnesses") > 0


class FlakyOnce:
    """A store that fails at its first reading of all heads."""

    def __init__(self, docs: Any) -> None:
        self._docs = docs
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        if name == "scan" and not self.failed:
            self.failed = True
            raise ConnectionError
        return getattr(self._docs, name)
