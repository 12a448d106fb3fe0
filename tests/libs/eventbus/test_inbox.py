"""The inbox: what was handled is not handled again, for as long as it is remembered."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.conformance import TOPIC, Twice, some_events
from voicefile.eventbus.inbox import INBOX, Inbox
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import Event


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DocStore]:
    store = await SqliteDocStore.open(tmp_path / "store.db", [INBOX])
    yield store
    await store.close()


async def test_only_what_was_not_marked_is_fresh(store: DocStore) -> None:
    inbox = Inbox(store, group="group")
    events = some_events(5)
    assert await inbox.fresh([*events, *events]) == events
    await inbox.mark(events[1:3])
    assert await inbox.fresh(events) == [events[0], *events[3:]]
    await inbox.mark([*events, *events])
    assert await inbox.fresh(events) == []
    await inbox.mark([])


async def test_groups_have_inboxes_of_their_own(store: DocStore) -> None:
    events = some_events(2)
    await Inbox(store, group="one").mark(events)
    assert await Inbox(store, group="other").fresh(events) == events


async def test_what_is_old_is_forgotten_by_the_way(store: DocStore) -> None:
    now_s = 0.0
    inbox = Inbox(store, group="group", keep_s=100, now_s=lambda: now_s)
    old, new = some_events(10), some_events(5, topic="new")
    await inbox.mark(old)
    now_s = 99.0
    await inbox.mark(new[:1])
    assert await inbox.fresh(old) == []
    now_s = 101.0
    await inbox.mark(new)
    assert await inbox.fresh(old) == old
    assert len(await store.scan(INBOX)) == 5


async def test_a_handler_with_an_inbox_works_once_on_a_bus_that_tells_twice(
    store: DocStore,
) -> None:
    inbox = Inbox(store, group="group")
    worked: list[Event] = []

    async def handler(events: Sequence[Event]) -> None:
        fresh = await inbox.fresh(events)
        worked.extend(fresh)
        await inbox.mark(fresh)

    bus = Twice(MemoryEventBus())
    bus.subscribe(TOPIC, group="group", handler=handler)
    async with bus.running():
        await bus.publish(some_events(20))
    assert worked == some_events(20)
