"""SQLite keeps the document store's law."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from voicefile.docstore.changes_conformance import DocStoreChangesConformance
from voicefile.docstore.conformance import COLLECTIONS, DocStoreConformance
from voicefile.docstore.index_conformance import DocStoreIndexConformance
from voicefile.docstore.outbox_conformance import (
    DocStoreCrashConformance,
    DocStoreOutboxConformance,
)
from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore

WRITER = """
import asyncio, pathlib, sys
from voicefile.docstore.conformance import COLLECTIONS
from voicefile.docstore.outbox_conformance import write_and_acknowledge
from voicefile.docstore.sqlite import SqliteDocStore

async def main():
    store = await SqliteDocStore.open(pathlib.Path(sys.argv[1]), COLLECTIONS)
    await write_and_acknowledge(store)

asyncio.run(main())
"""


class _Sqlite:
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[DocStore]:
        store = await SqliteDocStore.open(tmp_path / "store.db", COLLECTIONS)
        yield store
        await store.close()


class TestSqlite(_Sqlite, DocStoreConformance):
    pass


class TestSqliteIndexes(_Sqlite, DocStoreIndexConformance):
    pass


class TestSqliteOutbox(_Sqlite, DocStoreOutboxConformance):
    pass


class TestSqliteChanges(_Sqlite, DocStoreChangesConformance):
    pass


class TestSqliteCrashes(DocStoreCrashConformance):
    @pytest.fixture
    def writer_argv(self, tmp_path: Path) -> Sequence[str]:
        return ["-c", WRITER, str(tmp_path / "killed.db")]

    @pytest.fixture
    async def reopened(self, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[DocStore]]]:
        opened: list[DocStore] = []

        async def reopen() -> DocStore:
            opened.append(await SqliteDocStore.open(tmp_path / "killed.db", COLLECTIONS))
            return opened[-1]

        yield reopen
        for store in opened:
            await store.close()
