"""What a MongoDB database is made of, and how it takes up newly declared indexes."""

from collections.abc import Sequence
from typing import Any, Protocol

from voicefile.docstore.mongo_fate import Taken
from voicefile.docstore.mongo_query import ServerIndex, wanted_indexes
from voicefile.docstore.mongo_table import MongoTable
from voicefile.docstore.port import DocumentExists, StoreIsNewer

FORMAT = 1
"""What `format` in the collection `_store` says. A higher one was written by newer code."""

STORE = "_store"
"""Beside the declared collections, whose names begin with a letter."""


class Database(Protocol):
    """What it takes to prepare one."""

    async def note(self, note_id: str, change: dict[str, Any]) -> dict[str, Any]:
        """Changes a document of `_store`, or makes it; answers it."""

    async def indexes(self, collection: str) -> set[str]: ...
    async def make_indexes(self, collection: str, indexes: Sequence[ServerIndex]) -> None: ...
    async def drop_index(self, collection: str, name: str) -> None: ...


async def prepare_database(database: Database, tables: Sequence[MongoTable]) -> None:
    """Makes what is missing; safe to repeat, and beside other instances that do the same."""
    found = await database.note("format", {"$max": {"number": FORMAT}})
    if found["number"] > FORMAT:
        raise StoreIsNewer(f"format {found['number']}, this code knows {FORMAT}")
    await database.note("beat", {"$inc": {"beats": 1}})
    for table in tables:
        await _prepare_table(database, table)


async def _prepare_table(database: Database, table: MongoTable) -> None:
    wanted = wanted_indexes(table.collection)
    found = await database.indexes(table.collection.name)
    # An index that is no longer declared is no longer maintained: it must not come back stale.
    for name in found - {each.name for each in wanted}:
        await database.drop_index(table.collection.name, name)
    missing = [each for each in wanted if each.name not in found]
    try:
        if missing:
            await database.make_indexes(table.collection.name, missing)
        await table.mend()
    except Taken:
        raise DocumentExists(f"{table.collection.name} has values twice") from None
    await table.remove_graves()
