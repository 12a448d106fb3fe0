"""What SQLite adds to the law: files, growth, declared indexes, disks that refuse."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from voicefile.docstore.pending import LEFTOVERS
from voicefile.docstore.port import (
    INT_MAX,
    INT_MIN,
    MARK_S,
    Collection,
    Document,
    Index,
    MarkUnknown,
    PendingEvent,
    StoreBroken,
    StoreIsNewer,
    VersionConflict,
)
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.docstore.sqlite_changes import Changes, changed_ids
from voicefile.docstore.sqlite_schema import (
    LOG_BYTES_MAX,
    connect_reader,
    connect_writer,
    create_file,
    prepare_schema,
)
from voicefile.docstore.sqlite_table import Table
from voicefile.docstore.sqlite_writer import Writer

LABEL = Index("label", "label")
SERIAL = Index("serial", "serial", unique=True)
AT = Index("at", "at")
THINGS = Collection("things", indexes=(LABEL, SERIAL, AT))


def thing(name: str, **body: object) -> Document:
    return Document(name, "t", body)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def size(path: Path) -> int:
    return path.stat().st_size


def raw(path: Path) -> bytes:
    return path.read_bytes()


def leave(path: Path, content: bytes) -> None:
    """A file that stood there before, open to everybody."""
    path.parent.mkdir()
    path.touch(0o644)
    path.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents" / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteDocStore]:
    store = await SqliteDocStore.open(path, [THINGS])
    yield store
    await store.close()


async def test_nobody_else_may_read_the_files(store: SqliteDocStore, path: Path) -> None:
    await store.insert(THINGS, thing("a"))
    await store.get(THINGS, "a")
    files = list(path.parent.iterdir())
    assert len(files) == 3
    assert {mode(file) for file in files} == {0o600}
    assert mode(path.parent) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    leave(path, b"")
    store = await SqliteDocStore.open(path, [THINGS])
    await store.close()
    assert mode(path) == 0o600


async def test_closing_leaves_one_file_that_holds_everything(path: Path) -> None:
    store = await SqliteDocStore.open(path, [THINGS])
    writes = [store.insert(THINGS, thing(str(each), label="l")) for each in range(600)]
    await asyncio.gather(*writes)
    await store.close()
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]
    again = await SqliteDocStore.open(path, [THINGS])
    assert len(await again.find(THINGS, "label", "l", limit=1000)) == 600
    await again.close()


async def test_nothing_is_done_after_closing(path: Path) -> None:
    store = await SqliteDocStore.open(path, [THINGS])
    await store.close()
    await store.close()
    with pytest.raises(StoreBroken):
        await store.insert(THINGS, thing("a"))
    with pytest.raises(StoreBroken):
        await store.get(THINGS, "a")
    assert not await store.ready()


async def test_what_was_deleted_is_overwritten(path: Path) -> None:
    canary = os.urandom(32)
    store = await SqliteDocStore.open(path, [THINGS])
    kept = await store.insert(THINGS, thing("kept", label=canary.hex(), filling=canary * 200))
    gone = await store.insert(THINGS, thing("gone", serial=canary, filling=canary * 200))
    await store.replace(THINGS, Document("kept", "t", {}, version=kept.version))
    await store.delete(THINGS, gone)
    await store.close()
    assert canary not in raw(path)
    assert canary.hex().encode() not in raw(path)


async def test_an_index_declared_later_finds_what_was_there_before(path: Path) -> None:
    plain = Collection("things")
    store = await SqliteDocStore.open(path, [plain])
    await store.insert(plain, thing("a", label="l", colour="n"))
    await store.close()
    store = await SqliteDocStore.open(path, [THINGS])
    assert [each.id for each in await store.find(THINGS, "label", "l")] == ["a"]
    await store.close()
    moved = Collection("things", indexes=(Index("label", "colour"),))
    store = await SqliteDocStore.open(path, [moved])
    assert await store.find(moved, "label", "l") == []
    assert [each.id for each in await store.find(moved, "label", "n")] == ["a"]
    await store.close()


async def test_an_index_that_slept_does_not_come_back_stale(path: Path) -> None:
    plain = Collection("things")
    for collection, label in ((THINGS, "old"), (plain, "new")):
        store = await SqliteDocStore.open(path, [collection])
        stored = await store.get(collection, "a")
        if stored is None:
            await store.insert(collection, thing("a", label=label))
        else:
            await store.replace(collection, Document("a", "t", {"label": label}, stored.version))
        await store.close()
    store = await SqliteDocStore.open(path, [THINGS])
    assert await store.find(THINGS, "label", "old") == []
    assert [each.id for each in await store.find(THINGS, "label", "new")] == ["a"]
    await store.close()


async def test_newer_files_are_left_alone(path: Path) -> None:
    await (await SqliteDocStore.open(path, [THINGS])).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = raw(path)
    with pytest.raises(StoreIsNewer):
        await SqliteDocStore.open(path, [THINGS])
    assert raw(path) == before


async def test_what_is_no_database_is_refused(path: Path) -> None:
    leave(path, b"no database at all, but long enough to look at" * 100)
    with pytest.raises(StoreBroken):
        await SqliteDocStore.open(path, [THINGS])


def test_every_commit_is_synced_and_what_is_deleted_overwritten(tmp_path: Path) -> None:
    db = connect_writer(tmp_path / "store.db")
    names = ("journal_mode", "synchronous", "secure_delete")
    values = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    db.close()
    assert values == ["wal", 2, 1]


async def test_a_place_that_takes_no_file_is_refused(tmp_path: Path) -> None:
    leave(tmp_path / "documents" / "file", b"no directory")
    with pytest.raises(StoreBroken):
        await SqliteDocStore.open(tmp_path / "documents" / "file" / "store.db", [THINGS])


@pytest.mark.parametrize(
    "document",
    [
        Document("a", "t", {"label": "\ud800"}),
        Document("\ud800", "t", {}),
        Document("a", "\ud800", {}),
        Document("a", "t", {"label": 2**63}),
        Document("a", "t", {"number": 2**64}),
        Document("a", "t", {"object": object()}),
        Document("a", "t", {1: "key"}),
    ],
)
async def test_values_that_cannot_be_stored_harm_their_writer_alone(
    store: SqliteDocStore, document: Document
) -> None:
    with pytest.raises((ValueError, OverflowError, TypeError)):
        await store.insert(THINGS, document)
    assert await store.ready()
    assert await store.scan(THINGS) == []


@pytest.mark.parametrize("value", ["\ud800", 2**63])
async def test_questions_that_cannot_be_asked_harm_nobody_else(
    store: SqliteDocStore, value: str | int
) -> None:
    with pytest.raises((ValueError, OverflowError)):
        await store.find(THINGS, "label", value)
    assert await store.ready()


@pytest.mark.parametrize(
    "event",
    [
        PendingEvent("\ud800", "t", "k", b""),
        PendingEvent("e", "t", "\ud800", b""),
        PendingEvent("e", "t", "k", object()),  # type: ignore[arg-type]
        PendingEvent("e", "t", "k", "a text"),  # type: ignore[arg-type]
        PendingEvent(1, "t", "k", b""),  # type: ignore[arg-type]
    ],
)
async def test_an_event_that_cannot_be_stored_is_its_callers_error(
    store: SqliteDocStore, event: PendingEvent
) -> None:
    fine = await store.insert(THINGS, thing("fine"))
    for attempt in (
        store.insert(THINGS, Document("b", "t", {}, pending=(event,))),
        store.insert_many(THINGS, [Document("b", "t", {}, pending=(event,))]),
        store.replace(THINGS, Document("fine", "t", {}, fine.version, (event,))),
    ):
        with pytest.raises(ValueError, match=r"event|encode"):
            await attempt
    await store.insert(THINGS, thing("still writing"))
    assert await store.get(THINGS, "fine") == fine
    assert await store.pending() == []


async def test_an_id_that_cannot_be_looked_up_is_its_callers_error(store: SqliteDocStore) -> None:
    with pytest.raises(ValueError, match="encode"):
        await store.delete(THINGS, thing("\ud800"))
    with pytest.raises(ValueError, match="encode"):
        await store.settle(THINGS, "\ud800", {"e"})
    assert await store.ready()


async def test_only_declared_collections_and_indexes_exist(store: SqliteDocStore) -> None:
    with pytest.raises(ValueError, match="other"):
        await store.get(Collection("other"), "a")
    with pytest.raises(ValueError, match="things"):
        await store.get(Collection("things"), "a")
    with pytest.raises(ValueError, match="colour"):
        await store.find(THINGS, "colour", "red")


@pytest.mark.parametrize("name", ['x"; DROP TABLE pending; --', "", "Things", "a/b"])
async def test_names_are_names(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="does not name"):
        await SqliteDocStore.open(path, [Collection(name)])
    with pytest.raises(ValueError, match="does not name"):
        await SqliteDocStore.open(path, [Collection("a", indexes=(Index(name, "x"),))])


async def test_a_caller_who_left_does_not_disturb_the_others(store: SqliteDocStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        writes = [tasks.create_task(store.insert(THINGS, thing(str(n)))) for n in range(50)]
        await asyncio.sleep(0)
        for write in writes[::2]:
            write.cancel()
    for write in writes[1::2]:
        assert write.result().version == 1
    assert await store.ready()


def _statements(path: Path, ask: Callable[[sqlite3.Connection, Table], object]) -> list[str]:
    """The plans of every statement that `ask` runs."""
    table = Table(THINGS, Table(Collection("leftovers", ephemeral=True)))
    writer = connect_writer(path)
    prepare_schema(writer, [table], Changes())
    ran: list[str] = []
    writer.set_trace_callback(ran.append)
    ask(writer, table)
    writer.set_trace_callback(None)
    plans = []
    for statement in ran:
        plans += [row[3] for row in writer.execute(f"EXPLAIN QUERY PLAN {statement}")]
    writer.close()
    return plans


READS: list[Callable[[sqlite3.Connection, Table], object]] = [
    lambda db, table: table.get(db, "a"),
    lambda db, table: table.scan(db, None, "a", 10),
    lambda db, table: table.scan(db, "t", "a", 10),
    *(
        lambda db, table, index=index, tenant=tenant, read=read: read(db, table, index, tenant)
        for index in ("label", "serial")
        for tenant in (None, "t")
        for read in (
            lambda db, table, index, tenant: table.find(db, index, "v", tenant, "a", 10),
            lambda db, table, index, tenant: table.between(db, index, 5, INT_MAX, tenant, 10),
            lambda db, table, index, tenant: table.between(db, index, INT_MIN, 5, tenant, 10),
            lambda db, table, index, tenant: table.newest(db, index, tenant),
        )
    ),
]


@pytest.mark.parametrize("number", range(len(READS)))
def test_no_read_passes_by_what_it_does_not_answer(tmp_path: Path, number: int) -> None:
    plans = _statements(tmp_path / "plans.db", READS[number])
    assert plans
    for plan in plans:
        assert plan.startswith("SEARCH"), plan


def test_no_write_passes_by_what_it_does_not_change(tmp_path: Path) -> None:
    def ask(db: sqlite3.Connection, table: Table) -> None:
        document = Document(
            "a", "t", {"label": "x", "serial": 1}, pending=(PendingEvent("e", "t", "k", b""),)
        )
        stored = table.insert(db, table.prepare(document))
        changed = Document("a", "t", {"label": "y", "serial": 2}, stored.version)
        stored = table.replace(db, table.prepare(changed))
        table.settle(db, "a", {"e"})
        table.delete(db, stored)

    plans = _statements(tmp_path / "plans.db", ask)
    assert len(plans) > 5
    for plan in plans:
        assert plan.startswith("SEARCH"), plan


def test_what_has_changed_is_found_by_the_number_of_the_change(tmp_path: Path) -> None:
    def ask(db: sqlite3.Connection, table: Table) -> None:
        db.execute("INSERT INTO marks VALUES ('m', 0, 0)")
        changed_ids(db, table, "m", 10)

    plans = _statements(tmp_path / "plans.db", ask)
    assert not [each for each in plans if each.startswith("SCAN")]
    assert [each for each in plans if "things/changed" in each]


async def test_a_file_taken_away_is_noticed(store: SqliteDocStore, path: Path) -> None:
    path.with_name("store.db-wal").rename(path.with_name("taken"))
    await store.ready()
    assert not await store.ready()


async def test_the_log_does_not_grow_with_the_file(store: SqliteDocStore, path: Path) -> None:
    log = path.with_name("store.db-wal")
    for number in range(10):
        large = [
            Document(f"{number}-{each}", "t", {"filling": bytes(1_000_000)}) for each in range(10)
        ]
        await store.insert_many(THINGS, large)
    async with asyncio.timeout(60):
        # It is moved in the background; the first write after that begins it anew.
        while size(log) > LOG_BYTES_MAX or size(path) < LOG_BYTES_MAX:
            await store.ready()
    assert len(await store.scan(THINGS)) == 100


async def test_writes_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    ran: list[str] = []
    held, ahead = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def connect() -> sqlite3.Connection:
        db = connect_writer(tmp_path / "shared.db")
        db.execute("CREATE TABLE t (x)")
        db.set_trace_callback(ran.append)
        return db

    def hold(db: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(held.set)
        asyncio.run_coroutine_threadsafe(ahead.wait(), loop).result()

    writer = Writer(connect, queue_max=1000, batch_max=200)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run(hold))
        await held.wait()
        for number in range(500):
            tasks.create_task(
                writer.run(lambda db, n=number: db.execute("INSERT INTO t VALUES (?)", (n,)))
            )
        await asyncio.sleep(0)
        ahead.set()
    assert ran.count("COMMIT") == 1 + 3
    await writer.close()


async def test_after_one_failed_commit_nothing_is_written_any_more(tmp_path: Path) -> None:
    def connect() -> sqlite3.Connection:
        db = connect_writer(tmp_path / "full.db")
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 20")
        return db

    def write(db: sqlite3.Connection, size: int) -> None:
        db.execute("INSERT INTO t VALUES (zeroblob(?))", (size,))

    heard: list[Exception] = []
    writer = Writer(connect, queue_max=100, batch_max=100, on_broken=heard.append)
    await writer.run(lambda db: write(db, 1000))
    small, large, small_too = await asyncio.gather(
        writer.run(lambda db: write(db, 1000)),
        writer.run(lambda db: write(db, 100_000)),
        writer.run(lambda db: write(db, 1000)),
        return_exceptions=True,
    )
    # Either shares the commit of the one that fails, or comes after it.
    assert isinstance(large, StoreBroken)
    assert isinstance(small_too, StoreBroken)
    with pytest.raises(StoreBroken):
        await writer.run(lambda db: write(db, 1))
    assert heard == [writer.broken], "told once, also where nobody writes any more"
    await writer.close()
    reader = connect_reader(tmp_path / "full.db")
    assert reader.execute("SELECT count(*) FROM t").fetchone()[0] == 1 + (small is None)
    reader.close()


async def test_a_refusal_leaves_the_other_writes_of_its_commit(store: SqliteDocStore) -> None:
    stored = await store.insert(THINGS, thing("a"))
    stale = Document("a", "t", {}, version=9)
    ended = await asyncio.gather(
        store.insert(THINGS, thing("b")),
        store.replace(THINGS, stale),
        store.replace(THINGS, stored),
        store.delete(THINGS, stale),
        store.insert(THINGS, thing("c")),
        return_exceptions=True,
    )
    assert [type(each) for each in ended] == [
        Document,
        VersionConflict,
        Document,
        VersionConflict,
        Document,
    ]


FULL_DISK = """
import asyncio, pathlib, resource, sys
from voicefile.docstore.port import Collection, Document, StoreBroken
from voicefile.docstore.sqlite import SqliteDocStore

