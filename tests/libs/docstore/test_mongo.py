"""What MongoDB adds to the law: several instances, declared indexes, certificates, what it sees."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo import errors
from tests.engines import running
from tests.engines.certificates import certificate
from tests.libs.docstore.mongo_places import Place, shared_place

from voicefile.docstore.changes_conformance import Follower
from voicefile.docstore.lease import LEASES, Lease
from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.mongo_changes import OVERLAP_S, TAKEN_OVER_S
from voicefile.docstore.mongo_driver import Limits, told
from voicefile.docstore.mongo_fate import NotDone, Taken, Unanswered
from voicefile.docstore.mongo_schema import FORMAT
from voicefile.docstore.mongo_table import BYTES_MAX, GRAVE_S
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    MARK_S,
    Collection,
    Document,
    DocumentExists,
    Index,
    MarkUnknown,
    PendingEvent,
    StoreBroken,
    StoreIsNewer,
    StoreUnavailable,
    VersionConflict,
)

LABEL = Index("label", "label")
SERIAL = Index("serial", "serial", unique=True)
AT = Index("at", "at")
THINGS = Collection("things", indexes=(LABEL, SERIAL, AT))
NOTES = Collection("notes", ephemeral=True)


def thing(name: str, **body: object) -> Document:
    return Document(name, "t", body)


def event(name: str) -> PendingEvent:
    return PendingEvent(name, "topic.v1", "key", b"payload")


@pytest.fixture
def place() -> Iterator[Place]:
    with shared_place() as place:
        yield place


@pytest.fixture
def behind(place: Place) -> Iterator[Any]:
    """What the server itself holds."""
    with place.driver() as client:
        yield client[place.database]


@asynccontextmanager
async def opened(
    place: Place, *collections: Collection, **options: Any
) -> AsyncIterator[MongoDocStore]:
    kept = collections or (THINGS, NOTES, LEASES)
    options = {"tls_ca": place.ca, **options}
    store = await MongoDocStore.open(place.uri, place.database, kept, **options)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[MongoDocStore]:
    async with opened(place) as store:
        yield store


# ---- what the server sees ----


async def test_the_server_sees_no_body_but_what_indexes_see(
    store: MongoDocStore, behind: Any
) -> None:
    await store.insert(THINGS, thing("a", label="l", at=7, secret="s3cr3t-word"))
    [row] = behind["things"].find()
    assert b"s3cr3t-word" in row.pop("body")
    assert row["values"] == {"label": "l", "at": 7}
    assert "s3cr3t-word" not in repr(row)


async def test_of_a_deleted_document_only_its_id_stays_and_not_for_long(
    store: MongoDocStore, place: Place, behind: Any
) -> None:
    stored = await store.insert(THINGS, carrying(thing("a", label="l", serial="s"), event("e")))
    await store.delete(THINGS, stored)
    [grave] = behind["things"].find()
    assert grave.keys() == {"_id", "gone", "changed", "revision", "lives", "origin", "writes"}
    table = store._tables["things"]
    await table.remove_graves()
    assert behind["things"].count_documents({}) == 1
    long_ago = grave["gone"] - round(GRAVE_S * 1000) - 1
    behind["things"].update_one({}, {"$set": {"gone": long_ago}})
    async with opened(place):
        assert behind["things"].count_documents({}) == 0


async def test_a_grave_is_no_document_to_anybody(store: MongoDocStore) -> None:
    await store.delete(THINGS, await store.insert(THINGS, thing("a", label="l", at=1)))
    assert await store.get(THINGS, "a") is None
    assert await store.scan(THINGS) == await store.scan(THINGS, tenant="t") == []
    assert await store.find(THINGS, "label", "l") == await store.due(THINGS, "at", 9) == []
    await store.settle(THINGS, "a", {"e"})
    for write in (store.replace, store.delete):
        with pytest.raises(VersionConflict):
            await write(THINGS, replace(thing("a"), version=1))
    again = await store.insert(THINGS, carrying(thing("a", label="m"), event("e2")))
    assert await store.find(THINGS, "label", "m") == [again]
    assert await store.pending() == [(THINGS, again)]
    await store.delete(THINGS, again)
    await store.insert_many(THINGS, [thing("a", label="n"), thing("b")])
    assert len(await store.scan(THINGS)) == 2


async def test_a_changed_note_leaves_a_grave_and_others_leave_nothing(
    store: MongoDocStore, behind: Any
) -> None:
    await store.insert(NOTES, carrying(thing("plain"), event("e1")))
    changed = await store.insert(NOTES, carrying(thing("changed"), event("e2"), event("e3")))
    await store.replace(NOTES, changed)
    await store.settle(NOTES, "plain", {"e1"})
    await store.settle(NOTES, "changed", {"e2"})
    await store.settle(NOTES, "changed", {"e3", "unknown"})
    assert await store.scan(NOTES) == await store.pending() == []
    assert [row["_id"] for row in behind["notes"].find()] == ["changed"]


async def test_a_silent_collection_is_not_asked_for_events(
    store: MongoDocStore, behind: Any
) -> None:
    # Planted behind the store's back: it says only who was asked.
    for name in (THINGS.name, LEASES.name):
        row = {"tenant": "t", "version": 1, "body": b"\x80", "revision": 1, "lives": 1}
        event = {"id": "e1", "topic": "topic.v1", "key": "key", "payload": b""}
        behind[name].insert_one({"_id": "a", **row, "pending": [event], "since": 1})
    assert [collection for collection, _ in await store.pending()] == [THINGS]


async def test_who_died_while_settling_leaves_nothing_that_waits_for_ever(
    store: MongoDocStore, behind: Any
) -> None:
    for collection in (THINGS, NOTES):
        await store.insert(collection, carrying(thing("a"), event("e1")))
        behind[collection.name].update_one({}, {"$set": {"pending": []}})
    assert await store.pending() == []
    assert behind["things"].find_one({}, {"since": 1, "pending": 1}) == {"_id": "a"}
    assert behind["notes"].count_documents({}) == 0


# ---- several instances ----


async def test_instances_that_share_a_store_see_each_other_at_once(
    store: MongoDocStore, place: Place
) -> None:
    async with opened(place) as other:
        stored = await store.insert(THINGS, carrying(thing("a", label="l"), event("e1")))
        assert await other.get(THINGS, "a") == stored
        assert await other.find(THINGS, "label", "l") == [stored]
        assert await other.pending() == [(THINGS, stored)]
        rivals = [each.replace(THINGS, stored) for each in (store, other) * 10]
        ended = await asyncio.gather(*rivals, return_exceptions=True)
        assert sum(isinstance(each, Document) for each in ended) == 1
        assert sum(isinstance(each, VersionConflict) for each in ended) == 19


async def test_many_may_open_a_new_store_at_once(place: Place) -> None:
    async with AsyncExitStack() as stack:
        stores = await asyncio.gather(*(stack.enter_async_context(opened(place)) for _ in range(3)))
        await stores[0].insert(THINGS, thing("a", serial="s"))
        with pytest.raises(DocumentExists):
            await stores[1].insert(THINGS, thing("b", serial="s"))


async def test_of_two_instances_one_leads_and_the_other_follows_it(place: Place) -> None:
    leading: list[str] = []

    def work(name: str) -> Any:
        @asynccontextmanager
        async def entered() -> AsyncIterator[None]:
            leading.append(name)
            yield
            leading.remove(name)

        return entered

    async with opened(place) as one, opened(place) as other, asyncio.timeout(30):
        first = asyncio.create_task(Lease(one, "relay", ttl_s=1.5).while_leading(work("one")))
        while leading != ["one"]:
            await asyncio.sleep(0.02)
        second = asyncio.create_task(Lease(other, "relay", ttl_s=1.5).while_leading(work("other")))
        await asyncio.sleep(1.0)
        assert len(leading) <= 1
        first.cancel()
        while leading != ["other"]:
            await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


# ---- declared indexes ----


async def test_a_new_index_is_filled_with_what_is_stored(place: Place) -> None:
    async with opened(place, Collection("things")) as store:
        plain = Collection("things")
        await store.insert(plain, thing("a", label="l", at=3))
        await store.delete(plain, await store.insert(plain, thing("gone", label="l")))
    async with opened(place, THINGS) as store:
        assert [each.id for each in await store.find(THINGS, "label", "l")] == ["a"]
        assert [each.id for each in await store.ranged(THINGS, "at", 0)] == ["a"]
        assert await store.scan(THINGS) == [replace(thing("a", label="l", at=3), version=1)]


async def test_an_index_that_was_away_does_not_come_back_stale(place: Place, behind: Any) -> None:
    less = Collection("things", indexes=(SERIAL,))
    async with opened(place, THINGS) as store:
        stored = await store.insert(THINGS, thing("a", label="old"))
    async with opened(place, less) as store:
        await store.replace(less, replace(stored, body={"label": "new"}))
        assert "all/label" not in behind["things"].index_information()
        with pytest.raises(ValueError, match="declares no index"):
            await store.find(less, "label", "new")
    async with opened(place, THINGS) as store:
        assert await store.find(THINGS, "label", "old") == []
        assert len(await store.find(THINGS, "label", "new")) == 1


async def test_what_older_code_writes_beside_us_is_taken_up(place: Place) -> None:
    less = Collection("things", indexes=(LABEL,))
    async with opened(place, less) as old, opened(place, THINGS) as new:
        await old.insert(less, thing("a", at=5))
        assert await new.due(THINGS, "at", 9) == []
        await new._tables["things"].mend()
        assert [each.id for each in await new.due(THINGS, "at", 9)] == ["a"]


async def test_values_that_stand_twice_refuse_to_become_unique(place: Place) -> None:
    plain = Collection("things", indexes=(Index("serial", "serial"),))
    async with opened(place, plain) as store:
        await store.insert_many(plain, [thing("a", serial="s"), thing("b", serial="s")])
    with pytest.raises(DocumentExists):
        async with opened(place, THINGS):
            pass


async def test_a_store_newer_than_the_code_is_left_alone(place: Place, behind: Any) -> None:
    async with opened(place):
        behind["_store"].update_one({"_id": "format"}, {"$set": {"number": FORMAT + 1}})
    with pytest.raises(StoreIsNewer):
        async with opened(place):
            pass


async def test_each_question_has_its_index(store: MongoDocStore, behind: Any) -> None:
    held = {
        name: (tuple(key for key, _ in each["key"]), each.get("unique", False))
        for name, each in behind["things"].index_information().items()
    }
    assert held["own/label"] == (("tenant", "values.label", "_id"), False)
    assert held["all/at"] == (("values.at", "_id"), False)
    assert held["one/serial"] == (("values.serial",), True)
    assert held["tenant"] == (("tenant", "_id"), False)
    assert {"waiting", "graves", "shape"} <= held.keys()


# ---- callers' mistakes ----


@pytest.mark.parametrize("name", ["Things", "a-b", "", "a.b", "_store"])
async def test_names_are_checked_before_anything_is_asked(name: str) -> None:
    nowhere = Place("mongodb://127.0.0.1:1/", "nowhere", Path("/nonexistent"))
    for collection in (Collection(name), Collection("good", indexes=(Index(name, "x"),))):
        with pytest.raises(ValueError, match="does not name"):
            async with opened(nowhere, collection, tls_ca=None):
                pass


async def test_a_collection_is_used_as_it_was_declared(store: MongoDocStore) -> None:
    for other in (Collection("things"), Collection("unknown")):
        with pytest.raises(ValueError, match="was not declared so"):
            await store.get(other, "a")
    with pytest.raises(ValueError, match="declared twice"):
        async with opened(
            Place("mongodb://127.0.0.1:1/", "x", Path()), THINGS, THINGS, tls_ca=None
        ):
            pass


async def test_what_cannot_be_stored_is_its_callers_error_and_nobody_elses(
    store: MongoDocStore,
) -> None:
    bad = [
        thing("large", filling=secrets.token_bytes(BYTES_MAX)),
        thing("wide", label="x" * BYTES_MAX),
        thing("\ud800"),
        thing("number", label=2**64 - 1),
        replace(thing("event"), pending=(PendingEvent("e", "t", "k", None),)),
    ]
    for document in bad:
        ended = await asyncio.gather(
            store.insert(THINGS, thing(secrets.token_hex(4))),
            store.insert(THINGS, document),
            store.insert_many(THINGS, [thing(secrets.token_hex(4))]),
            return_exceptions=True,
        )
        assert isinstance(ended[1], ValueError | OverflowError)
        assert isinstance(ended[0], Document)
        assert ended[2] is None


async def test_nothing_is_done_after_closing(place: Place) -> None:
    async with opened(place) as store:
        writing = [asyncio.create_task(store.insert(THINGS, thing(str(n)))) for n in range(30)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*writing)
    with pytest.raises(StoreBroken):
        await store.insert(THINGS, thing("a"))
    with pytest.raises(StoreBroken):
        await store.get(THINGS, "a")
    assert not await store.ready()
    async with opened(place) as again:
        assert len(await again.scan(THINGS)) == 30


async def test_few_connections_serve_many_callers(place: Place) -> None:
    async with opened(place, limits=Limits(connections=2)) as store:
        await asyncio.gather(*(store.insert(THINGS, thing(str(n), at=n)) for n in range(40)))
        found = await asyncio.gather(*(store.get(THINGS, str(n)) for n in range(40)))
        assert all(found)


async def test_more_callers_than_there_is_room_for_are_told_so(place: Place) -> None:
    async with opened(place, limits=Limits(connections=1, room_s=0.3)) as store:
        door = store._door
        stuck = asyncio.Event()
        holding = asyncio.create_task(door.call(stuck.wait))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await store.get(THINGS, "a")
        with pytest.raises(StoreUnavailable):
            await store.insert(THINGS, thing("a"))
        stuck.set()
        await holding


async def test_a_caller_who_leaves_keeps_its_room_until_the_thread_is_free(place: Place) -> None:
    async with opened(place, limits=Limits(connections=1, room_s=0.3)) as store:
        thread_ends = asyncio.Event()
        leaving = asyncio.create_task(store._door.call(thread_ends.wait))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        with pytest.raises(StoreUnavailable):
            await store.get(THINGS, "a")
        thread_ends.set()
        assert await store.get(THINGS, "a") is None


# ---- certificates and errors ----


async def test_the_server_has_to_prove_itself(place: Place, tmp_path: Path) -> None:
    certificate(tmp_path, "another")
    with pytest.raises(StoreUnavailable) as raised:
        async with opened(place, tls_ca=tmp_path / "ca.pem", limits=Limits(choose_s=1.0)):
            pass
    assert place.uri.split("@")[0].rpartition(":")[2] not in str(raised.value)


async def test_an_address_cannot_ask_for_plaintext(place: Place) -> None:
    plain = replace(place, uri=place.uri.replace("tls=true", "tls=false"))
    async with opened(plain) as store:
        assert await store.ready()


async def test_a_client_certificate_is_brought_along(place: Place) -> None:
    own = certificate(running.certificates(), "operator")
    async with opened(place, tls_certificate=own) as store:
        assert await store.ready()


async def test_a_wrong_password_is_a_store_out_of_reach(place: Place) -> None:
    secret = place.uri.split("@")[0].rpartition(":")[2]
    wrong = replace(place, uri=place.uri.replace(secret, "wr0ng-password"))
    with pytest.raises(StoreUnavailable) as raised:
        async with opened(wrong):
            pass
    assert "wr0ng" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.ServerSelectionTimeoutError("x"), NotDone),
        (errors.WaitQueueTimeoutError("x"), NotDone),
        (errors.NotPrimaryError("x", {"code": 10107}), NotDone),
        (errors.NotPrimaryError("x", {"code": 189}), Unanswered),
        (errors.NotPrimaryError("x"), Unanswered),
        (errors.NetworkTimeout("x"), Unanswered),
        (errors.AutoReconnect("x"), Unanswered),
        (errors.ExecutionTimeout("x", 50), Unanswered),
        (errors.WTimeoutError("x", 64), Unanswered),
        (errors.WriteConcernError("x", 91), Unanswered),
        (errors.OperationFailure("x"), Unanswered),
        (errors.OperationFailure("x", 13), NotDone),
        (errors.OperationFailure("x", 14031), NotDone),
        (errors.OperationFailure("x", 11602), Unanswered),
        (errors.DuplicateKeyError("x", 11000), Taken),
        (errors.InvalidOperation("x"), errors.InvalidOperation),
    ],
)
def test_each_error_says_what_was_done(error: errors.PyMongoError, said: type) -> None:
    assert type(told(error)) is said


# ---- what has changed ----


async def test_two_who_write_lose_nothing_to_one_who_follows(
    store: MongoDocStore, place: Place
) -> None:
    async with opened(place) as other:
        follower = Follower(store, THINGS)
        await store.insert_many(THINGS, [thing(f"a{n}") for n in range(10)])
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                for each in (store, other):
                    group.create_task(_replace_all(each))
                group.create_task(follower.follow())
        await follower.follow()
        assert follower.held == {each.id: each for each in await store.scan(THINGS)}


async def _replace_all(store: MongoDocStore) -> None:
    for found in await store.scan(THINGS):
        with suppress(VersionConflict):
            await store.replace(THINGS, found)


async def test_a_mark_lies_before_the_time_at_which_it_was_made(
    store: MongoDocStore, behind: Any
) -> None:
    """What had its time and could not be seen yet is told of after it."""
    mark = await store.mark()
    [noted] = behind["_store"].find({"_id": f"mark/{mark}"})
    assert noted["at"].time - noted["since"].time == OVERLAP_S
    late = {"changed": Timestamp(noted["at"].time - OVERLAP_S // 2, 1)}
    await store.insert(THINGS, thing("late"))
    behind["things"].update_one({"_id": "late"}, {"$set": late})
    assert await store.changed(THINGS, mark, limit=9) == ["late"]
    long_ago = {"changed": Timestamp(noted["since"].time, 0)}
    behind["things"].update_one({"_id": "late"}, {"$set": long_ago})
    assert await store.changed(THINGS, mark, limit=9) == []


async def test_what_is_gone_stays_as_long_as_a_mark_asks_for_it(
    store: MongoDocStore, place: Place, behind: Any
) -> None:
    mark = await store.mark()
    await store.delete(THINGS, await store.insert(THINGS, thing("a")))
    long_ago = behind["things"].find_one()["gone"] - round(GRAVE_S * 1000) - 1
    behind["things"].update_one({}, {"$set": {"gone": long_ago}})
    async with opened(place):
        assert await store.changed(THINGS, mark, limit=9) == ["a"]
    behind["_store"].update_one({"_id": f"mark/{mark}"}, {"$inc": {"made_at_ms": -MARK_S * 1000}})
    async with opened(place):
        assert behind["things"].count_documents({}) == 0
    with pytest.raises(MarkUnknown):
        await store.changed(THINGS, mark, limit=9)


async def test_no_mark_is_made_while_older_code_may_still_write(
    store: MongoDocStore, behind: Any
) -> None:
    """A database of older code was taken over: for a day what is written may have no time."""
    behind["_store"].update_one({"_id": "format"}, {"$unset": {"born": ""}})
    assert await store.mark() == ""
    day_ms = TAKEN_OVER_S * 1000
    behind["_store"].update_one({"_id": "changes"}, {"$inc": {"begun_at_ms": -day_ms}})
    assert await store.mark() != ""
