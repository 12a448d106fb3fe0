"""The law of the document store's outbox: events and acknowledged writes outlive any crash."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from voicefile.docstore.conformance import NOTES, PLAIN, SILENT, TENANT, THINGS, event, thing
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import Collection, DocStore, Document, DocumentExists, VersionConflict


class DocStoreOutboxConformance:
    """An event is as durable as its document, and leaves by being settled, in no other way."""

    @pytest.fixture
    def store(self) -> DocStore:
        """Overridden by the adapter's tests: an empty store with COLLECTIONS."""
        raise NotImplementedError

    async def test_events_wait_with_their_document_until_settled(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, carrying(thing("a", n=1), event("e1"), event("e2")))
        await store.insert(PLAIN, thing("silent"))
        assert await store.pending() == [(PLAIN, stored)]
        await store.settle(PLAIN, "a", {"e1", "unknown"})
        left = replace(stored, pending=(event("e2"),))
        assert await store.pending() == [(PLAIN, left)]
        await store.settle(PLAIN, "a", {"e2"})
        await store.settle(PLAIN, "a", {"e2"})
        await store.settle(PLAIN, "missing", {"e2"})
        assert await store.pending() == []
        assert await store.get(PLAIN, "a") == replace(stored, pending=())

    async def test_settling_does_not_change_the_version(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, carrying(thing("a", n=1), event("e1")))
        await store.settle(PLAIN, "a", {"e1"})
        again = await store.replace(PLAIN, replace(stored, body={"n": 2}, pending=()))
        assert (again.version, again.pending) == (stored.version + 1, ())
        assert await store.pending() == []

    async def test_no_event_gets_into_a_silent_collection(self, store: DocStore) -> None:
        # Nobody would look for it there, so none may come in by any door.
        stored = await store.insert(SILENT, thing("a", n=1))
        loud = carrying(stored, event("e1"))
        with pytest.raises(ValueError, match="silent"):
            await store.insert(SILENT, carrying(thing("b"), event("e2")))
        with pytest.raises(ValueError, match="silent"):
            await store.insert_many(SILENT, [thing("b"), carrying(thing("c"), event("e2"))])
        with pytest.raises(ValueError, match="silent"):
            await store.replace(SILENT, loud)
        with pytest.raises(ValueError, match="silent"):
            await store.replace_many(SILENT, [loud])
        assert await store.scan(SILENT) == [stored]
        await store.delete(SILENT, await store.replace(SILENT, replace(stored, body={"n": 2})))
        assert await store.pending() == []

    async def test_a_replace_adds_events_and_drops_none(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, carrying(thing("a"), event("e1")))
        second = await store.replace(PLAIN, replace(stored, pending=(event("e2"),)))
        assert second.pending == (event("e1"), event("e2"))
        third = await store.replace(PLAIN, carrying(second, event("e3"), event("e1")))
        assert third.pending == (event("e1"), event("e2"), event("e3"))
        assert await store.pending() == [(PLAIN, third)]

    async def test_a_deleted_document_leaves_its_events(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, carrying(thing("a", sealed=b"s"), event("e1")))
        await store.delete(PLAIN, stored)
        assert await store.get(PLAIN, "a") is None
        [(collection, left)] = await store.pending()
        assert (left.pending, left.tenant, left.body) == ((event("e1"),), TENANT, {})
        again = await store.insert(PLAIN, thing("a"))
        await store.settle(collection, left.id, {"e1"})
        assert await store.pending() == []
        assert await store.get(PLAIN, "a") == again

    async def test_a_refused_write_leaves_no_event(self, store: DocStore) -> None:
        stored = await store.insert(THINGS, thing("a", serial="s"))
        with pytest.raises(DocumentExists):
            await store.insert(THINGS, carrying(thing("b", serial="s"), event("e1")))
        with pytest.raises(VersionConflict):
            await store.replace(THINGS, carrying(replace(stored, version=7), event("e2")))
        assert await store.pending() == []

    async def test_who_has_waited_longest_comes_first(self, store: DocStore) -> None:
        for name in ("c", "a", "b"):
            await store.insert(PLAIN, carrying(thing(name), event(f"e-{name}")))
        first = await store.get(PLAIN, "c")
        assert first is not None
        await store.replace(PLAIN, carrying(first, event("e-more")))
        assert [each.id for _, each in await store.pending()] == ["c", "a", "b"]
        assert [each.id for _, each in await store.pending(2)] == ["c", "a"]

    async def test_an_ephemeral_document_goes_with_its_last_event(self, store: DocStore) -> None:
        await store.insert(NOTES, carrying(thing("a"), event("e1"), event("e2")))
        await store.settle(NOTES, "a", {"e2"})
        assert await store.get(NOTES, "a") is not None
        await store.settle(NOTES, "a", {"e1"})
        assert await store.get(NOTES, "a") is None
        assert await store.scan(NOTES) == []

    @pytest.mark.parametrize("collection", [PLAIN, NOTES])
    async def test_of_many_settled_side_by_side_each_keeps_what_came_meanwhile(
        self, store: DocStore, collection: Collection
    ) -> None:
        names = [f"d{number:02d}" for number in range(40)]
        await store.insert_many(
            collection, [carrying(thing(name), event(f"{name}-1")) for name in names]
        )
        seen = await store.pending()
        for _, document in [each for each in seen if each[1].id in names[::7]]:
            news = (event(f"{document.id}-2"),)
            await store.replace(collection, replace(document, pending=news))
        await store.settle(collection, names[1], {f"{names[1]}-1"})
        async with asyncio.TaskGroup() as settling:
            for _, document in seen:
                ids = {each.id for each in document.pending}
                settling.create_task(store.settle(collection, document.id, ids))
            settling.create_task(store.settle(collection, "missing", {"e"}))
        left = [[each.id for each in document.pending] for _, document in await store.pending()]
        assert sorted(left) == [[f"{name}-2"] for name in names[::7]]

    async def test_settling_and_replacing_side_by_side_lose_no_event(self, store: DocStore) -> None:
        events = 30
        stored = await store.insert(PLAIN, carrying(thing("a"), event("e0")))
        published: set[str] = set()

        async def change() -> None:
            document = stored
            for number in range(1, events):
                news = (event(f"e{number}"),)
                document = await store.replace(PLAIN, replace(document, pending=news))

        async def publish() -> None:
            while len(published) < events:
                for collection, document in await store.pending():
                    ids = {each.id for each in document.pending}
                    published.update(ids)
                    await store.settle(collection, document.id, ids)
                await asyncio.sleep(0)

        await asyncio.gather(change(), publish())
        assert published == {f"e{number}" for number in range(events)}
        assert await store.pending() == []


