"""One collection as SQLite tables: every statement that touches a row of it stands here.

Documents lie in a table with a row number, so that large bodies are appended and only the short
id index is written at random places. Each declared index has entries of its own, ordered twice:
by (tenant, value, id) for one tenant's queries and by (value, id) for everybody's; so no query
ever passes by what it does not answer.
"""

import re
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from voicefile.docstore.indexing import Indexed, indexed_values
from voicefile.docstore.packing import (
    Prepared,
    packed_events,
    prepare,
    unpacked_body,
    unpacked_events,
    values_of,
)
from voicefile.docstore.pending import without
from voicefile.docstore.port import (
    INT_MAX,
    Collection,
    Document,
    DocumentExists,
    Index,
    Replaced,
    VersionConflict,
)
from voicefile.docstore.sqlite_changes import Changes
from voicefile.docstore.sqlite_many import (
    ROWS_MAX,
    Change,
    after,
    is_version,
    places_of,
    write_changes,
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ANY = """FROM DOCUMENTS d WHERE d.id IN (SELECT e.id FROM ENTRIES e WHERE OWN e.value IN (PLACES))
    ORDER BY d.id LIMIT ?"""


class Table:
    """The rows of one collection. Methods that write run inside the writer's transaction.

    Each checks before its first write, so a refusal leaves nothing half done.
    """

    def __init__(
        self,
        collection: Collection,
        leftovers: "Table | None" = None,
        *,
        changes: Changes | None = None,
    ) -> None:
        for name in (collection.name, *(index.name for index in collection.indexes)):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} does not name a table")
        self.collection = collection
        self.indexes = {index.name: index for index in collection.indexes}
        self._leftovers = leftovers
        self._changes = changes or Changes()

    def documents(self) -> str:
        return f'"{self.collection.name}/documents"'

    def entries(self, index: str) -> str:
        if index not in self.indexes:
            raise ValueError(f"{self.collection.name} declares no index {index!r}")
        return f'"{self.collection.name}/by/{index}"'

    def prepare(self, document: Document) -> Prepared:
        return prepare(self.collection, document)

    def insert(self, db: sqlite3.Connection, row: Prepared) -> Document:
        document = row.document
        self._refuse_duplicates(db, document, row.values)
        done = db.execute(
            self.sql("INSERT INTO DOCUMENTS VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (id) DO NOTHING"),
            (document.id, document.tenant, row.body, row.pending, self._number()),
        )
        if done.rowcount == 0:
            raise DocumentExists(f"{self.collection.name} {document.id}")
        for name, values in row.values.items():
            self._add_entries(db, name, document, values)
        self.note_pending(db, document)
        return replace(document, version=1)

    def insert_many(self, db: sqlite3.Connection, rows: Sequence[Prepared]) -> None:
        refused = []
        for row in rows:
            try:
                self.insert(db, row)
            except DocumentExists as error:
                refused.append(str(error))
        if refused:
            raise DocumentExists(", ".join(refused[:10]))

    def replace(self, db: sqlite3.Connection, row: Prepared, *, unseen: bool = False) -> Document:
        document = row.document
        stored = self._stored(db, document)
        before = values_of(self.collection, stored.body)
        # What it has already is nobody else's: most changes leave all of that as it is.
        added = {name: values - before[name] for name, values in row.values.items()}
        self._refuse_duplicates(db, document, added)
        new = after(row, stored)
        db.execute(
            self.sql(
                "UPDATE DOCUMENTS SET version = ?, body = ?, pending = ?,"
                " changed = coalesce(?, changed) WHERE id = ?"
            ),
            (
                new.version,
                row.body,
                packed_events(new.pending),
                None if unseen else self._number(),
                new.id,
            ),
        )
        for name, values in row.values.items():
            self._drop_entries(db, name, document, before[name] - values)
            self._add_entries(db, name, document, added[name])
        self.note_pending(db, new)
        return new

    def replace_many(
        self, db: sqlite3.Connection, rows: Sequence[Prepared], *, unseen: bool = False
    ) -> list[Replaced]:
        """Few statements for all: between two of them Python has to be waited for."""
        held = self.many(db, [row.document.id for row in rows])
        before = {name: values_of(self.collection, each.body) for name, each in held.items()}
        if len({row.document.id for row in rows}) < len(rows) or any(
            row.values[name] - before.get(row.document.id, {}).get(name, frozenset())
            for row in rows
            for name, index in self.indexes.items()
            if index.unique
        ):
            # Whether a unique value is free may depend on what became of the documents before.
            return self._replace_in_turn(db, rows, unseen=unseen)
        changes = [
            Change(row, after(row, held[row.document.id]), before[row.document.id])
            for row in rows
            if is_version(held.get(row.document.id), row.document)
        ]
        write_changes(db, self, changes, None if unseen else self._number())
        done = {each.new.id: each.new for each in changes}
        return [done.get(row.document.id) or self._conflict(row.document) for row in rows]

    def _replace_in_turn(
        self, db: sqlite3.Connection, rows: Sequence[Prepared], *, unseen: bool
    ) -> list[Replaced]:
        outcomes: list[Replaced] = []
        for row in rows:
            try:
                outcomes.append(self.replace(db, row, unseen=unseen))
            except (VersionConflict, DocumentExists) as refused:
                outcomes.append(refused)
        return outcomes

    def delete(self, db: sqlite3.Connection, document: Document) -> None:
        stored = self._stored(db, document)
        self._remove(db, stored)
        if stored.pending and self._leftovers is not None:
            left = Document(secrets.token_hex(16), stored.tenant, {}, pending=stored.pending)
            self._leftovers.insert(db, self._leftovers.prepare(left))

    def settle(self, db: sqlite3.Connection, document_id: str, event_ids: set[str]) -> None:
        stored = self.get(db, document_id)
        if stored is None or not stored.pending:
            return
        left = without(stored, event_ids)
        if left.pending == stored.pending:
            return
        if not left.pending and self.collection.ephemeral:
            self._remove(db, stored)
            return
        db.execute(
            self.sql("UPDATE DOCUMENTS SET pending = ? WHERE id = ?"),
            (packed_events(left.pending), document_id),
        )
        if not left.pending:
            self._forget_pending(db, document_id)

    def get(self, db: sqlite3.Connection, document_id: str) -> Document | None:
        found = self._select(db, "FROM DOCUMENTS d WHERE d.id = ?", (document_id,))
        return found[0] if found else None

    def many(self, db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for start in range(0, len(ids), ROWS_MAX):
            some = ids[start : start + ROWS_MAX]
            places = places_of(len(some))
            source = f"FROM DOCUMENTS d WHERE d.id IN ({places})"
            found |= {each.id: each for each in self._select(db, source, tuple(some))}
        return found

    def scan(
        self, db: sqlite3.Connection, tenant: str | None, after: str, limit: int
    ) -> list[Document]:
        own = "" if tenant is None else "d.tenant = ? AND"
        key = () if tenant is None else (tenant,)
        source = f"FROM DOCUMENTS d WHERE {own} d.id > ? ORDER BY d.id LIMIT ?"
        return self._select(db, source, (*key, after, max(limit, 0)))

    def find(
        self,
        db: sqlite3.Connection,
        index: str,
        value: Indexed,
        tenant: str | None,
        after: str,
        limit: int,
    ) -> list[Document]:
        where = "e.value = ? AND e.id > ?"
        if index in self.indexes and not self.indexes[index].unique:
            where += " ORDER BY e.id"
        return self._through(db, index, tenant, where, (value, after), limit)

    def find_any(
        self,
        db: sqlite3.Connection,
        index: str,
        values: Sequence[str],
        tenant: str | None,
        limit: int,
    ) -> list[Document]:
        own, key = ("", ()) if tenant is None else ("e.tenant = ? AND", (tenant,))
        source = _ANY.replace("OWN", own).replace("PLACES", places_of(len(values)))
        return self._select(db, self.sql(source, index), (*key, *values, max(limit, 0)))

    def between(
        self,
        db: sqlite3.Connection,
        index: str,
        start: int,
        until: int,
        tenant: str | None,
        limit: int,
    ) -> list[Document]:
        # The upper bound keeps to numbers: SQLite sorts text and bytes behind every number.
        where = "e.value BETWEEN ? AND ? ORDER BY e.value, e.id"
        return self._through(db, index, tenant, where, (start, until), limit)

    def newest(self, db: sqlite3.Connection, index: str, tenant: str | None) -> Document | None:
        where = "e.value <= ? ORDER BY e.value DESC"
        found = self._through(db, index, tenant, where, (INT_MAX,), 1)
        return found[0] if found else None

    def fill(self, db: sqlite3.Connection, index: Index) -> None:
        """Enters all stored documents into an index that was declared after them."""
        for row in db.execute(self.sql("SELECT id, tenant, body FROM DOCUMENTS")):
            document = Document(row[0], row[1], unpacked_body(row[2]))
            values = indexed_values(document.body, index.path)
            self._add_entries(db, index.name, document, values)

    def _through(
        self,
        db: sqlite3.Connection,
        index: str,
        tenant: str | None,
        where: str,
        key: tuple[Indexed, ...],
        limit: int,
    ) -> list[Document]:
        # CROSS JOIN forbids the planner to start with the documents.
        source = "FROM ENTRIES e CROSS JOIN DOCUMENTS d ON d.id = e.id WHERE "
        if tenant is not None:
            source, key = source + "e.tenant = ? AND ", (tenant, *key)
        source = self.sql(source, index)
        found = self._select(db, source + where + " LIMIT ?", (*key, max(limit, 0)))
        return list({document.id: document for document in found}.values())

    def _select(
        self, db: sqlite3.Connection, source: str, key: tuple[Indexed, ...]
    ) -> list[Document]:
        columns = "SELECT d.id, d.tenant, d.version, d.body, d.pending "
        return [
            Document(row[0], row[1], unpacked_body(row[3]), row[2], unpacked_events(row[4]))
            for row in db.execute(self.sql(columns + source), key)
        ]

    def _stored(self, db: sqlite3.Connection, document: Document) -> Document:
        stored = self.get(db, document.id)
        if stored is None or not is_version(stored, document):
            raise self._conflict(document)
        return stored

    def _conflict(self, document: Document) -> VersionConflict:
        return VersionConflict(f"{self.collection.name} {document.id} v{document.version}")

    def _refuse_duplicates(
        self,
        db: sqlite3.Connection,
        document: Document,
        values: Mapping[str, frozenset[Indexed]],
    ) -> None:
        for name, index in self.indexes.items():
            if not index.unique:
                continue
            owner = self.sql("SELECT id FROM ENTRIES WHERE value = ?", name)
            for value in values[name]:
                found = db.execute(owner, (value,)).fetchone()
                if found is not None and found[0] != document.id:
                    raise DocumentExists(f"{self.collection.name} by {name}")

    def _add_entries(
        self, db: sqlite3.Connection, index: str, document: Document, values: Iterable[Indexed]
    ) -> None:
        for value in values:
            db.execute(
                self.sql("INSERT INTO ENTRIES VALUES (?, ?, ?)", index),
                (document.tenant, value, document.id),
            )

    def _drop_entries(
        self, db: sqlite3.Connection, index: str, document: Document, values: Iterable[Indexed]
    ) -> None:
        for value in values:
            db.execute(
                self.sql("DELETE FROM ENTRIES WHERE tenant = ? AND value = ? AND id = ?", index),
                (document.tenant, value, document.id),
            )

    def _remove(self, db: sqlite3.Connection, stored: Document) -> None:
        db.execute(self.sql("DELETE FROM DOCUMENTS WHERE id = ?"), (stored.id,))
        for name, values in values_of(self.collection, stored.body).items():
            self._drop_entries(db, name, stored, values)
        if stored.pending:
            self._forget_pending(db, stored.id)
        if self.collection.follows:
            self._changes.note_gone(db, self.collection.name, stored.id)

    def _number(self) -> int:
        return self._changes.number() if self.collection.follows else 0

    def note_pending(self, db: sqlite3.Connection, document: Document) -> None:
        if document.pending:
            db.execute(
                "INSERT INTO pending (collection, id) VALUES (?, ?)"
                " ON CONFLICT (collection, id) DO NOTHING",
                (self.collection.name, document.id),
            )

    def _forget_pending(self, db: sqlite3.Connection, document_id: str) -> None:
        db.execute(
            "DELETE FROM pending WHERE collection = ? AND id = ?",
            (self.collection.name, document_id),
        )

    def sql(self, text: str, index: str | None = None) -> str:
        """The statement with its tables' names, which came through `_NAME` and no further."""
        if index is not None:
            text = text.replace("ENTRIES", self.entries(index))
        return text.replace("DOCUMENTS", self.documents())
