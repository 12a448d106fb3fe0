"""The law of the document store: what every adapter keeps, as tests that ship with the port.

An adapter's tests subclass DocStoreConformance, the two classes of outbox_conformance.py, and those
of index_conformance.py and changes_conformance.py, and say how a store is opened.
"""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace

import pytest

from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    Index,
    PendingEvent,
    VersionConflict,
)

THINGS = Collection(
    "things",
    indexes=(
        Index("label", "label"),
        Index("serial", "serial", unique=True),
        Index("part", "parts.id", unique=True),
        Index("tag", "tags"),
        Index("at", "at"),
    ),
)
PLAIN = Collection("plain")
NOTES = Collection("notes", ephemeral=True)
SILENT = Collection("silent", silent=True)
COLLECTIONS = (THINGS, PLAIN, NOTES, SILENT)

TENANT = "aa" * 16
OTHER = "bb" * 16


def event(name: str) -> PendingEvent:
    """An event that only its id tells from others."""
    return PendingEvent(name, "topic.v1", "key", b"\x00\xff payload")


def thing(name: str, *, tenant: str = TENANT, **body: object) -> Document:
    """A document of the collection THINGS or PLAIN."""
    return Document(name, tenant, body)


class DocStoreConformance:
    """One atomic, durable write at a time; what is found is what was written last."""

    @pytest.fixture
    def store(self) -> DocStore:
        """Overridden by the adapter's tests: an empty store with COLLECTIONS."""
        raise NotImplementedError

    async def test_what_is_inserted_is_read_back_as_version_one(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, thing("a", text="x"))
        assert stored == replace(thing("a", text="x"), version=1)
        assert await store.get(PLAIN, "a") == stored
        assert await store.get(PLAIN, "b") is None

    async def test_every_kind_of_value_comes_back_as_it_was(self, store: DocStore) -> None:
        body = {
            "none": None,
            "truth": [True, False],
            "numbers": [0, -1, 2**63 - 1, -(2**63)],
            "float": 0.1,
            "text": "Grüße, 日本語 \U0001f512 \x00 end",
            "bytes": bytes(range(256)),
            "nested": {"empty": {}, "list": [[], [{"ü": b""}]]},
        }
        await store.insert(PLAIN, Document("schlüssel-\U0001f511", TENANT, body))
        found = await store.get(PLAIN, "schlüssel-\U0001f511")
        assert found is not None
        assert found.body == body
        numbers = found.body["truth"], found.body["float"]
        assert repr(numbers) == repr(([True, False], 0.1))

    async def test_a_large_document_comes_back_whole(self, store: DocStore) -> None:
        body = {"sealed": secrets.token_bytes(4_000_000)}
        stored = await store.insert(PLAIN, Document("large", TENANT, body))
        await store.replace(PLAIN, stored)
        found = await store.get(PLAIN, "large")
        assert found is not None
        assert found.body == body

    async def test_the_same_id_is_inserted_once(self, store: DocStore) -> None:
        await store.insert(PLAIN, thing("a", n=1))
        with pytest.raises(DocumentExists):
            await store.insert(PLAIN, thing("a", tenant=OTHER, n=2))
        found = await store.get(PLAIN, "a")
        assert found is not None
        assert (found.tenant, found.body) == (TENANT, {"n": 1})

    async def test_collections_do_not_share_ids(self, store: DocStore) -> None:
        await store.insert(PLAIN, thing("a", n=1))
        await store.insert(THINGS, thing("a", n=2))
        found = await store.get(PLAIN, "a")
        assert found is not None
        assert found.body == {"n": 1}

    async def test_insert_many_stores_all_that_do_not_collide(self, store: DocStore) -> None:
        await store.insert(THINGS, thing("b", serial="s1"))
        several = [thing("a"), thing("b"), thing("c", serial="s1"), thing("d", serial="s2")]
        with pytest.raises(DocumentExists):
            await store.insert_many(THINGS, several)
        assert [each.id for each in await store.scan(THINGS)] == ["a", "b", "d"]
        await store.insert_many(THINGS, [])

    async def test_replace_needs_the_stored_version(self, store: DocStore) -> None:
        first = await store.insert(PLAIN, thing("a", n=1))
        second = await store.replace(PLAIN, replace(first, body={"n": 2}))
        assert second.version == first.version + 1
        with pytest.raises(VersionConflict):
            await store.replace(PLAIN, replace(first, body={"n": 3}))
        assert await store.get(PLAIN, "a") == second

    async def test_replace_many_says_of_each_what_became_of_it(self, store: DocStore) -> None:
        await store.insert_many(
            THINGS,
            [thing(name, serial=f"s-{name}", label="old") for name in ("a", "b", "c", "d", "e")],
        )
        held = {each.id: each for each in await store.scan(THINGS)}
        newer = await store.replace(THINGS, replace(held["b"], body={"n": 2}))
        wanted = [
            carrying(replace(held["a"], body={"serial": "new", "label": "new"}), event("e1")),
            replace(held["b"], body={"n": 3}),
            replace(held["c"], tenant=OTHER),
            replace(held["d"], body={"serial": "s-e"}),
            replace(thing("missing"), version=1),
            replace(held["e"], body={"serial": "s-e", "label": "new"}),
        ]
        answers = await store.replace_many(THINGS, wanted)
        first, last = replace(wanted[0], version=2), replace(wanted[5], version=2)
        assert [each if isinstance(each, Document) else type(each) for each in answers] == [
            first,
            VersionConflict,
            VersionConflict,
            DocumentExists,
            VersionConflict,
            last,
        ]
        kept = [first, newer, held["c"], held["d"], last]
        assert await store.scan(THINGS) == kept
        assert await store.find(THINGS, "label", "new") == [first, last]
        assert await store.find(THINGS, "serial", "s-a") == []
        assert await store.pending() == [(THINGS, first)]
        assert await store.replace_many(THINGS, []) == []

    async def test_of_many_replaced_beside_single_ones_no_change_is_lost(
        self, store: DocStore
    ) -> None:
        names = [f"d{number:03d}" for number in range(250)]
        await store.insert_many(PLAIN, [thing(name) for name in names])
        won = dict.fromkeys(names, 0)

        async def add_one_each(rounds: int) -> None:
            for _ in range(rounds):
                found = await store.scan(PLAIN, limit=1000)
                wanted = [replace(each, body={"seen": each.version}) for each in found]
                for answer in await store.replace_many(PLAIN, wanted):
                    if isinstance(answer, Document):
                        won[answer.id] += 1

        async def add_one(name: str) -> None:
            found = await store.get(PLAIN, name)
            assert found is not None
            with suppress(VersionConflict):
                await store.replace(PLAIN, replace(found, body={"seen": found.version}))
                won[name] += 1

        await asyncio.gather(
            add_one_each(2), add_one_each(2), *(add_one(name) for name in names[::5])
        )
        stored = {each.id: each.version - 1 for each in await store.scan(PLAIN, limit=1000)}
        assert stored == won
        assert min(won.values()) > 0

    async def test_what_is_missing_can_not_be_replaced_or_deleted(self, store: DocStore) -> None:
        for version in (0, 1):
            with pytest.raises(VersionConflict):
                await store.replace(PLAIN, replace(thing("a"), version=version))
            with pytest.raises(VersionConflict):
                await store.delete(PLAIN, replace(thing("a"), version=version))

    async def test_a_document_never_changes_its_tenant(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, thing("a"))
        with pytest.raises(VersionConflict):
            await store.replace(PLAIN, replace(stored, tenant=OTHER))
        with pytest.raises(VersionConflict):
            await store.delete(PLAIN, replace(stored, tenant=OTHER))
        assert await store.get(PLAIN, "a") == stored

    async def test_what_is_deleted_is_gone_and_its_id_free(self, store: DocStore) -> None:
        stored = await store.insert(THINGS, thing("a", serial="s", label="l"))
        with pytest.raises(VersionConflict):
            await store.delete(THINGS, replace(stored, version=2))
        await store.delete(THINGS, stored)
        assert await store.get(THINGS, "a") is None
        assert await store.find(THINGS, "label", "l") == []
        assert (await store.insert(THINGS, thing("a", serial="s"))).version == 1

    async def test_of_a_hundred_who_replace_one_version_one_wins(self, store: DocStore) -> None:
        stored = await store.insert(PLAIN, thing("a", rounds=0))
        for version in range(1, 6):
            rivals = [replace(stored, body={"rival": each}) for each in range(100)]
            ended = await asyncio.gather(
                *(store.replace(PLAIN, rival) for rival in rivals), return_exceptions=True
            )
            won = [each for each in ended if isinstance(each, Document)]
            assert len(won) == 1
            assert sum(isinstance(each, VersionConflict) for each in ended) == 99
            assert won[0].version == version + 1
            assert await store.get(PLAIN, "a") == won[0]
            stored = won[0]

    async def test_of_a_hundred_who_insert_one_id_one_wins(self, store: DocStore) -> None:
        ended = await asyncio.gather(
            *(store.insert(PLAIN, thing("a", rival=each)) for each in range(100)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Document) for each in ended) == 1
        assert sum(isinstance(each, DocumentExists) for each in ended) == 99

    async def test_no_concurrent_change_is_lost(self, store: DocStore) -> None:
        await store.insert(PLAIN, thing("a", count=0))

        async def add_one() -> None:
            while True:
                found = await store.get(PLAIN, "a")
                assert found is not None
                count = found.body["count"]
                assert isinstance(count, int)
                try:
                    await store.replace(PLAIN, replace(found, body={"count": count + 1}))
                except VersionConflict:
                    continue
                return

        await asyncio.gather(*(add_one() for _ in range(25)))
        found = await store.get(PLAIN, "a")
        assert found is not None
        assert found.body == {"count": 25}
        assert found.version == 26

    async def test_own_writes_are_seen_at_once(self, store: DocStore) -> None:
        async def write_and_read(name: str) -> None:
            stored = await store.insert(THINGS, thing(name, label=name))
            assert await store.get(THINGS, name) == stored
            assert await store.find(THINGS, "label", name) == [stored]
            changed = await store.replace(THINGS, replace(stored, body={"label": name + "'"}))
            assert await store.find(THINGS, "label", name) == []
            assert await store.find(THINGS, "label", name + "'") == [changed]

        await asyncio.gather(*(write_and_read(str(each)) for each in range(50)))

    async def test_pages_run_through_all_by_id(self, store: DocStore) -> None:
        names = sorted(secrets.token_hex(16) for _ in range(25))
        for name in names:
            await store.insert(THINGS, thing(name, label="same"))
            await store.insert(THINGS, thing(name + "-other", tenant=OTHER, label="same"))
        paged: list[str] = []
        found: list[str] = []
        while page := await store.scan(
            THINGS, tenant=TENANT, after=paged[-1] if paged else "", limit=10
        ):
            paged += [each.id for each in page]
        while page := await store.find(
            THINGS, "label", "same", tenant=TENANT, after=found[-1] if found else "", limit=10
        ):
            found += [each.id for each in page]
        assert paged == found == names
        assert len(await store.scan(THINGS, limit=1000)) == 50
        assert len(await store.find(THINGS, "label", "same", limit=1000)) == 50

    async def test_ids_are_ordered_by_their_bytes(self, store: DocStore) -> None:
        names = ["", "A", "a", "a\x00", "aa", "b", "ä", "\uffff", "\U0001f511"]
        for name in reversed(names):
            await store.insert(PLAIN, thing(name))
        assert [each.id for each in await store.scan(PLAIN, after="")] == names[1:]

    async def test_ready_is_found_out_by_writing(self, store: DocStore) -> None:
        assert await store.ready()
        assert await store.ready()
        assert await store.scan(PLAIN) == []
        assert await store.pending() == []
