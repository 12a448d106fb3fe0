"""The series: every number once, without a gap, whatever becomes of single writes."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.contracts.deed.v1 import Event
from voicefile.deeds.deed import Action, Actor, Deed, Outcome, Role
from voicefile.deeds.series import (
    DEEDS,
    RETRY_S_MAX,
    UNAVAILABLE_S_MAX,
    DeedSeries,
    SeriesBroken,
)
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    PendingEvent,
    StoreBroken,
    StoreUnavailable,
    VersionConflict,
)
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.identity.ids import new_id

THINGS = Collection("things")
READ = Deed(actor=Actor(new_id(), Role.ROLE_AUDITOR), action=Action.ACTION_LOG_READ)
CHANGE = replace(READ, action=Action.ACTION_TENANT_CHANGED, tenant=new_id(), object_id=new_id())


def wrap(event_id: str, deed: DeedMessage, fact: str | None) -> bytes:
    if fact == "unspeakable":
        raise ValueError(fact)
    field_15 = bytes([15 << 3 | 2, len(fact or "")]) + (fact or "").encode()
    return Event(event_id=event_id, deed=deed).SerializeToString() + field_15


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [DEEDS, THINGS])
    yield store
    await store.close()


@pytest.fixture
def failures() -> list[Exception]:
    return []


@pytest.fixture
def series(store: DocStore, failures: list[Exception]) -> DeedSeries[str]:
    return DeedSeries(store, topic="t.v1", wrap=wrap, now_s=lambda: 7.5, on_failure=failures.append)


async def stored_deeds(store: DocStore) -> list[DeedMessage]:
    """All deeds in the store, by number."""
    events = [event for _, document in await store.pending(100_000) for event in document.pending]
    deeds = []
    for event in events:
        message = Event.FromString(event.payload)
        assert message.event_id == event.id
        deeds.append(message.deed)
    return sorted(deeds, key=lambda deed: deed.n)


def assert_gapless(deeds: Sequence[DeedMessage], series: DeedSeries[str]) -> None:
    assert [deed.n for deed in deeds] == list(range(1, series.n + 1))
    assert {deed.boot_id for deed in deeds} <= {series.boot_id}


async def test_a_recorded_deed_is_stored_as_it_was_told(
    store: DocStore, series: DeedSeries[str]
) -> None:
    await series.record(replace(CHANGE, request_id=new_id(), commitment=bytes(32)))
    [(collection, document)] = await store.pending()
    assert (collection, document.body) == (DEEDS, {})
    [event] = document.pending
    [deed] = await stored_deeds(store)
    assert (event.topic, event.key) == ("t.v1", CHANGE.object_id)
    assert (deed.actor, deed.role) == (CHANGE.actor.pseudonym, Role.ROLE_AUDITOR)
    assert (deed.tenant, deed.object_id) == (CHANGE.tenant, CHANGE.object_id)
    assert (deed.action, deed.outcome) == (CHANGE.action, Outcome.OUTCOME_DONE)
    assert (deed.at_ms, deed.boot_id, deed.n) == (7500, series.boot_id, 1)
    assert deed.commitment == bytes(32)
    await store.settle(collection, document.id, {event.id})
    assert await store.scan(DEEDS) == []


async def test_a_change_carries_its_deed_and_its_fact(
    store: DocStore, series: DeedSeries[str]
) -> None:
    stored = await series.write(
        CHANGE,
        lambda event: store.insert(THINGS, Document("a", "", {}, pending=(event,))),
        fact="fact",
    )
    assert stored.version == 1
    [(collection, document)] = await store.pending()
    assert collection == THINGS
    assert document.pending[0].payload.endswith(b"fact")


async def test_one_document_can_carry_several_deeds(
    store: DocStore, series: DeedSeries[str]
) -> None:
    async def write(events: tuple[PendingEvent, ...]) -> Document:
        return await store.insert(THINGS, Document("a", "", {}, pending=events))

    await series.write_many([(CHANGE, "fact"), (READ, None)], write)
    with pytest.raises(DocumentExists):
        await series.write_many([(CHANGE, "fact"), (READ, None)], write)
    deeds = await stored_deeds(store)
    assert_gapless(deeds, series)
    void = Action.ACTION_VOID
    assert [deed.action for deed in deeds] == [CHANGE.action, READ.action, void, void]


async def test_a_lost_race_is_filled_with_a_void_deed(
    store: DocStore, series: DeedSeries[str]
) -> None:
    with pytest.raises(VersionConflict):
        await series.write(
            CHANGE, lambda event: store.replace(THINGS, carrying(Document("a", "", {}), event))
        )
    [void] = await stored_deeds(store)
    assert (void.n, void.action, void.outcome) == (1, Action.ACTION_VOID, Outcome.OUTCOME_FAILED)
    assert (void.tenant, void.object_id, void.actor, void.role) == ("", "", "", Role.ROLE_SERVICE)
    assert void.deed_id


async def test_a_write_that_was_never_made_is_void_too(
    store: DocStore, series: DeedSeries[str]
) -> None:
    async def write(_: PendingEvent) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await series.write(CHANGE, write)
    assert_gapless(await stored_deeds(store), series)


async def test_a_fact_that_cannot_be_told_takes_no_number(
    store: DocStore, series: DeedSeries[str]
) -> None:
    with pytest.raises(ValueError, match="unspeakable"):
        await series.record(READ, fact="unspeakable")
    assert series.n == 0
    assert await store.pending() == []


async def test_numbers_are_gapless_however_many_races_are_lost(
    store: DocStore, series: DeedSeries[str]
) -> None:
    stored = await store.insert(THINGS, Document("a", "", {}))

    async def race(number: int) -> Document:
        return await series.write(
            CHANGE,
            lambda event: store.replace(
                THINGS, replace(stored, body={"by": number}, pending=(event,))
            ),
        )

    ended = await asyncio.gather(
        *(race(number) for number in range(60)),
        *(series.record(READ) for _ in range(60)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Document) for each in ended) == 1
    deeds = await stored_deeds(store)
    assert_gapless(deeds, series)
    assert series.n == 120
    assert sum(deed.action == Action.ACTION_VOID for deed in deeds) == 59
    assert sum(deed.action == READ.action for deed in deeds) == 60


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_numbers_are_gapless_whoever_gives_up_in_the_middle(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_race_and_give_up(random.Random(seed), tmp_path_factory.mktemp("given-up")))


async def _race_and_give_up(chance: random.Random, directory: Path) -> None:
    store = await SqliteDocStore.open(directory / "store.db", [DEEDS, THINGS])
    series: DeedSeries[str] = DeedSeries(store, topic="t.v1", wrap=wrap)

    async def change(name: str) -> Document:
        document = Document(name, "", {})
        return await series.write(
            CHANGE, lambda event: store.insert(THINGS, carrying(document, event))
        )

    tasks = [
        asyncio.ensure_future(series.record(READ) if chance.random() < 0.5 else change(name))
        for name in chance.choices("abcdefgh", k=30)
    ]
    for task in chance.sample(tasks, 15):
        for _ in range(chance.choice([0, 0, 1, 2, 5, 20])):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    deeds = await stored_deeds(store)
    assert_gapless(deeds, series)
    documents = await store.scan(THINGS)
    assert sum(deed.action == CHANGE.action for deed in deeds) == len(documents)
    await store.close()


async def test_a_caller_who_gives_up_is_let_go_when_the_deed_is_stored(
    store: DocStore, series: DeedSeries[str]
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await series.record(READ)
    assert_gapless(await stored_deeds(store), series)
    assert series.n == 1


async def test_a_deed_that_cannot_be_stored_stops_the_instance(
    store: SqliteDocStore, series: DeedSeries[str], failures: list[Exception]
) -> None:
    await series.record(READ)
    await store.close()
    with pytest.raises(StoreBroken):
        await series.record(READ)
    assert [type(each) for each in failures] == [StoreBroken]
    with pytest.raises(SeriesBroken):
        await series.record(READ)
    with pytest.raises(SeriesBroken):
        series.pending(READ)


async def test_a_change_of_unknown_fate_stops_the_instance(
    store: SqliteDocStore, series: DeedSeries[str], failures: list[Exception]
) -> None:
    await store.close()
    with pytest.raises(StoreBroken):
        await series.write(
            CHANGE, lambda event: store.insert(THINGS, Document("a", "", {}, pending=(event,)))
        )
    assert len(failures) == 1
    with pytest.raises(SeriesBroken):
        await series.record(READ)


async def test_every_start_begins_a_series_of_its_own(store: DocStore) -> None:
    first, second = (DeedSeries[str](store, topic="t.v1", wrap=wrap) for _ in range(2))
    await first.record(READ)
    await second.record(READ)
    assert first.boot_id != second.boot_id
    assert [deed.n for deed in await stored_deeds(store)] == [1, 1]


class SlowStore:
    """A store whose writes the test lets through one by one."""

    def __init__(self, store: SqliteDocStore) -> None:
        self.store = store
        self.held: list[asyncio.Event] = []

    async def insert_many(self, collection: Collection, documents: Sequence[Document]) -> None:
        let = asyncio.Event()
        self.held.append(let)
        await let.wait()
        await self.store.insert_many(collection, documents)


async def test_a_series_knows_up_to_where_all_are_stored(store: SqliteDocStore) -> None:
    slow = SlowStore(store)
    series: DeedSeries[str] = DeedSeries(cast("DocStore", slow), topic="t.v1", wrap=wrap)
    assert series.stored_through == 0

    async def recorded(count: int) -> list[asyncio.Future[None]]:
        held = len(slow.held) + count
        tasks = [asyncio.ensure_future(series.record(READ)) for _ in range(count)]
        while len(slow.held) < held:
            await asyncio.sleep(0)
        return tasks

    tasks = await recorded(3)
    assert (series.n, series.stored_through) == (3, 0)
    for let, through in ((1, 0), (0, 2), (2, 3)):
        slow.held[let].set()
        await tasks[let]
        assert series.stored_through == through
    tasks += await recorded(1)
    slow.held[3].set()
    await tasks[3]
    assert series.stored_through == 4
    told = {deed.n: deed.stored_through for deed in await stored_deeds(store)}
    assert told == {1: 0, 2: 0, 3: 0, 4: 3}


async def test_a_number_filled_by_a_void_deed_is_stored(
    store: DocStore, series: DeedSeries[str]
) -> None:
    with pytest.raises(VersionConflict):
        await series.write(
            CHANGE, lambda event: store.replace(THINGS, carrying(Document("a", "", {}), event))
        )
    assert series.stored_through == series.n == 1
    await series.record(READ)
    assert series.stored_through == 2


class FarStore:
    """A store behind a network that loses its way as often as the test says."""

    def __init__(self, store: SqliteDocStore) -> None:
        self.store = store
        self.away = 0
        self.unheard = 0
        """Writes that come through, though the answer says nothing of it."""
        self.tries = 0

    async def insert_many(self, collection: Collection, documents: Sequence[Document]) -> None:
        self.tries += 1
        if self.away:
            self.away -= 1
            raise StoreUnavailable
        await self.store.insert_many(collection, documents)
        if self.unheard:
            self.unheard -= 1
            raise StoreUnavailable


class Waits:
    """Time that passes only by being waited for."""

    def __init__(self) -> None:
        self.now_s = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def far(store: SqliteDocStore) -> FarStore:
    return FarStore(store)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def far_series(far: FarStore, waits: Waits, failures: list[Exception]) -> DeedSeries[str]:
    return DeedSeries(
        cast("DocStore", far),
        topic="t.v1",
        wrap=wrap,
        on_failure=failures.append,
        monotonic_s=lambda: waits.now_s,
        sleep=waits.sleep,
    )


async def unwritten(_: PendingEvent) -> None:
    raise StoreUnavailable


async def test_a_short_outage_ends_nobody_and_leaves_no_gap(
    store: SqliteDocStore, far: FarStore, far_series: DeedSeries[str], failures: list[Exception]
) -> None:
    far.away = 12
    ended = await asyncio.gather(
        *(far_series.write(CHANGE, unwritten) for _ in range(3)),
        *(far_series.record(READ) for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(each) for each in ended[:3]] == [StoreUnavailable] * 3
    assert ended[3:] == [None] * 3
    assert failures == []
    deeds = await stored_deeds(store)
    assert_gapless(deeds, far_series)
    assert sorted(deed.action for deed in deeds).count(Action.ACTION_VOID) == 3


async def test_a_deed_stored_without_a_word_is_stored_once(
    store: SqliteDocStore, far: FarStore, far_series: DeedSeries[str], failures: list[Exception]
) -> None:
    far.unheard = 1
    await far_series.record(READ)
    assert failures == []
    assert_gapless(await stored_deeds(store), far_series)
    assert far_series.n == 1


async def test_while_one_number_waits_no_other_is_given(
    store: SqliteDocStore, far: FarStore, far_series: DeedSeries[str], failures: list[Exception]
) -> None:
    far.away = 6
    first = asyncio.ensure_future(far_series.record(READ))
    while far.tries < 2:
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await far_series.record(READ)
    with pytest.raises(StoreUnavailable):
        await far_series.write(CHANGE, unwritten)
    assert far_series.n == 1
    await first
    await far_series.record(READ)
    assert failures == []
    assert_gapless(await stored_deeds(store), far_series)
    assert far_series.n == 2


async def test_an_outage_without_end_ends_the_instance(
    far: FarStore, far_series: DeedSeries[str], waits: Waits, failures: list[Exception]
) -> None:
    far.away = 10_000
    with pytest.raises(StoreUnavailable):
        await far_series.write(CHANGE, unwritten)
    assert UNAVAILABLE_S_MAX <= waits.now_s < UNAVAILABLE_S_MAX + 2 * RETRY_S_MAX
    assert far.tries < 30
    assert [type(each) for each in failures] == [StoreUnavailable]
    with pytest.raises(SeriesBroken):
        await far_series.record(READ)


async def test_whoever_leaves_while_the_store_is_away_leaves_no_gap(
    store: SqliteDocStore, far: FarStore, far_series: DeedSeries[str], failures: list[Exception]
) -> None:
    far.away = 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await far_series.write(CHANGE, unwritten)
    assert failures == []
    assert_gapless(await stored_deeds(store), far_series)
