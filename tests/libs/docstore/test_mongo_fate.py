"""What is told of a write is what became of it, though answers get lost and requests come late."""

import asyncio
import random
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.libs.docstore.paper_mongo import Network, PaperRows, asking

from voicefile.docstore.mongo_fate import Fate, Outcome, Patience, Taken
from voicefile.docstore.mongo_row import Arrivals
from voicefile.docstore.mongo_swap import swap
from voicefile.docstore.mongo_table import MongoTable
from voicefile.docstore.mongo_together import Row, Together
from voicefile.docstore.pending import LEFTOVERS
from voicefile.docstore.port import (
    Collection,
    Document,
    DocumentExists,
    Index,
    PendingEvent,
    StoreBroken,
    StoreUnavailable,
    VersionConflict,
)

NOTES = Collection("notes", ephemeral=True)
THINGS = Collection("things", indexes=(Index("serial", "serial", unique=True),))
PATIENCE_S = 30.0


class Time:
    """Goes on by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wakes = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, wakes)


class Desk:
    """One collection, its leftovers, and what was told to those who changed it."""

    def __init__(self, seed: int = 0, **likely: float) -> None:
        self.chance = random.Random(seed)
        self.network = Network(self.chance, **likely)
        self.rows = PaperRows(self.network, unique=("values.serial",))
        self.left_rows = PaperRows(self.network)
        self.time = Time()
        patience = Patience(PATIENCE_S, self.time.now_s, self.time.sleep)
        arrivals = Arrivals()
        left = MongoTable(LEFTOVERS, self.left_rows, patience, arrivals=arrivals)
        self.table = MongoTable(THINGS, self.rows, patience, arrivals=arrivals, leftovers=left)
        self.deeds = 0
        self.told: dict[int, str] = {}
        self.done_by: dict[int, tuple[str, ...]] = {}

    def document(self, name: str, version: int = 0, **body: object) -> Document:
        event = PendingEvent(f"e{self.deeds}", "topic", "key", b"")
        return Document(name, "t", {"by": self.deeds, **body}, version, (event,))

    async def does(self, verb: str, name: str, version: int = 0, **body: object) -> object:
        self.deeds += 1
        deed = self.deeds
        asking.set(deed)
        document = self.document(name, version, **body)
        try:
            if verb == "insert":
                answer = await self.table.insert(self.table.prepare(document))
            elif verb == "replace":
                answer = await self.table.replace(self.table.prepare(document))
            else:
                answer = await self.table.delete(document)
        except (DocumentExists, VersionConflict, StoreUnavailable, StoreBroken) as error:
            self.told[deed] = type(error).__name__
            return error
        self.told[deed] = "done"
        return answer

    async def does_many(self, versions: dict[str, int]) -> None:
        """Replaces several in one call; each is a deed by itself."""
        wanted = []
        for name, version in versions.items():
            self.deeds += 1
            wanted.append(self.document(name, version))
        asking.set(self.deeds)
        deeds = [each.body["by"] for each in wanted]
        try:
            several = [self.table.prepare(each) for each in wanted]
            answers = await self.table.replace_many(several)
        except (StoreUnavailable, StoreBroken) as error:
            self.told |= dict.fromkeys(deeds, type(error).__name__)
            return
        for deed, answer in zip(deeds, answers, strict=True):
            told = "done" if isinstance(answer, Document) else type(answer).__name__
            self.told[deed] = told

    def check(self) -> None:
        """Done is done once; refused is never done, not even later; events are nowhere lost."""
        self.network.deliver(1_000_000)
        times = Counter(deed for deed, _ in self.rows.done)
        for deed, told in self.told.items():
            wrong = f"deed {deed} was told {told} and done {times[deed]} times"
            if told == "done":
                assert times[deed] == 1, wrong
            elif told == "StoreBroken":
                assert times[deed] <= 1, wrong
            else:
                assert times[deed] == 0, wrong
        kept = {
            event["id"]
            for rows in (self.rows, self.left_rows)
            for row in rows.rows.values()
            for event in row.get("pending", ())
        }
        caused = {f"e{deed}" for deed, verb in self.rows.done if verb != "delete"}
        assert caused <= kept

    def seen(self, name: str) -> int | None:
        """The version, as one sees it who needs no network."""
        row = self.rows.rows.get(name)
        return None if row is None or "gone" in row else row["version"]


async def somebody(desk: Desk, deeds: int) -> None:
    """One of several who change the same few documents."""
    for _ in range(deeds):
        await asyncio.sleep(0)
        name = desk.chance.choice("ab")
        seen = desk.seen(name)
        serial = {"serial": desk.chance.choice("xy")} if desk.chance.random() < 0.5 else {}
        other = "b" if name == "a" else "a"
        if seen is None:
            await desk.does("insert", name, **serial)
        elif desk.seen(other) is not None and desk.chance.random() < 0.4:
            await desk.does_many({name: seen, other: desk.seen(other)})
        elif desk.chance.random() < 0.4:
            await desk.does("delete", name, seen)
        else:
            await desk.does("replace", name, seen, **serial)
        if desk.chance.random() < 0.3:
            desk.network.deliver(desk.chance.randrange(3))


@pytest.mark.parametrize("seed", range(150))
async def test_what_is_told_is_what_was_done(seed: int) -> None:
    likely = random.Random(seed)
    desk = Desk(
        seed,
        lost=likely.uniform(0, 0.3),
        dropped=likely.uniform(0, 0.2),
        late=likely.uniform(0, 0.2),
        away=likely.uniform(0, 0.1),
    )
    await asyncio.gather(*(asyncio.create_task(somebody(desk, 25)) for _ in range(4)))
    desk.check()
    assert "done" in desk.told.values()


async def test_without_mishaps_nothing_is_ever_broken() -> None:
    desk = Desk(1)
    await asyncio.gather(*(asyncio.create_task(somebody(desk, 50)) for _ in range(4)))
    desk.check()
    assert "StoreBroken" not in desk.told.values()
    assert "StoreUnavailable" not in desk.told.values()


@pytest.mark.parametrize("seed", range(30))
async def test_who_is_alone_is_never_told_of_somebody_else(seed: int) -> None:
    desk = Desk(seed, lost=0.3, dropped=0.2)

    async def in_the_end(verb: str, version: int = 0) -> object:
        while True:
            told = await desk.does(verb, "a", version)
            if not isinstance(told, StoreUnavailable):  # it could not be read, at first
                return told

    for _ in range(20):
        assert isinstance(await in_the_end("insert"), Document)
        for version in range(1, 4):
            assert isinstance(await in_the_end("replace", version), Document)
        assert await in_the_end("delete", 4) is None
    desk.check()


@pytest.mark.parametrize("seed", range(40))
async def test_of_many_who_consume_one_document_one_wins(seed: int) -> None:
    desk = Desk(seed)
    await desk.does("insert", "a")
    network = desk.network
    network.lost, network.dropped, network.late, network.spares_reads = 0.3, 0.2, 0.1, True
    ended = await asyncio.gather(
        *(asyncio.create_task(desk.does("delete", "a", 1)) for _ in range(10))
    )
    desk.check()
    assert sum(each is None for each in ended) == 1
    assert all(each is None or isinstance(each, VersionConflict) for each in ended)


async def test_a_server_that_never_answers_again_breaks_the_store_within_the_limit() -> None:
    desk = Desk(0, lost=1.0)
    assert isinstance(await desk.does("insert", "a"), StoreBroken)
    assert desk.time.now < PATIENCE_S + 5
    desk.check()


async def test_a_server_that_is_away_is_said_to_be_and_nothing_is_stored() -> None:
    desk = Desk(0, away=1.0)
    assert isinstance(await desk.does("insert", "a"), StoreUnavailable)
    assert isinstance(await desk.does("replace", "a", 1), StoreUnavailable)
    assert isinstance(await desk.does("delete", "a", 1), StoreUnavailable)
    assert desk.time.now == 0
    desk.check()


async def test_more_changes_than_a_document_remembers_leave_a_lost_answer_open() -> None:
    desk = Desk(0)
    await desk.does("insert", "a")
    desk.network.lost, desk.network.spares_reads = 1.0, True
    pausing = asyncio.Event()
    going_on = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        pausing.set()
        await going_on.wait()

    patience = Patience(PATIENCE_S, desk.time.now_s, sleep)
    slow = MongoTable(THINGS, desk.rows, patience, arrivals=Arrivals())
    asking.set(77)
    document = replace(desk.document("a", 1), body={"by": 77})
    waiting = asyncio.create_task(slow.replace(slow.prepare(document)))
    await pausing.wait()
    desk.network.heal()
    for version in range(2, 12):
        assert isinstance(await desk.does("replace", "a", version), Document)
    going_on.set()
    with pytest.raises(StoreBroken):
        await waiting


async def test_a_document_remembers_its_insert_whatever_came_after() -> None:
    desk = Desk(0, lost=1.0)
    pausing, going_on = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        pausing.set()
        await going_on.wait()

    patience = Patience(PATIENCE_S, desk.time.now_s, sleep)
    slow = MongoTable(THINGS, desk.rows, patience, arrivals=Arrivals())
    inserting = asyncio.create_task(slow.insert(slow.prepare(desk.document("a"))))
    await pausing.wait()
    desk.network.heal()
    for version in range(1, 12):
        assert isinstance(await desk.does("replace", "a", version), Document)
    going_on.set()
    assert (await inserting).version == 1


async def test_a_read_that_lags_behind_decides_nothing() -> None:
    desk = Desk(0)
    await desk.does("insert", "a")
    stale = deepcopy(desk.rows.rows)
    desk.network.lost, desk.network.spares_reads = 1.0, True
    looked: list[int] = []

    async def lagging(query: dict[str, object], **_options: object) -> list[dict[str, object]]:
        looked.append(1)
        return [deepcopy((stale if len(looked) < 4 else desk.rows.rows)["a"])]

    async def healed(seconds: float) -> None:
        desk.network.heal()
        await desk.time.sleep(seconds)

    behind = SimpleNamespace(find=lagging, update_one=desk.rows.update_one)
    asking.set(2)
    seen = deepcopy(desk.rows.rows["a"])
    fate = Fate(Patience(PATIENCE_S, desk.time.now_s, healed))
    assert await swap(behind, seen, {"$set": {"version": 2}}, b"mine", fate)
    assert len(looked) == 4


async def test_an_insert_that_comes_late_finds_its_place_closed() -> None:
    desk = Desk(0)
    await desk.does("insert", "a", serial="x")
    desk.network.late = 1.0
    inserting = asyncio.create_task(desk.does("insert", "b", serial="x"))
    while not desk.network.waiting:
        await asyncio.sleep(0)
    desk.network.heal()
    assert isinstance(await inserting, DocumentExists)
    assert await desk.does("delete", "a", 1) is None
    desk.check()
    assert desk.seen("b") is None
    assert isinstance(await desk.does("insert", "b", serial="x"), Document)


async def test_of_several_some_stored_and_some_unsure_all_are_found_out() -> None:
    desk = Desk(0)
    await desk.does("insert", "b")
    asking.set(0)
    documents = [replace(desk.document(name), body={"by": at}) for at, name in enumerate("abc", 10)]
    several = [desk.table.prepare(each) for each in documents]
    desk.network.lost = 1.0
    storing = asyncio.create_task(desk.table.insert_many(several))
    while len(desk.rows.rows) < 3:
        await asyncio.sleep(0)
    desk.network.heal()
    with pytest.raises(DocumentExists):
        await storing
    assert sorted(deed for deed, _ in desk.rows.done) == [1, 10, 12]


class SettledAtOnce(PaperRows):
    """What is stored and found taken is settled, and so gone, before anybody looks."""

    async def insert_many(self, rows: list[Row]) -> list[Outcome]:
        outcomes = await super().insert_many(rows)
        if any(isinstance(each, Taken) for each in outcomes):
            self.rows.clear()
        return outcomes


async def test_an_insert_that_was_settled_before_its_second_attempt_looked_is_done() -> None:
    time, network = Time(), Network(random.Random(0), lost=1.0)
    rows = SettledAtOnce(network)
    patience = Patience(PATIENCE_S, time.now_s, time.sleep)
    table = MongoTable(NOTES, rows, patience, arrivals=Arrivals())
    event = PendingEvent("e", "topic", "key", b"")
    storing = asyncio.create_task(table.insert(table.prepare(Document("n", "t", {}, 0, (event,)))))
    while not rows.rows:
        await asyncio.sleep(0)
    network.heal()
    assert (await storing).version == 1
    assert rows.rows == {}


async def test_side_by_side_all_share_a_command_and_a_cancelled_one_harms_nobody() -> None:
    batches: list[int] = []
    open_door = asyncio.Event()

    async def send(rows: list[dict[str, object]]) -> list[None]:
        batches.append(len(rows))
        await open_door.wait()
        return [None] * len(rows)

    inserts = Together(send)
    waiting = [asyncio.create_task(inserts.ask([{"body": b""}])) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[7].cancel()
    await asyncio.sleep(0)
    open_door.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(each == [None] for each in ended) == 48
    assert sum(batches) == 50
    assert len(batches) <= 2


async def test_a_mistake_in_sending_reaches_all_who_wait_and_nobody_after() -> None:
    async def send(rows: list[dict[str, object]]) -> list[None]:
        await asyncio.sleep(0)
        if any(row["body"] == b"bad" for row in rows):
            raise TypeError
        return [None] * len(rows)

    inserts = Together(send)
    ended = await asyncio.gather(
        inserts.ask([{"body": b"bad"}]), inserts.ask([{"body": b""}]), return_exceptions=True
    )
    assert all(isinstance(each, TypeError) for each in ended)
    assert await inserts.ask([{"body": b""}]) == [None]


async def test_patience_ends() -> None:
    time = Time()
    fate = Fate(Patience(1.0, time.now_s, time.sleep))
    fate.doubtful = True

    async def wait_for_ever() -> None:
        while True:
            await fate.pause()

    with pytest.raises(StoreBroken):
        await wait_for_ever()
    assert 1.0 < time.now < 3.0