class DocStoreCrashConformance:
    """What was answered survives; for adapters that can be opened again."""

    @pytest.fixture
    def reopened(self) -> Callable[[], Awaitable[DocStore]]:
        """Overridden: opens what `writer_argv` has written, after its death."""
        raise NotImplementedError

    @pytest.fixture
    def writer_argv(self) -> Sequence[str]:
        """Overridden: a program that opens the store and runs `write_and_acknowledge`."""
        raise NotImplementedError

    @pytest.fixture(params=[1, 40, 4000])
    def acknowledged_min(self, request: pytest.FixtureRequest) -> int:
        """How much is acknowledged before the kill; overridden where a store is slow."""
        return int(request.param)

    async def test_what_was_acknowledged_survives_a_kill(
        self,
        acknowledged_min: int,
        writer_argv: Sequence[str],
        reopened: Callable[[], Awaitable[DocStore]],
    ) -> None:
        acknowledged = await asyncio.to_thread(_kill_after, writer_argv, acknowledged_min)
        store = await reopened()
        waiting = {each.id: each for _, each in await store.pending(limit=1_000_000)}
        for name, number in acknowledged.items():
            found = await store.get(THINGS, name)
            assert found is not None, f"{name} was acknowledged and is lost"
            assert found.version >= number
            assert len(found.pending) == found.version
            assert waiting[name] == found
            assert await store.find(THINGS, "serial", f"{name} {found.version}") == [found]
        assert await store.ready()


async def write_and_acknowledge(store: DocStore, *, writers: int = 16) -> None:
    """Writes for ever; each line it prints promises that this version of a document is durable."""

    async def write() -> None:
        while True:
            name = secrets.token_hex(16)
            body = {"serial": f"{name} 1", "filling": secrets.token_bytes(300)}
            document = Document(name, TENANT, body, pending=(event(secrets.token_hex(8)),))
            document = await store.insert(THINGS, document)
            print(name, 1, flush=True)  # noqa: T201 - the acknowledgement the test counts on
            document = await store.replace(
                THINGS,
                carrying(
                    replace(document, body={"serial": f"{name} 2"}), event(secrets.token_hex(8))
                ),
            )
            print(name, 2, flush=True)  # noqa: T201

    await asyncio.gather(*(write() for _ in range(writers)))


def _kill_after(argv: Sequence[str], acknowledged_min: int) -> dict[str, int]:
    acknowledged: dict[str, int] = {}
    with subprocess.Popen(  # noqa: S603 - the adapter's own test says what runs
        [sys.executable, *argv], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout, start=1):
            if count == acknowledged_min:
                writer.kill()
            # What still stands in the pipe was acknowledged before the kill, too; but not a line
            # that the kill cut short.
            if not line.endswith("\n"):
                break
            name, version = line.split()
            acknowledged[name] = int(version)
    assert len(acknowledged) > 0
    return acknowledged
