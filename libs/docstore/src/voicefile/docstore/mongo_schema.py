"""What a MongoDB database is made of, and how it takes up newly declared indexes."""

from collections.abc import Sequence
from typing import Protocol

from voicefile.docstore.mongo_changes import Marks, Notes
from voicefile.docstore.mongo_fate import Taken
from voicefile.docstore.mongo_query import CHANGED, ServerIndex, wanted_indexes
from voicefile.docstore.mongo_table import MongoTable
from voicefile.docstore.mongo_time import ServerTime
from voicefile.docstore.port import DocumentExists, StoreIsNewer

FORMAT = 2
"""What `format` in the collection `_store` says. A higher one was written by newer code.
1 had no times of changes: code that knows no more would leave them as they are."""

STORE = "_store"
"""Beside the declared collections, whose names begin with a letter."""


class Database(Notes, Protocol):
    """What it takes to prepare one."""

    async def indexes(self, collection: str) -> set[str]: ...
    async def make_indexes(self, collection: str, indexes: Sequence[ServerIndex]) -> None: ...
    async def drop_index(self, collection: str, name: str) -> None: ...


async def prepare_database(database: Database, tables: Sequence[MongoTable]) -> None:
    """Makes what is missing; safe to repeat, and beside other instances that do the same."""
    born = {"$setOnInsert": {"born": FORMAT}}
    found = await database.note("format", {"$max": {"number": FORMAT}, **born})
    if found["number"] > FORMAT:
        raise StoreIsNewer(f"format {found['number']}, this code knows {FORMAT}")
    await database.note("beat", {"$inc": {"beats": 1}})
    oldest = await Marks(database).oldest()
    for table in tables:
        await _prepare_table(database, table, oldest)


async def _prepare_table(
    database: Database, table: MongoTable, oldest_mark: ServerTime | None
) -> None:
    wanted = wanted_indexes(table.collection)
    found = await database.indexes(table.collection.name)
    # An index that is no longer declared is no longer maintained: it must not come back stale.
    for name in found - {each.name for each in wanted}:
        await database.drop_index(table.collection.name, name)
    missing = [each for each in wanted if each.name not in found]
    if any(each.name == CHANGED for each in missing):
        # What was deleted while nobody followed it, no mark from before can tell of.
        await Marks(database).forget_all()
    try:
        if missing:
            await database.make_indexes(table.collection.name, missing)
        await table.mend()
    except Taken:
        raise DocumentExists(f"{table.collection.name} has values twice") from None
    await table.remove_graves(oldest_mark)
