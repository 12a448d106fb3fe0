"""The journal of what was sent: complete, in order, taken over by successors, forgotten in time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.conformance import TOPIC, some_events
from voicefile.eventbus.kafka_record import Place
from voicefile.eventbus.port import Event
from voicefile.eventbus.sent import SENT, Contended, SentJournal

FIRST, SECOND = Place(TOPIC, 0), Place(TOPIC, 1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [SENT])
    yield store
    await store.close()


@pytest.fixture
async def journal(store: DocStore) -> SentJournal:
    journal = SentJournal(store)
    await journal.load()
    return journal


async def older(journal: SentJournal) -> list[Event]:
    return [event async for kept in journal.older() for event in kept.events]


async def test_a_successor_knows_how_far_the_log_had_grown(
    store: DocStore, journal: SentJournal
) -> None:
    events = some_events(4)
    await journal.keep(events[:2], {FIRST: 1})
    await journal.keep(events[2:], {SECOND: 7})
    successor = SentJournal(store)
    await successor.load()
    assert successor.last == {FIRST: 1, SECOND: 7}
    assert successor.precedes({SECOND: 7})
    assert not successor.precedes({SECOND: 8, FIRST: 2})
    assert await older(successor) == []


async def test_after_a_loss_everything_kept_is_due_again_in_order(
    store: DocStore, journal: SentJournal
) -> None:
    events = some_events(30)
    for at in range(0, 30, 3):
        await journal.keep(events[at : at + 3], {FIRST: at + 2})
    await journal.begin_again("other-cluster")
    assert journal.last == {}
    assert await older(journal) == events


async def test_who_stops_in_the_middle_of_it_is_succeeded(
    store: DocStore, journal: SentJournal
) -> None:
    events = some_events(12)
    for at, event in enumerate(events):
        await journal.keep([event], {FIRST: at})
    await journal.begin_again("")
    at = 0
    async for kept in journal.older():
        await journal.published_again(kept, {FIRST: at})
        at += 1
        if at == 5:
            break
    successor = SentJournal(store)
    await successor.load()
    assert successor.behind
    assert await older(successor) == events[5:]
    assert successor.last == {FIRST: 4}
    async for kept in successor.older():
        await successor.published_again(kept, {FIRST: at})
        at += 1
    await successor.caught_up()
    await journal.load()
    assert not journal.behind
    assert journal.last == {FIRST: 11}


async def test_what_was_sent_into_the_new_log_is_not_sent_again(
    store: DocStore, journal: SentJournal
) -> None:
    old, new = some_events(4)[:2], some_events(4)[2:]
    await journal.keep(old, {FIRST: 1})
    await journal.begin_again("")
    await journal.keep(new, {FIRST: 0})
    assert await older(journal) == old


async def test_two_who_both_think_they_lead_keep_everything(
    store: DocStore, journal: SentJournal
) -> None:
    other = SentJournal(store)
    await other.load()
    events = some_events(40)
    for at in range(0, 40, 2):
        await journal.keep(events[at : at + 1], {FIRST: at})
        await other.keep(events[at + 1 : at + 2], {FIRST: at + 1})
    third = SentJournal(store)
    await third.load()
    assert third.last == {FIRST: 39}
    await third.begin_again("")
    assert await older(third) == events


async def test_who_has_not_heard_of_a_loss_cannot_end_it(
    store: DocStore, journal: SentJournal
) -> None:
    late = SentJournal(store)
    await late.load()
    await journal.begin_again("")
    await journal.begin_again("")
    with pytest.raises(Contended):
        await late.caught_up()


async def test_it_forgets_after_its_time_and_not_before(store: DocStore) -> None:
    now_s = 1000.0
    journal = SentJournal(store, kept_s=100, now_s=lambda: now_s)
    await journal.load()
    for at, event in enumerate(some_events(250)):
        now_s = 1000.0 + at
        await journal.keep([event], {FIRST: at})
    now_s = 1299.0
    assert await journal.purge() == 200
    now_s = 2000.0
    assert await journal.purge() == 50
    assert await store.scan(SENT) == []


async def test_numbers_go_on_where_all_is_forgotten_and_positions_are_kept(
    store: DocStore, journal: SentJournal
) -> None:
    await journal.keep(some_events(1), {FIRST: 3})
    await journal.caught_up()
    for document in await store.scan(SENT):
        if document.id != "head":
            await store.delete(SENT, document)
    successor = SentJournal(store)
    await successor.load()
    assert successor.last == {FIRST: 3}
    await successor.keep(some_events(1), {FIRST: 4})
    assert len(await store.scan(SENT)) == 2


async def test_many_large_events_fill_several_documents(
    store: DocStore, journal: SentJournal
) -> None:
    events = [Event(f"e{at}", TOPIC, "k", bytes(900_000)) for at in range(10)]
    await journal.keep(events, {FIRST: 9})
    assert len(await store.scan(SENT)) == 3
    await journal.begin_again("")
    assert await older(journal) == events
