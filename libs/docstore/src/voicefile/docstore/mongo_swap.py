"""One change of one document in MongoDB, carried out once or surely not at all.

Every change is a compare-and-set of the document's revision and leaves its random id behind. So
it can be tried again as often as it takes: what was carried out is found by its id, and what was
not can't come late once the revision has moved on.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

from voicefile.docstore.mongo_fate import Fate, NotDone, Outcome, Taken
from voicefile.docstore.mongo_together import Row
from voicefile.docstore.port import DocumentExists, StoreUnavailable

WRITES_KEPT = 8
"""Ids of the last changes that a document keeps for those who lost an answer."""

_NO_CONTENT = {"body": 0, "values": 0}


class Rows(Protocol):
    """A collection at the driver. Raises NotDone or Unanswered; update_one also Taken."""

    async def find(
        self,
        query: Row,
        *,
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        fields: Mapping[str, int] | None = None,
    ) -> list[Row]: ...
    async def insert_many(self, rows: list[Row]) -> list[Outcome]: ...
    async def update_one(self, query: Row, update: Row) -> bool: ...
    async def update_each(self, queries: Sequence[Row], update: Row) -> int: ...
    async def delete_one(self, query: Row) -> bool: ...
    async def delete_each(self, queries: Sequence[Row]) -> int: ...
    async def delete_many(self, query: Row) -> None: ...


def new_write() -> bytes:
    return secrets.token_bytes(8)


def is_by(found: Row, write: bytes) -> bool:
    """Whether this write is among the last that changed the document, or made it."""
    return write == found["origin"] or write in found["writes"]


async def look(rows: Rows, document_id: str, fate: Fate) -> Row | None:
    """The document without its content, or what is left of it."""
    while True:
        try:
            found = await rows.find({"_id": document_id}, limit=1, fields=_NO_CONTENT)
        except StoreUnavailable:
            await fate.again(NotDone("reading"))
        else:
            return found[0] if found else None


async def swap(
    rows: Rows, seen: Row, change: Row, write: bytes, fate: Fate, *, push: Row | None = None
) -> bool:
    """Changes the document if its revision is still the seen one; False: surely nothing."""
    traced = {
        **change,
        "$inc": {"revision": 1, **change.get("$inc", {})},
        "$push": {"writes": {"$each": [write], "$slice": -WRITES_KEPT}, **(push or {})},
    }
    unmoved = {"_id": seen["_id"], "revision": seen["revision"]}
    while True:
        try:
            if await rows.update_one(unmoved, traced):
                return True
        except Taken:
            if fate.doubtful and await _came_after_all(rows, seen, write, fate):
                return True
            raise DocumentExists("a unique value stands in another document") from None
        except StoreUnavailable as failed:
            await fate.again(failed)
            continue
        if not fate.doubtful:
            return False
        happened = await _happened(rows, seen, write, fate)
        if happened is not None:
            return happened
        await fate.pause()


async def _happened(rows: Rows, seen: Row, write: bytes, fate: Fate) -> bool | None:
    """Whether a change whose answer was lost was carried out; None: the read lags behind."""
    found = await look(rows, seen["_id"], fate)
    if found is None:
        return False  # Only what was never changed goes without a trace.
    if is_by(found, write):
        return True
    moved = found["revision"] - seen["revision"]
    if moved > WRITES_KEPT:
        raise fate.lost()
    return False if moved > 0 else None


async def _came_after_all(rows: Rows, seen: Row, write: bytes, fate: Fate) -> bool:
    """After a refusal in doubt: moves the revision on, so that no late attempt can succeed."""
    await swap(rows, seen, {}, new_write(), fate)
    found = await look(rows, seen["_id"], fate)
    return found is not None and is_by(found, write)
