"""What has changed in a SQLite store since a mark: a number on each document, a list of the gone.

All is written by the one writer, in its order. So a mark is exact: what was committed before it has
a number at most as large, and what is committed later a larger one, whatever clocks say.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from typing import Final, Protocol

from voicefile.docstore.port import MARK_S, Collection, MarkUnknown

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS gone (
        changed INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS marks (
        name TEXT PRIMARY KEY, changed INTEGER NOT NULL, made_at_s INTEGER NOT NULL)
        WITHOUT ROWID""",
)
# By which index is said: the planner would rather read all ids in their order.
_LIVING: Final = """SELECT id FROM DOCUMENTS INDEXED BY BY_CHANGE
    WHERE changed > (SELECT changed FROM marks WHERE name = ?) LIMIT ?"""
_GONE: Final = """SELECT id FROM gone
    WHERE changed > (SELECT changed FROM marks WHERE name = ?) AND collection = ? LIMIT ?"""


class Followed(Protocol):
    """What is needed of a collection's table."""

    @property
    def collection(self) -> Collection: ...
    def sql(self, text: str) -> str: ...


class Changes:
    """Numbers changes, for one file. Methods that write run inside the writer's transaction."""

    def __init__(self) -> None:
        self._last = 0
        self._followed: list[Followed] = []
        self._marked = False
        """Whether there is a mark; without one nobody will ask what is gone."""

    def begin(self, db: sqlite3.Connection, tables: Iterable[Followed]) -> None:
        """Goes on behind the largest number that stands anywhere."""
        self._followed = [each for each in tables if each.collection.follows]
        largest = "SELECT MAX(changed) FROM "
        sources = [each.sql(f"{largest}DOCUMENTS") for each in self._followed]
        sources += [f"{largest}gone", f"{largest}marks"]
        self._last = max(db.execute(source).fetchone()[0] or 0 for source in sources)
        self._marked = _oldest(db) is not None

    def number(self) -> int:
        """The next change's."""
        self._last += 1
        return self._last

    def note_gone(self, db: sqlite3.Connection, collection: str, document_id: str) -> None:
        if self._marked:
            row = (self.number(), collection, document_id)
            db.execute("INSERT INTO gone VALUES (?, ?, ?)", row)

    def mark(self, db: sqlite3.Connection, now_s: float) -> str:
        """A new mark. Older ones that nobody comes back to are given up, and what only they need.

        It lies before all documents that still carry events: settling has no number of its own.
        """
        found = [
            db.execute(_waiting(each), (each.collection.name,)).fetchone()
            for each in self._followed
        ]
        changed = min([self._last, *(each[0] - 1 for each in found if each[0] is not None)])
        name = secrets.token_hex(16)
        # One of the future was made by a clock that was wrong: nobody knows how old it is.
        db.execute("DELETE FROM marks WHERE abs(made_at_s - ?) > ?", (int(now_s), MARK_S))
        db.execute("INSERT INTO marks VALUES (?, ?, ?)", (name, changed, int(now_s)))
        db.execute("DELETE FROM gone WHERE changed <= ?", (_oldest(db),))
        self._marked = True
        return name


def changed_ids(db: sqlite3.Connection, table: Followed, since: str, limit: int) -> list[str]:
    """Raises MarkUnknown."""
    if not table.collection.follows:
        raise ValueError(f"changes of {table.collection.name} are not kept")
    living = table.sql(_LIVING).replace("BY_CHANGE", _index(table))
    found = {row[0] for row in db.execute(living, (since, limit))}
    found |= {row[0] for row in db.execute(_GONE, (since, table.collection.name, limit))}
    # Afterwards: as long as a mark stands, all that is gone since stands, too.
    if db.execute("SELECT 1 FROM marks WHERE name = ?", (since,)).fetchone() is None:
        raise MarkUnknown
    return sorted(found)[:limit]


def prepare_changes(db: sqlite3.Connection, table: Followed) -> None:
    """The number on each document of a collection; a store of older code gets it as nought."""
    index = _index(table)
    columns = {row[1] for row in db.execute(table.sql("PRAGMA table_info(DOCUMENTS)"))}
    if "changed" not in columns:
        db.execute(table.sql("ALTER TABLE DOCUMENTS ADD COLUMN changed INTEGER NOT NULL DEFAULT 0"))
    if not table.collection.follows:
        db.execute(f"DROP INDEX IF EXISTS {index}")
        return
    known = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?"
    if db.execute(known, (index.strip('"'),)).fetchone() is None:
        db.execute(table.sql(f"CREATE INDEX {index} ON DOCUMENTS (changed)"))
        # What was written and deleted while nobody followed it, no mark from before can tell of.
        db.execute("DELETE FROM marks")


def _index(table: Followed) -> str:
    return f'"{table.collection.name}/changed"'


def _waiting(table: Followed) -> str:
    return table.sql(
        "SELECT MIN(d.changed) FROM pending p CROSS JOIN DOCUMENTS d ON d.id = p.id"
        " WHERE p.collection = ?"
    )


def _oldest(db: sqlite3.Connection) -> int | None:
    oldest: int | None = db.execute("SELECT MIN(changed) FROM marks").fetchone()[0]
    return oldest
