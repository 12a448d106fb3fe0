"""Many documents of one SQLite collection replaced by few statements.

Each step of a statement hands the interpreter's lock over, and on a busy one takes milliseconds to
get it back. So all rows of a kind go as one step.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from voicefile.docstore.indexing import Indexed
from voicefile.docstore.packing import Prepared, packed_events
from voicefile.docstore.pending import joined
from voicefile.docstore.port import Document

ROWS_MAX = 500
"""Rows of one statement: it takes no more than 32,766 values."""


class Statements(Protocol):
    """What is needed of a collection's table."""

    def sql(self, text: str, index: str | None = None) -> str: ...
    def note_pending(self, db: sqlite3.Connection, document: Document) -> None: ...


@dataclass(frozen=True)
class Change:
    """One document as it will be, and what indexes find it by until then."""

    row: Prepared
    new: Document
    before: Mapping[str, frozenset[Indexed]]


def after(row: Prepared, stored: Document) -> Document:
    """The document once it has replaced the stored one."""
    pending = joined(stored.pending, row.document.pending)
    return replace(row.document, version=stored.version + 1, pending=pending)


def is_version(stored: Document | None, document: Document) -> bool:
    """Whether this very version is what is stored."""
    return stored is not None and (stored.version, stored.tenant) == (
        document.version,
        document.tenant,
    )


def write_changes(
    db: sqlite3.Connection, table: Statements, changes: Sequence[Change], number: int | None
) -> None:
    """Writes what was found to be free of conflicts, inside the writer's transaction.

    `number` tells when they changed; None leaves what they have.
    """
    rows = [
        (each.new.id, each.new.tenant, each.new.version, each.row.body, _events(each), number or 0)
        for each in changes
    ]
    numbered = "" if number is None else ", changed = excluded.changed"
    # An insert that always meets its id: it goes by the index of ids, whatever the planner thinks.
    _all_at_once(
        db,
        table.sql("INSERT INTO DOCUMENTS (id, tenant, version, body, pending, changed) VALUES "),
        rows,
        " ON CONFLICT (id) DO UPDATE SET"
        " version = excluded.version, body = excluded.body, pending = excluded.pending"
        f"{numbered}",
    )
    dropped: dict[tuple[str, str, Indexed], list[str]] = defaultdict(list)
    added: dict[str, list[tuple[str, Indexed, str]]] = defaultdict(list)
    for each in changes:
        new = each.new
        for name, values in each.row.values.items():
            for value in each.before[name] - values:
                dropped[name, new.tenant, value].append(new.id)
            added[name] += [(new.tenant, value, new.id) for value in values - each.before[name]]
        table.note_pending(db, new)
    # By value: given whole entries to look for, the planner would read the whole index.
    for (name, tenant, value), ids in dropped.items():
        which = table.sql("DELETE FROM ENTRIES WHERE tenant = ? AND value = ? AND id IN ", name)
        for start in range(0, len(ids), ROWS_MAX):
            some = ids[start : start + ROWS_MAX]
            db.execute(f"{which}({places_of(len(some))})", (tenant, value, *some))
    for name, entries in added.items():
        _all_at_once(db, table.sql("INSERT INTO ENTRIES VALUES ", name), entries)


def _events(change: Change) -> bytes | None:
    return packed_events(change.new.pending)


def _all_at_once(
    db: sqlite3.Connection, begin: str, rows: Sequence[tuple[object, ...]], end: str = ""
) -> None:
    for start in range(0, len(rows), ROWS_MAX):
        some = rows[start : start + ROWS_MAX]
        places = f"({places_of(len(some[0]))})"
        values = [value for row in some for value in row]
        db.execute(f"{begin}{', '.join([places] * len(some))}{end}", values)


def places_of(count: int) -> str:
    """Where so many values go in a statement."""
    return ", ".join("?" * count)
