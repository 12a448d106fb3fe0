"""The document store in one SQLite file: the embedded default, and every service's in tests."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from voicefile.docstore.indexing import wanted_values
from voicefile.docstore.pending import LEFTOVERS
from voicefile.docstore.port import INT_MAX, INT_MIN, Collection, Document, Replaced, StoreBroken
from voicefile.docstore.sqlite_changes import Changes, changed_ids
from voicefile.docstore.sqlite_schema import (
    connect_reader,
    connect_writer,
    create_file,
    prepare_schema,
)
from voicefile.docstore.sqlite_table import Table
from voicefile.docstore.sqlite_writer import Writer, tell_nobody

T = TypeVar("T")

READERS = 2
"""Reading threads. Reads never wait for writes, and writes never for reads."""
QUEUE_MAX = 4096
"""Writes that may wait for the disk; further callers wait for room."""
BATCH_MAX = 512
"""Writes that one commit takes up."""
READY_S = 5.0
"""A disk that needs longer than this for one small write is not ready."""


class SqliteDocStore:
    """A DocStore in one file. Bodies are MessagePack; to be used from the loop that opened it."""

    def __init__(
        self,
        path: Path,
        tables: dict[str, Table],
        writer: Writer,
        readers: int,
        changes: Changes,
    ) -> None:
        """For `open`."""
        self._changes = changes
        self._path = path
        self._tables = tables
        self._writer = writer
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="docstore-reader")
        self._connections: list[sqlite3.Connection] = []
        self._own = threading.local()
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        collections: Sequence[Collection],
        *,
        readers: int = READERS,
        on_broken: Callable[[Exception], None] = tell_nobody,
    ) -> "SqliteDocStore":
        """Opens or creates the file and fills indexes declared since it was last open.

        `on_broken` is called once if the disk refuses a write; it has to end the instance.
        """
        changes = Changes()
        leftovers = Table(LEFTOVERS, changes=changes)
        tables = {LEFTOVERS.name: leftovers}
        for collection in collections:
            if tables.get(collection.name) not in (None, leftovers):
                raise ValueError(f"{collection.name} is declared twice")
            tables[collection.name] = Table(collection, leftovers, changes=changes)
        try:
            await asyncio.to_thread(create_file, path)
        except OSError as error:
            raise StoreBroken("the file cannot be made") from error
        writer = Writer(
            partial(connect_writer, path),
            queue_max=QUEUE_MAX,
            batch_max=BATCH_MAX,
            on_broken=on_broken,
        )
        try:
            await writer.run(lambda db: prepare_schema(db, tables.values(), changes))
        except BaseException:
            await writer.close()
            raise
        return cls(path, tables, writer, readers, changes)

    async def insert(self, collection: Collection, document: Document) -> Document:
        table = self._table(collection)
        row = table.prepare(document)
        return await self._writer.run(lambda db: table.insert(db, row))

    async def insert_many(self, collection: Collection, documents: Sequence[Document]) -> None:
        table = self._table(collection)
        rows = [table.prepare(each) for each in documents]
        await self._writer.run(lambda db: table.insert_many(db, rows))

    async def replace(self, collection: Collection, document: Document) -> Document:
        table = self._table(collection)
        row = table.prepare(document)
        return await self._writer.run(lambda db: table.replace(db, row))

    async def replace_many(
        self, collection: Collection, documents: Sequence[Document], *, unseen: bool = False
    ) -> list[Replaced]:
        table = self._table(collection)
        rows = [table.prepare(each) for each in documents]
        return await self._writer.run(lambda db: table.replace_many(db, rows, unseen=unseen))

    async def delete(self, collection: Collection, document: Document) -> None:
        table = self._table(collection)
        document.id.encode()  # a text SQLite cannot take is the caller's error, not the writer's
        await self._writer.run(lambda db: table.delete(db, document))

    async def settle(self, collection: Collection, document_id: str, event_ids: set[str]) -> None:
        table = self._table(collection)
        settled = set(event_ids)
        document_id.encode()
        await self._writer.run(lambda db: table.settle(db, document_id, settled))

    async def get(self, collection: Collection, document_id: str) -> Document | None:
        table = self._table(collection)
        return await self._read(lambda db: table.get(db, document_id))

    async def find(
        self,
        collection: Collection,
        index: str,
        value: str | bytes | int,
        *,
        tenant: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Document]:
        table = self._table(collection)
        return await self._read(lambda db: table.find(db, index, value, tenant, after, limit))

    async def find_any(
        self,
        collection: Collection,
        index: str,
        values: Sequence[str],
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        table, wanted = self._table(collection), wanted_values(values)
        return await self._read(lambda db: table.find_any(db, index, wanted, tenant, limit))

    async def due(
        self,
        collection: Collection,
        index: str,
        until: int,
        *,
        start: int = INT_MIN,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        table = self._table(collection)
        return await self._read(lambda db: table.between(db, index, start, until, tenant, limit))

    async def newest(
        self, collection: Collection, index: str, *, tenant: str | None = None
    ) -> Document | None:
        table = self._table(collection)
        return await self._read(lambda db: table.newest(db, index, tenant))

    async def ranged(
        self,
        collection: Collection,
        index: str,
        start: int,
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        return await self.due(collection, index, INT_MAX, start=start, tenant=tenant, limit=limit)

    async def scan(
        self,
        collection: Collection,
        *,
        tenant: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Document]:
        table = self._table(collection)
        return await self._read(lambda db: table.scan(db, tenant, after, limit))

    async def mark(self) -> str:
        return await self._writer.run(lambda db: self._changes.mark(db, time.time()))

    async def changed(self, collection: Collection, since: str, *, limit: int) -> list[str]:
        table = self._table(collection)
        return await self._read(lambda db: changed_ids(db, table, since, max(limit, 0)))

    async def get_many(self, collection: Collection, ids: Sequence[str]) -> list[Document]:
        table, wanted = self._table(collection), sorted(set(ids))
        found = await self._read(lambda db: table.many(db, wanted))
        return [found[each] for each in wanted if each in found]

    async def pending(self, limit: int = 500) -> list[tuple[Collection, Document]]:
        return await self._read(lambda db: self._pending(db, limit))

    async def ready(self) -> bool:
        try:
            async with asyncio.timeout(READY_S):
                await self._writer.run(_beat)
        except (StoreBroken, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        await self._writer.close()

    def _table(self, collection: Collection) -> Table:
        table = self._tables.get(collection.name)
        if table is None or table.collection != collection:
            raise ValueError(f"{collection.name} was not declared so when the store was opened")
        return table

    def _pending(self, db: sqlite3.Connection, limit: int) -> list[tuple[Collection, Document]]:
        found = []
        waiting = "SELECT collection, id FROM pending ORDER BY seq LIMIT ?"
        for name, document_id in db.execute(waiting, (max(limit, 0),)).fetchall():
            table = self._tables.get(name)
            document = table.get(db, document_id) if table is not None else None
            # Settled since the list was read, or of a collection only other code declares.
            if table is not None and document is not None and document.pending:
                found.append((table.collection, document))
        return found

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreBroken("closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._query, query)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._own.connection = connect_reader(self._path)
                self._connections.append(connection)
            return query(connection)
        except sqlite3.Error as error:
            raise StoreBroken("the disk refused to read") from error


def _beat(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO heartbeat VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET beats = beats + 1"
    )
