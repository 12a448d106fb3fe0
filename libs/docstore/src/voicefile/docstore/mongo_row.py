"""How a document stands in MongoDB, and how it is read out of there again."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from voicefile.docstore.mongo_swap import Swap
from voicefile.docstore.mongo_together import Row
from voicefile.docstore.packing import Prepared, unpacked_body
from voicefile.docstore.pending import joined
from voicefile.docstore.port import Collection, Document, PendingEvent, VersionConflict


def document_of(row: Row) -> Document:
    body = unpacked_body(row["body"])
    return Document(row["_id"], row["tenant"], body, row["version"], events_of(row))


def is_version(row: Row, document: Document) -> bool:
    """Whether this very version is what stands in the row."""
    return (row.get("version"), row.get("tenant")) == (document.version, document.tenant)


def conflict(collection: Collection, document: Document) -> VersionConflict:
    """Another version stands there, or nothing."""
    return VersionConflict(f"{collection.name} {document.id} v{document.version}")


def after(done: Swap, ready: Prepared) -> Document:
    """The document as it is once its swap is done."""
    document = ready.document
    pending = joined(events_of(done.seen), document.pending)
    return replace(document, version=document.version + 1, pending=pending)


def events_of(row: Row) -> tuple[PendingEvent, ...]:
    return tuple(PendingEvent(**each) for each in row.get("pending", ()))


def rows_of(events: Sequence[PendingEvent]) -> list[Row]:
    names = ("id", "topic", "key", "payload")
    return [{name: getattr(each, name) for name in names} for each in events]


def shown(values: Mapping[str, frozenset[Any]]) -> Row:
    """As an index takes them: a single value bare, since only so does its order serve a series."""
    return {
        name: next(iter(found)) if len(found) == 1 else list(found)
        for name, found in values.items()
        if found
    }


class Arrivals:
    """Numbers by which events wait: one after the other here, about the time among instances."""

    def __init__(self) -> None:
        self._last = 0
        self.settling = asyncio.Lock()
        """Held by the one collection of a store whose events are being settled."""

    def number(self) -> int:
        self._last = max(self._last + 1, time.time_ns())
        return self._last