THINGS = Collection("things")

async def main():
    store = await SqliteDocStore.open(pathlib.Path(sys.argv[1]), [THINGS])
    print("ready", await store.ready(), flush=True)
    # From here the disk is full: no file may grow beyond a megabyte.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    written = 0
    try:
        while True:
            await store.insert(THINGS, Document(f"{written:06d}", "t", {"filling": bytes(9_000)}))
            written += 1
    except StoreBroken:
        print("written", written)
    print("ready", await store.ready())
    try:
        await store.insert(THINGS, Document("late", "t", {}))
    except StoreBroken:
        print("refused")
    print("readable", await store.get(THINGS, "000000") is not None)
    await store.close()

asyncio.run(main())
"""


async def test_a_full_disk_loses_nothing_that_was_answered(path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    written = int(lines[1].removeprefix("written "))
    assert written > 10
    assert lines[0] == "ready True"
    assert lines[2:] == ["ready False", "refused", "readable True"]
    things = Collection("things")
    store = await SqliteDocStore.open(path, [things])
    found = [each.id for each in await store.scan(things, limit=1000)]
    assert found[:written] == [f"{each:06d}" for each in range(written)]
    assert "late" not in found
    await store.close()


# ---- what has changed ----


async def test_a_mark_tells_exactly_what_came_after_it(store: SqliteDocStore) -> None:
    before = await store.insert(THINGS, thing("before"))
    mark = await store.mark()
    assert await store.changed(THINGS, mark, limit=9) == []
    [unseen] = await store.replace_many(THINGS, [before], unseen=True)
    assert await store.changed(THINGS, mark, limit=9) == []
    assert isinstance(unseen, Document)
    await store.replace_many(THINGS, [unseen])
    assert await store.changed(THINGS, mark, limit=9) == ["before"]


async def test_what_carried_events_at_a_mark_is_told_of_again_when_they_are_settled(
    store: SqliteDocStore,
) -> None:
    event = PendingEvent("e", "t", "k", b"")
    await store.insert(THINGS, Document("carries", "t", {}, pending=(event,)))
    await store.insert(THINGS, thing("later"))
    mark = await store.mark()
    await store.settle(THINGS, "carries", {"e"})
    assert await store.changed(THINGS, mark, limit=9) == ["carries", "later"]
    assert await store.changed(THINGS, await store.mark(), limit=9) == []


async def test_marks_and_what_is_gone_hold_through_a_restart(path: Path) -> None:
    store = await SqliteDocStore.open(path, (THINGS,))
    stored = await store.insert(THINGS, thing("a"))
    mark = await store.mark()
    await store.delete(THINGS, stored)
    await store.close()
    store = await SqliteDocStore.open(path, (THINGS,))
    await store.insert(THINGS, thing("b"))
    assert await store.changed(THINGS, mark, limit=9) == ["a", "b"]
    await store.close()


def remembered(path: Path) -> Callable[[], object]:
    """Puts the file's content back as it is now."""
    return partial(path.write_bytes, path.read_bytes())


