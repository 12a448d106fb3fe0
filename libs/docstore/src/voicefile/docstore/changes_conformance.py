"""The law of changes: whoever follows a store from mark to mark has what the store has.

An adapter's tests subclass DocStoreChangesConformance and say how a store is opened.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from voicefile.docstore.conformance import NOTES, OTHER, PLAIN, TENANT, THINGS, event, thing
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    VALUES_MAX,
    Collection,
    DocStore,
    Document,
    DocumentExists,
    MarkUnknown,
    VersionConflict,
)
from voicefile.docstore.tenant import TenantCollection

MANY = 10_000
SEEDS = int(os.environ.get("VOICEFILE_CHANGES_SEEDS", "1"))
"""How many histories are tried; 100 before a release."""
NAMES = [f"d{number:02d}" for number in range(40)]


class Follower:
    """What somebody has of a collection who asks for what has changed, now and then."""

    def __init__(self, store: DocStore, collection: Collection) -> None:
        self._store = store
        self._collection = collection
        self._mark = ""
        self.held: dict[str, Document] = {}

    async def follow(self) -> None:
        """The mark first, then what there is: all of it, or what has changed since the last."""
        since, self._mark = self._mark, await self._store.mark()
        assert self._mark
        if not since:
            self.held = {each.id: each for each in await self._store.scan(self._collection)}
            return
        ids = await self._store.changed(self._collection, since, limit=MANY)
        assert ids == sorted(set(ids))
        found = {each.id: each for each in await self._store.get_many(self._collection, ids)}
        for name in ids:
            self.held.pop(name, None)
        self.held |= found


class DocStoreChangesConformance:
    """No change is lost, whoever writes beside; what is deleted is told of, too."""

    @pytest.fixture
    def store(self) -> DocStore:
        """Overridden by the adapter's tests: an empty store with COLLECTIONS."""
        raise NotImplementedError

    async def test_what_was_written_or_deleted_since_is_told(self, store: DocStore) -> None:
        kept = await store.insert(PLAIN, thing("kept"))
        gone = await store.insert(PLAIN, thing("gone"))
        first = await store.mark()
        await store.insert_many(PLAIN, [thing("new"), thing("newer")])
        await store.insert(THINGS, thing("elsewhere"))
        await store.replace(PLAIN, replace(kept, body={"n": 2}))
        await store.delete(PLAIN, gone)
        second = await store.mark()
        [newer] = await store.get_many(PLAIN, ["newer"])
        await store.replace_many(PLAIN, [newer])
        told = await store.changed(PLAIN, first, limit=MANY)
        assert told == ["gone", "kept", "new", "newer"]
        assert "newer" in await store.changed(PLAIN, second, limit=MANY)
        assert len(await store.changed(PLAIN, first, limit=2)) == 2

    async def test_several_are_got_by_their_ids_at_once(self, store: DocStore) -> None:
        await store.insert_many(PLAIN, [thing(name, label=name) for name in NAMES])
        gone = await store.get(PLAIN, NAMES[3])
        assert gone is not None
        await store.delete(PLAIN, gone)
        wanted = [NAMES[5], "missing", NAMES[3], NAMES[1], NAMES[5]]
        found = await store.get_many(PLAIN, wanted)
        assert [(each.id, each.version) for each in found] == [(NAMES[1], 1), (NAMES[5], 1)]
        assert await store.get_many(PLAIN, []) == []

    async def test_any_of_several_values_finds_each_document_once(self, store: DocStore) -> None:
        for name, parts in (("c", ["p", "q"]), ("a", ["r"]), ("b", ["s"]), ("d", [])):
            await store.insert(THINGS, thing(name, parts=[{"id": each} for each in parts]))
        foreign = await store.insert(THINGS, thing("0", tenant=OTHER, parts=[{"id": "x"}]))
        wanted = ["q", "p", "r", "missing", "x", "p"]
        found = await store.find_any(THINGS, "part", wanted)
        assert [each.id for each in found] == ["0", "a", "c"]
        assert [each.id for each in await store.find_any(THINGS, "part", wanted, limit=2)] == [
            "0",
            "a",
        ]
        own, others = (TenantCollection(store, THINGS, each) for each in (TENANT, OTHER))
        assert [each.id for each in await own.find_any("part", wanted)] == ["a", "c"]
        assert await others.find_any("part", wanted) == [foreign]
        assert [each.id for each in await own.get_many(["0", "b"])] == ["b"]
        assert await store.find_any(THINGS, "part", []) == []
        with pytest.raises(ValueError, match="more than"):
            await store.find_any(THINGS, "part", [str(n) for n in range(VALUES_MAX + 1)])

    async def test_a_mark_that_nobody_knows_answers_nothing(self, store: DocStore) -> None:
        await store.insert(PLAIN, thing("a"))
        for mark in ("", "a" * 32):
            with pytest.raises(MarkUnknown):
                await store.changed(PLAIN, mark, limit=MANY)
        with pytest.raises(ValueError, match="are not kept"):
            await store.changed(NOTES, await store.mark(), limit=MANY)

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_whoever_follows_has_what_the_store_has(self, store: DocStore, seed: int) -> None:
        chance = random.Random(seed)
        follower = Follower(store, THINGS)
        for _ in range(5):
            await _anything(store, chance, 20)
            await follower.follow()
            assert follower.held == {each.id: each for each in await store.scan(THINGS)}

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_nothing_is_lost_that_was_written_while_somebody_looked(
        self, store: DocStore, seed: int
    ) -> None:
        chance = random.Random(seed)
        follower = Follower(store, THINGS)
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(_anything(store, chance, 20))
                group.create_task(follower.follow())
        await follower.follow()
        assert follower.held == {each.id: each for each in await store.scan(THINGS)}


async def _anything(store: DocStore, chance: random.Random, count: int) -> None:
    for _ in range(count):
        with suppress(DocumentExists, VersionConflict):
            await chance.choice(_DEEDS)(store, chance)


async def _some(store: DocStore, chance: random.Random, count: int) -> Sequence[Document]:
    return await store.get_many(THINGS, chance.sample(NAMES, count))


async def _insert(store: DocStore, chance: random.Random) -> None:
    document = thing(chance.choice(NAMES), label=chance.choice("xyz"), at=chance.randrange(9))
    if chance.random() < 0.5:
        document = carrying(document, event(f"e{chance.random()}"))
    await store.insert(THINGS, document)


async def _replace(store: DocStore, chance: random.Random) -> None:
    for found in await _some(store, chance, 2):
        await store.replace(THINGS, replace(found, body={"label": chance.choice("xyz")}))


async def _replace_many(store: DocStore, chance: random.Random) -> None:
    found = await _some(store, chance, 5)
    await store.replace_many(THINGS, [replace(each, body={"n": 1}) for each in found])


async def _delete(store: DocStore, chance: random.Random) -> None:
    for found in await _some(store, chance, 2):
        await store.delete(THINGS, found)


async def _settle(store: DocStore, chance: random.Random) -> None:
    for collection, found in await store.pending(chance.randrange(4)):
        await store.settle(collection, found.id, {each.id for each in found.pending})


_DEEDS = (_insert, _insert, _replace, _replace_many, _delete, _settle)
