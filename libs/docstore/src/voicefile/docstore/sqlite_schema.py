"""What a SQLite store is made of on disk, and how it takes up newly declared indexes."""

import os
import sqlite3
from collections.abc import Collection
from pathlib import Path

from voicefile.docstore.port import StoreIsNewer
from voicefile.docstore.sqlite_changes import TABLES, Changes, prepare_changes
from voicefile.docstore.sqlite_table import Table

FORMAT = 2
"""`user_version` of the file. A higher one was written by newer code.
1 had no numbers of changes: code that knows no more would leave them as they are."""

LOG_BYTES_MAX = 64 * 1024 * 1024
"""A log that grew beyond this is begun anew, and the writer held up for the last bit of it."""

_OWN_TABLES = (
    """CREATE TABLE IF NOT EXISTS pending (
        seq INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL,
        UNIQUE (collection, id))""",
    """CREATE TABLE IF NOT EXISTS heartbeat (
        one INTEGER PRIMARY KEY, beats INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS declared (
        collection TEXT, name TEXT, path TEXT, is_unique INTEGER,
        PRIMARY KEY (collection, name)) WITHOUT ROWID""",
    *TABLES,
)
_BUSY_MS = 30_000
_WRITER_CACHE_KIB = 32_768
_READER_CACHE_KIB = 8_192
_STATEMENTS_KEPT = 512


def create_file(path: Path) -> None:
    """The empty file, readable by nobody else, and durably named in its directory."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # The journal files take over the mode of the main file.
    path.chmod(0o600)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def connect_writer(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit returns after the log was synced. NORMAL would lose the last ones with power.
    db.execute("PRAGMA synchronous = FULL")
    # What was deleted is overwritten with zeros, so a stolen or dumped file holds no slip or
    # customer of yesterday in its free pages. The log may until it comes round; what is personal
    # is sealed there as everywhere, and its key's epoch dies within a week.
    db.execute("PRAGMA secure_delete = ON")
    # The log is moved into the file by Checkpointer: SQLite's own way hides its errors.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
    db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    db.execute("PRAGMA query_only = ON")
    db.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return db


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_KEPT
    )
    db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def prepare_schema(db: sqlite3.Connection, tables: Collection[Table], changes: Changes) -> None:
    """Makes what is missing. Runs inside one transaction: a crash leaves all or nothing."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise StoreIsNewer(f"file format {found}, this code knows {FORMAT}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    for statement in _OWN_TABLES:
        db.execute(statement)
    for table in tables:
        _prepare_table(db, table)
    changes.begin(db, tables)


def _prepare_table(db: sqlite3.Connection, table: Table) -> None:
    db.execute(
        f"CREATE TABLE IF NOT EXISTS {table.documents()}"
        " (id TEXT PRIMARY KEY NOT NULL, tenant TEXT NOT NULL, version INTEGER NOT NULL,"
        " body BLOB NOT NULL, pending BLOB)"
    )
    prepare_changes(db, table)
    name = table.collection.name
    db.execute(f'CREATE INDEX IF NOT EXISTS "{name}/tenant" ON {table.documents()} (tenant, id)')
    wanted = {(each.name, each.path, int(each.unique)) for each in table.indexes.values()}
    stored = set(
        db.execute("SELECT name, path, is_unique FROM declared WHERE collection = ?", (name,))
    )
    # An index that is no longer declared is no longer maintained: it must not come back stale.
    for index, _, _ in stored - wanted:
        db.execute(f'DROP TABLE "{name}/by/{index}"')
        db.execute("DELETE FROM declared WHERE collection = ? AND name = ?", (name, index))
    for index, path, unique in wanted - stored:
        _make_index(db, table, index)
        db.execute("INSERT INTO declared VALUES (?, ?, ?, ?)", (name, index, path, unique))


def _make_index(db: sqlite3.Connection, table: Table, name: str) -> None:
    index = table.indexes[name]
    # No declared type for `value`: text, bytes and numbers keep theirs and never compare equal.
    db.execute(
        f"CREATE TABLE {table.entries(name)} (tenant TEXT NOT NULL, value NOT NULL,"
        " id TEXT NOT NULL, PRIMARY KEY (tenant, value, id)) WITHOUT ROWID"
    )
    kind, columns = ("UNIQUE INDEX", "value") if index.unique else ("INDEX", "value, id")
    db.execute(
        f'CREATE {kind} "{table.collection.name}/all/{name}" ON {table.entries(name)} ({columns})'
    )
    table.fill(db, index)
