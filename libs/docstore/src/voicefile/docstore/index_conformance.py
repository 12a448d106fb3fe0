"""The law of indexes: what is found by a value, in which order, and what a unique one refuses.

An adapter's tests subclass DocStoreIndexConformance and say how a store is opened.
"""

import asyncio
from dataclasses import replace

import pytest

from voicefile.docstore.conformance import OTHER, TENANT, THINGS, thing
from voicefile.docstore.port import (
    DocStore,
    Document,
    DocumentExists,
    ForeignTenant,
    VersionConflict,
)
from voicefile.docstore.tenant import TenantCollection


class DocStoreIndexConformance:
    """What an index finds, and what a unique one refuses."""

    @pytest.fixture
    def store(self) -> DocStore:
        """Overridden by the adapter's tests: an empty store with COLLECTIONS."""
        raise NotImplementedError

    async def test_a_value_is_found_until_it_is_changed(self, store: DocStore) -> None:
        first = await store.insert(THINGS, thing("a", label="red"))
        await store.insert(THINGS, thing("b", label="red"))
        await store.insert(THINGS, thing("c"))
        await store.insert(THINGS, thing("d", label=None))
        assert [each.id for each in await store.find(THINGS, "label", "red")] == ["a", "b"]
        second = await store.replace(THINGS, replace(first, body={"label": "blue"}))
        assert [each.id for each in await store.find(THINGS, "label", "red")] == ["b"]
        assert await store.find(THINGS, "label", "blue") == [second]

    async def test_text_bytes_and_numbers_keep_apart(self, store: DocStore) -> None:
        values: dict[str, str | bytes | int] = {"text": "1", "bytes": b"1", "number": 1}
        for name, value in values.items():
            await store.insert(THINGS, thing(name, label=value, serial=value))
        await store.insert(THINGS, thing("truth", label=True))
        for name, value in values.items():
            assert [each.id for each in await store.find(THINGS, "label", value)] == [name]
        assert [each.id for each in await store.ranged(THINGS, "label", 0)] == ["number"]
        assert [each.id for each in await store.due(THINGS, "label", 2**62)] == ["number"]
        newest = await store.newest(THINGS, "label")
        assert newest is not None
        assert newest.id == "number"

    async def test_every_element_of_a_list_is_found(self, store: DocStore) -> None:
        stored = await store.insert(
            THINGS, thing("a", tags=[b"x", b"y", b"y"], parts=[{"id": "p"}, {}, {"id": "q"}])
        )
        assert await store.find(THINGS, "tag", b"y") == [stored]
        assert await store.find(THINGS, "part", "p") == [stored]
        changed = await store.replace(
            THINGS, replace(stored, body={"tags": [b"y"], "parts": [{"id": "q"}, {"id": "r"}]})
        )
        assert await store.find(THINGS, "tag", b"x") == []
        assert await store.find(THINGS, "part", "p") == []
        assert await store.find(THINGS, "part", "q") == [changed]
        assert await store.find(THINGS, "part", "r") == [changed]

    async def test_a_unique_value_has_one_document_in_all_tenants(self, store: DocStore) -> None:
        held = await store.insert(THINGS, thing("a", serial="s", parts=[{"id": "p"}]))
        other = await store.insert(THINGS, thing("b", tenant=OTHER, serial="t"))
        for body in ({"serial": "s"}, {"serial": "t", "parts": [{"id": "q"}, {"id": "p"}]}):
            with pytest.raises(DocumentExists):
                await store.insert(THINGS, Document("c", OTHER, body))
            with pytest.raises(DocumentExists):
                await store.replace(THINGS, replace(other, body=body))
        assert await store.get(THINGS, "b") == other
        assert await store.find(THINGS, "part", "q") == []
        freed = await store.replace(THINGS, replace(held, body={"serial": "u"}))
        await store.replace(THINGS, replace(other, body={"serial": "s"}))
        await store.delete(THINGS, freed)
        await store.insert(THINGS, thing("d", serial="u"))

    async def test_a_unique_value_is_won_once(self, store: DocStore) -> None:
        ended = await asyncio.gather(
            *(store.insert(THINGS, thing(str(each), serial=b"one")) for each in range(50)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Document) for each in ended) == 1
        assert sum(isinstance(each, DocumentExists) for each in ended) == 49
        assert len(await store.scan(THINGS)) == 1

    async def test_a_series_is_ordered_by_number(self, store: DocStore) -> None:
        for number in (5, -3, 2**63 - 1, 40, -(2**63)):
            await store.insert(THINGS, thing(f"n{number}", at=number))
            await store.insert(THINGS, thing(f"o{number}", tenant=OTHER, at=number - (number > 0)))
        ranged = await store.ranged(THINGS, "at", -3, tenant=TENANT, limit=3)
        assert [each.body["at"] for each in ranged] == [-3, 5, 40]
        due = await store.due(THINGS, "at", 40, limit=100)
        assert [each.body["at"] for each in due] == [-(2**63), -(2**63), -3, -3, 4, 5, 39, 40]
        assert len(await store.due(THINGS, "at", 40, limit=3)) == 3
        own = await store.due(THINGS, "at", 40, tenant=OTHER)
        assert [each.body["at"] for each in own] == [-(2**63), -3, 4, 39]
        later = await store.due(THINGS, "at", 40, start=5)
        assert [each.body["at"] for each in later] == [5, 39, 40]
        own_later = await store.due(THINGS, "at", 40, start=-3, tenant=OTHER, limit=2)
        assert [each.body["at"] for each in own_later] == [-3, 4]
        newest = await store.newest(THINGS, "at", tenant=OTHER)
        assert newest is not None
        assert newest.body["at"] == 2**63 - 2
        assert await store.newest(THINGS, "at", tenant="cc" * 16) is None

    async def test_a_tenant_sees_its_own_alone(self, store: DocStore) -> None:
        own, foreign = (TenantCollection(store, THINGS, each) for each in (TENANT, OTHER))
        stored = await own.insert(thing("a", label="l", at=1))
        assert await own.get("a") == stored
        assert await foreign.get("a") is None
        assert [await own.find("label", "l"), await own.scan()] == [[stored], [stored]]
        assert [await own.ranged("at", 0), await own.due("at", 9)] == [[stored], [stored]]
        assert [await foreign.find("label", "l"), await foreign.scan()] == [[], []]
        assert [await foreign.ranged("at", 0), await foreign.due("at", 9)] == [[], []]
        assert (await own.newest("at"), await foreign.newest("at")) == (stored, None)
        for write in (foreign.insert, foreign.replace, foreign.delete):
            with pytest.raises(ForeignTenant):
                await write(stored)
        with pytest.raises(ForeignTenant):
            await foreign.insert_many([stored])
        for attack in (foreign.replace, foreign.delete):
            with pytest.raises(VersionConflict):
                await attack(replace(stored, tenant=OTHER))
        assert await own.get("a") == stored
