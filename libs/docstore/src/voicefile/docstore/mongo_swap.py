"""One change of one document in MongoDB, carried out once or surely not at all.

Every change is a compare-and-set of the document's revision and leaves its random id behind. So
it can be tried again as often as it takes: what was carried out is found by its id, and what was
not can't come late once the revision has moved on.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from voicefile.docstore.mongo_fate import Fate, NotDone, Outcome, Taken
from voicefile.docstore.mongo_together import Row
from voicefile.docstore.port import DocumentExists, StoreUnavailable

WRITES_KEPT = 8
"""Ids of the last changes that a document keeps for those who lost an answer."""

CHANGED_NOW: Final = {"changed": {"$type": "timestamp"}}
"""When it changed, as the server that holds the majority counts time: it never goes back."""
_NO_CONTENT = {"body": 0, "values": 0}


class Rows(Protocol):
    """A collection at the driver. Raises NotDone or Unanswered; what changes also Taken."""

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
    async def change_each(self, changes: Sequence[tuple[Row, Row]]) -> int: ...
    async def delete_one(self, query: Row) -> bool: ...
    async def delete_each(self, queries: Sequence[Row]) -> int: ...
    async def delete_many(self, query: Row) -> None: ...


def new_write() -> bytes:
    return secrets.token_bytes(8)


@dataclass(frozen=True)
class Swap:
    """A change of one document as it was seen, and the id that it leaves behind."""

    seen: Row
    change: Row
    write: bytes
    push: Row | None = None
    unseen: bool = False
    """Not a change that anybody asks for, so it keeps the time of the one before."""

    @property
    def unmoved(self) -> Row:
        return {"_id": self.seen["_id"], "revision": self.seen["revision"]}

    @property
    def traced(self) -> Row:
        written = {"$each": [self.write], "$slice": -WRITES_KEPT}
        seen = {} if self.unseen else {"$currentDate": dict(CHANGED_NOW)}
        return {
            **self.change,
            **seen,
            "$inc": {"revision": 1, **self.change.get("$inc", {})},
            "$push": {"writes": written, **(self.push or {})},
        }


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


async def look_each(rows: Rows, ids: Sequence[str], fate: Fate) -> dict[str, Row]:
    """The same of several, by id."""
    while True:
        try:
            found = await rows.find({"_id": {"$in": list(ids)}}, fields=_NO_CONTENT)
        except StoreUnavailable:
            await fate.again(NotDone("reading"))
        else:
            return {row["_id"]: row for row in found}


async def swap(
    rows: Rows, seen: Row, change: Row, write: bytes, fate: Fate, *, push: Row | None = None
) -> bool:
    """Changes the document if its revision is still the seen one; False: surely nothing."""
    return await swap_one(rows, Swap(seen, change, write, push), fate)


async def swap_one(rows: Rows, wanted: Swap, fate: Fate) -> bool:
    """The same of a change that may have been tried before; then the fate is in doubt."""
    unmoved, traced = wanted.unmoved, wanted.traced
    seen, write = wanted.seen, wanted.write
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


async def swap_each(rows: Rows, wanted: Sequence[Swap], fate: Fate) -> set[str]:
    """Tries several changes in one command; the ids of the documents that surely were changed.

    The others were not, unless the fate is in doubt now: then `swap_one` says it of each.
    """
    try:
        done = await rows.change_each([(each.unmoved, each.traced) for each in wanted])
        if done == len(wanted):
            return {each.seen["_id"] for each in wanted}
        if done:
            fate.bind()
    except Taken:
        fate.bind()  # some were refused, and of the others nothing is known yet
    except StoreUnavailable as failed:
        await fate.again(failed)
    # The server counts without saying which; each change has left its id.
    found = await look_each(rows, [each.seen["_id"] for each in wanted], fate)
    ids = {each.seen["_id"]: each.write for each in wanted}
    return {name for name, row in found.items() if is_by(row, ids[name])}


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