async def test_a_file_that_was_set_back_knows_no_mark_from_after_it(path: Path) -> None:
    """Its numbers come again: what they numbered before is not there any more."""
    store = await SqliteDocStore.open(path, (THINGS,))
    await store.insert(THINGS, thing("a"))
    await store.close()
    set_back = remembered(path)
    store = await SqliteDocStore.open(path, (THINGS,))
    await store.insert(THINGS, thing("b"))
    mark = await store.mark()
    await store.close()
    set_back()
    store = await SqliteDocStore.open(path, (THINGS,))
    await store.insert_many(THINGS, [thing("c"), thing("d")])
    with pytest.raises(MarkUnknown):
        await store.changed(THINGS, mark, limit=9)
    await store.close()


async def test_a_mark_of_another_time_is_given_up_and_with_it_what_was_gone(path: Path) -> None:
    """Whichever way the clock went wrong: nobody misses a change, they are told to take all."""
    changes, table = Changes(), Table(THINGS)
    create_file(path)
    db = connect_writer(path)
    prepare_schema(db, [table, Table(LEFTOVERS)], changes)
    table = Table(THINGS, changes=changes)
    for now_s in (0.0, MARK_S + 1.0, 0.0):
        stored = table.insert(db, table.prepare(thing("a")))
        mark = changes.mark(db, now_s)
        table.delete(db, stored)
        assert changed_ids(db, table, mark, 9) == ["a"]
        assert [row[0] for row in db.execute("SELECT name FROM marks")] == [mark]
        assert db.execute("SELECT count(*) FROM gone").fetchone()[0] == 1
    db.close()


