"""SQLite against a dictionary: whatever is done to both, both say the same."""

import tempfile
from pathlib import Path

from hypothesis import settings
from tests.libs.docstore.store_model import THINGS, StoreAndDictionary

from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore


class SqliteAndDictionary(StoreAndDictionary):
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()

    async def opened(self) -> DocStore:
        return await SqliteDocStore.open(Path(self.directory.name) / "store.db", [THINGS])

    def clear(self) -> None:
        self.directory.cleanup()


TestSqliteAndDictionary = SqliteAndDictionary.TestCase
TestSqliteAndDictionary.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, print_blob=True
)
