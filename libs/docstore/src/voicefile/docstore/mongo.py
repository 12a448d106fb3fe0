"""The document store in MongoDB, for services that run apart. Several instances share one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from operator import itemgetter
from pathlib import Path

from voicefile.docstore import mongo_query as ask
from voicefile.docstore.indexing import wanted_values
from voicefile.docstore.mongo_changes import Marks
from voicefile.docstore.mongo_driver import Door, Limits
from voicefile.docstore.mongo_fate import Patience, Taken
from voicefile.docstore.mongo_query import Question
from voicefile.docstore.mongo_row import Arrivals
from voicefile.docstore.mongo_schema import prepare_database
from voicefile.docstore.mongo_table import MongoTable
from voicefile.docstore.pending import LEFTOVERS
from voicefile.docstore.port import (
    INT_MAX,
    INT_MIN,
    Collection,
    Document,
    Replaced,
    StoreBroken,
    StoreUnavailable,
)

READY_S = 5.0
"""A store that needs longer than this for one small write is not ready."""
HOUSEKEEPING_EVERY_S = 60.0
MENDING_S = 900.0
"""For so long after opening, instances of the code before may write beside us; what they write
without our indexes is taken up each minute."""


def _tell_nobody(_error: Exception) -> None:
    """For whoever hears of it by the next write."""


class MongoDocStore:
    """A DocStore in one database. To be used from the loop that opened it.

    Bodies are opaque to the server: what indexes see of them stands beside.
    """

    def __init__(
        self, door: Door, tables: dict[str, MongoTable], on_broken: Callable[[Exception], None]
    ) -> None:
        """For `open`."""
        self._door = door
        self._tables = tables
        self._marks = Marks(door)
        self._on_broken = on_broken
        self._broken: Exception | None = None
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # owned: until `close`.
        self._housekeeping = asyncio.create_task(self._keep_house())

    @classmethod
    async def open(
        cls,
        uri: str,
        database: str,
        collections: Sequence[Collection],
        *,
        tls_ca: Path | None = None,
        tls_certificate: Path | None = None,
        on_broken: Callable[[Exception], None] = _tell_nobody,
        limits: Limits = Limits(),
    ) -> "MongoDocStore":
        """Opens or creates the database and fills indexes declared since it was last open.

        `on_broken` is called once if the fate of a write stays unknown; it has to end the
        instance. Raises StoreUnavailable where the server can't be reached.
        """
        door = Door(uri, database, tls_ca=tls_ca, tls_certificate=tls_certificate, limits=limits)
        try:
            tables = _tables(door, collections, Patience(limits.fate_s))
            await prepare_database(door, list(tables.values()))
        except BaseException:
            await door.close()
            raise
        return cls(door, tables, on_broken)

    async def insert(self, collection: Collection, document: Document) -> Document:
        table = self._table(collection)
        ready = table.prepare(document)
        async with self._writing():
            return await table.insert(ready)

    async def insert_many(self, collection: Collection, documents: Sequence[Document]) -> None:
        table = self._table(collection)
        several = [table.prepare(each) for each in documents]
        async with self._writing():
            await table.insert_many(several)

    async def replace(self, collection: Collection, document: Document) -> Document:
        table = self._table(collection)
        ready = table.prepare(document)
        async with self._writing():
            return await table.replace(ready)

    async def replace_many(
        self, collection: Collection, documents: Sequence[Document], *, unseen: bool = False
    ) -> list[Replaced]:
        table = self._table(collection)
        several = [table.prepare(each) for each in documents]
        async with self._writing():
            return await table.replace_many(several, unseen=unseen)

    async def delete(self, collection: Collection, document: Document) -> None:
        table = self._table(collection)
        document.id.encode()  # a text the server cannot take is the caller's error
        async with self._writing():
            await table.delete(document)

    async def settle(self, collection: Collection, document_id: str, event_ids: set[str]) -> None:
        table = self._table(collection)
        async with self._writing():
            await table.settle(document_id, event_ids)

    async def get(self, collection: Collection, document_id: str) -> Document | None:
        table = self._table(collection)
        self._check_open()
        return await table.get(document_id)

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
        question = ask.equal(collection, index, value, tenant=tenant, after=after)
        return await self._answers(collection, question, limit)

    async def find_any(
        self,
        collection: Collection,
        index: str,
        values: Sequence[str],
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        question = ask.any_of(collection, index, wanted_values(values), tenant=tenant)
        return await self._answers(collection, question, limit)

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
        question = ask.in_numbers(collection, index, start, until, tenant=tenant)
        return await self._answers(collection, question, limit)

    async def newest(
        self, collection: Collection, index: str, *, tenant: str | None = None
    ) -> Document | None:
        question = ask.largest_number(collection, index, tenant=tenant)
        found = await self._answers(collection, question, 1)
        return found[0] if found else None

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
        return await self._answers(collection, ask.everything(tenant=tenant, after=after), limit)

    async def mark(self) -> str:
        self._check_open()
        return await self._marks.make(list(self._tables.values()))

    async def changed(self, collection: Collection, since: str, *, limit: int) -> list[str]:
        table = self._table(collection)
        self._check_open()
        return await self._marks.changed(table, since, limit) if limit > 0 else []

    async def get_many(self, collection: Collection, ids: Sequence[str]) -> list[Document]:
        table = self._table(collection)
        self._check_open()
        return await table.get_many(ids)

    async def pending(self, limit: int = 500) -> list[tuple[Collection, Document]]:
        self._check_open()
        if limit <= 0:
            return []
        carried: list[tuple[Collection, Document]] = []
        # All of those found may be settled before they are read, while others wait behind them.
        while not carried and (queue := await self._queue(limit)):
            carried = await _carried(queue)
        return carried

    async def _queue(self, limit: int) -> list[tuple[int, str, MongoTable]]:
        # Each is one request, several times a second for ever.
        tables = [each for each in self._tables.values() if not each.collection.silent]
        waiting = await asyncio.gather(*(table.waiting(limit) for table in tables))
        numbered = [
            (since, name, table)
            for table, found in zip(tables, waiting, strict=True)
            for since, name in found
        ]
        return sorted(numbered, key=itemgetter(0))[:limit]

    async def ready(self) -> bool:
        if self._closed or self._broken:
            return False
        try:
            async with asyncio.timeout(READY_S):
                await self._door.note("beat", {"$inc": {"beats": 1}})
        except (StoreUnavailable, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        self._closed = True
        self._housekeeping.cancel()
        await self._idle.wait()
        await asyncio.gather(self._housekeeping, return_exceptions=True)
        await self._door.close()

    def _table(self, collection: Collection) -> MongoTable:
        table = self._tables.get(collection.name)
        if table is None or table.collection != collection:
            raise ValueError(f"{collection.name} was not declared so when the store was opened")
        return table

    async def _answers(
        self, collection: Collection, question: Question, limit: int
    ) -> list[Document]:
        table = self._table(collection)
        self._check_open()
        return await table.answers(question, limit) if limit > 0 else []

    def _check_open(self) -> None:
        if self._closed:
            raise StoreBroken("closed")

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        self._check_open()
        if self._broken is not None:
            raise StoreBroken("broken before") from self._broken
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        except StoreBroken as error:
            self._break(error)
            raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    def _break(self, error: Exception) -> None:
        if self._broken is None:
            self._broken = error
            self._on_broken(error)

    async def _keep_house(self) -> None:
        mending_until_s = time.monotonic() + MENDING_S
        while True:
            await asyncio.sleep(HOUSEKEEPING_EVERY_S)
            # The next round makes up for one that failed, and the next opening for all.
            with suppress(StoreUnavailable, Taken):
                oldest = await self._marks.oldest()
                for table in self._tables.values():
                    if time.monotonic() < mending_until_s:
                        await table.mend()
                    await table.remove_graves(oldest)


def _tables(
    door: Door, collections: Sequence[Collection], patience: Patience
) -> dict[str, MongoTable]:
    arrivals = Arrivals()
    leftovers = MongoTable(LEFTOVERS, door.rows(LEFTOVERS.name), patience, arrivals=arrivals)
    tables = {LEFTOVERS.name: leftovers}
    for collection in collections:
        ask.check_names(collection)
        if tables.get(collection.name) not in (None, leftovers):
            raise ValueError(f"{collection.name} is declared twice")
        rows = door.rows(collection.name)
        tables[collection.name] = MongoTable(
            collection, rows, patience, arrivals=arrivals, leftovers=leftovers
        )
    return tables


async def _carried(
    queue: Sequence[tuple[int, str, MongoTable]],
) -> list[tuple[Collection, Document]]:
    """The documents of a queue, in its order; less those that were settled meanwhile."""
    numbers: dict[str, list[int]] = {}
    for since, _, table in queue:
        numbers.setdefault(table.collection.name, []).append(since)
    tables = {table.collection.name: table for _, _, table in queue}
    found = {each: await tables[each].carriers(run[0], run[-1]) for each, run in numbers.items()}
    return [
        (table.collection, found[table.collection.name][name])
        for _, name, table in queue
        if name in found[table.collection.name]
    ]