async def test_a_file_of_older_code_is_taken_over_and_followed_from_then_on(path: Path) -> None:
    create_file(path)
    db = connect_writer(path)
    db.execute("PRAGMA user_version = 1")
    db.execute(
        'CREATE TABLE "things/documents" (id TEXT PRIMARY KEY NOT NULL, tenant TEXT NOT NULL,'
        " version INTEGER NOT NULL, body BLOB NOT NULL, pending BLOB)"
    )
    row = ("old", "t", 1, b"\x80", None)
    db.execute('INSERT INTO "things/documents" VALUES (?, ?, ?, ?, ?)', row)
    db.close()
    store = await SqliteDocStore.open(path, (THINGS,))
    mark = await store.mark()
    assert await store.changed(THINGS, mark, limit=9) == []
    [old] = await store.scan(THINGS)
    await store.replace(THINGS, old)
    await store.insert(THINGS, thing("new"))
    assert await store.changed(THINGS, mark, limit=9) == ["new", "old"]
    await store.close()


async def test_a_collection_that_is_followed_again_knows_no_mark_from_before(path: Path) -> None:
    """What was written meanwhile has no number."""
    passing = Collection("things", passing=True)
    followed = Collection("things")
    store = await SqliteDocStore.open(path, (followed,))
    mark = await store.mark()
    await store.close()
    store = await SqliteDocStore.open(path, (passing,))
    await store.insert(passing, thing("unseen"))
    await store.close()
    store = await SqliteDocStore.open(path, (followed,))
    with pytest.raises(MarkUnknown):
        await store.changed(followed, mark, limit=9)
    await store.close()
