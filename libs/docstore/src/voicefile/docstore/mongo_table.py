"""One collection in MongoDB: every change of a document is one compare-and-set of its revision.

    {_id, tenant, version, body: MessagePack, values: {index: value or list}, shape,
     pending: [{id, topic, key, payload}], since, changed, revision, lives, origin,
     writes: [last ids]}

`changed` is the server's time of the last change that anybody asks for (`mongo_changes`).
`revision` grows with every change but settling, through deletion and a new document of the same
id, so a request that comes late finds that it has moved on. `writes` names the last changes and
`origin` the insert: whoever lost an answer finds the own one there. A deleted document stays as
`{_id, gone, revision, …}`, without its content, for as long as somebody may still be asking.
Whatever has to be remembered is on the server: an instance may die between any two lines.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256

from voicefile.docstore.indexing import Indexed
from voicefile.docstore.mongo_fate import Fate, Outcome, Patience, Taken
from voicefile.docstore.mongo_query import Question, written_otherwise
from voicefile.docstore.mongo_row import (
    Arrivals,
    after,
    conflict,
    document_of,
    events_of,
    is_version,
    rows_of,
    shown,
)
from voicefile.docstore.mongo_swap import (
    WRITES_KEPT,
    Rows,
    Swap,
    is_by,
    look,
    look_each,
    new_write,
    swap,
    swap_each,
    swap_one,
)
from voicefile.docstore.mongo_time import UNTIMED, ServerTime
from voicefile.docstore.mongo_together import Row, Together
from voicefile.docstore.packing import Prepared, prepare, unpacked_body, values_of
from voicefile.docstore.port import (
    Collection,
    Document,
    DocumentExists,
    PendingEvent,
    Replaced,
    StoreUnavailable,
    VersionConflict,
)

BYTES_MAX = 16_000_000
"""What one document may hold; the server's own limit is 16 MiB with everything around it."""
SETTLED_AT_ONCE = 25
"""A server may hold up other writes while a command lasts, and a lease waits for a few seconds: a
relay that catches up would lose it by its own commands, and begin anew each time."""
CHANGED_AT_ONCE = 100
"""The same of documents that are replaced together."""
GRAVE_S = 300.0
"""What stays of a deleted document stays this long: ten times the time somebody asks for it."""

_SETTLED = {"$unset": {"pending": "", "since": ""}}
_BURIED = dict.fromkeys(("tenant", "version", "body", "values", "shape", "pending", "since"), "")


@dataclass(frozen=True)
class _New:
    """A document on its way in, and the id of that write."""

    ready: Prepared
    row: Row
    write: bytes


class MongoTable:
    """The documents of one collection."""

    def __init__(
        self,
        collection: Collection,
        rows: Rows,
        patience: Patience,
        *,
        arrivals: Arrivals,
        leftovers: "MongoTable | None" = None,
    ) -> None:
        self.collection = collection
        self.rows = rows
        paths = sorted((each.name, each.path) for each in collection.indexes)
        self.shape = sha256(repr(paths).encode()).hexdigest()[:8] if paths else None
        unique = any(each.unique for each in collection.indexes)
        self._goes_when_settled = collection.ephemeral and not unique
        self._patience = patience
        self._arrivals = arrivals
        self._leftovers = leftovers
        self._inserts = Together(rows.insert_many, size=lambda row: len(row["body"]))
        self._settling = Together(self._settle_all, items_max=SETTLED_AT_ONCE)

    def prepare(self, document: Document) -> Prepared:
        ready = prepare(self.collection, document)
        beside = sum(len(_encoded(each)) for found in ready.values.values() for each in found)
        if len(ready.body) + len(ready.pending or b"") + beside > BYTES_MAX:
            raise ValueError("the document is too large")
        return ready

    async def insert(self, ready: Prepared) -> Document:
        await self.insert_many([ready])
        return replace(ready.document, version=1)

    async def insert_many(self, several: Sequence[Prepared]) -> None:
        news = [self._new(each) for each in several]
        outcomes = await self._inserts.ask([each.row for each in news])
        stored = None in outcomes
        refused = []
        for new, outcome in zip(news, outcomes, strict=True):
            if outcome is None:
                continue
            try:
                await self._insert_surely(new, outcome, Fate(self._patience, bound=stored))
                stored = True
            except DocumentExists as error:
                refused.append(str(error))
        if refused:
            raise DocumentExists(", ".join(refused[:10]))

    async def answers(self, question: Question, limit: int) -> list[Document]:
        found = await self.rows.find(question.query, order=question.order, limit=limit)
        return [document_of(each) for each in found]

    async def waiting(self, limit: int) -> list[tuple[int, str]]:
        """Since when and in which documents events wait, the longest first."""
        found = await self.rows.find(
            {"since": {"$gt": 0}}, order=[("since", 1)], limit=limit, fields={"since": 1}
        )
        return [(each["since"], each["_id"]) for each in found]

    async def carriers(self, first: int, last: int) -> dict[str, Document]:
        """The documents whose events have waited since a number from first to last.

        By numbers, not by ids: the index stands in that order, so it is one run of it, however
        much more waits.
        """
        found = await self.rows.find({"since": {"$gte": first, "$lte": last}})
        for row in found:
            if not row.get("pending"):  # somebody died between the last event and its number
                await self.tidy(row["_id"])
        return {row["_id"]: document_of(row) for row in found if row.get("pending")}

    async def get(self, document_id: str) -> Document | None:
        found = await self.rows.find({"_id": document_id}, limit=1)
        return document_of(found[0]) if found and "gone" not in found[0] else None

    async def replace(self, ready: Prepared) -> Document:
        return await self._replaced(ready, Fate(self._patience))

    async def get_many(self, ids: Sequence[str]) -> list[Document]:
        query = {"_id": {"$in": sorted(set(ids))}, "gone": {"$exists": False}}
        return [document_of(row) for row in await self.rows.find(query, order=[("_id", 1)])]

    async def replace_many(
        self, several: Sequence[Prepared], *, unseen: bool = False
    ) -> list[Replaced]:
        fate = Fate(self._patience)
        replaced: list[Replaced] = []
        for start in range(0, len(several), CHANGED_AT_ONCE):
            some = several[start : start + CHANGED_AT_ONCE]
            replaced += await self._each_replaced(some, fate, unseen=unseen)
        return replaced

    async def _each_replaced(
        self, several: Sequence[Prepared], fate: Fate, *, unseen: bool
    ) -> list[Replaced]:
        found = await look_each(self.rows, [each.document.id for each in several], fate)
        swaps = {}
        for ready in several:
            row = found.get(ready.document.id)
            if row is not None and is_version(row, ready.document):
                swaps[ready.document.id] = self._swap(ready, row, unseen=unseen)
        done = await swap_each(self.rows, list(swaps.values()), fate) if swaps else set()
        if done:
            fate.bind()
        return [
            after(swaps[ready.document.id], ready)
            if ready.document.id in done
            else await self._outcome(ready, swaps.get(ready.document.id), fate)
            for ready in several
        ]

    async def _outcome(self, ready: Prepared, tried: Swap | None, fate: Fate) -> Replaced:
        """Goes on singly where a command for many did not change a document, or perhaps did."""
        try:
            if tried is None:
                raise conflict(self.collection, ready.document)
            if fate.doubtful and await swap_one(self.rows, tried, fate):
                replaced = after(tried, ready)
            else:
                replaced = await self._replaced(ready, fate)
        except (VersionConflict, DocumentExists) as refused:
            return refused
        fate.bind()
        return replaced

    async def _replaced(self, ready: Prepared, fate: Fate) -> Document:
        while True:
            wanted = self._swap(ready, await self._stored(ready.document, fate))
            if await swap_one(self.rows, wanted, fate):
                return after(wanted, ready)
            # Somebody was faster. That it is another version now is said by the next look.

    def _swap(self, ready: Prepared, found: Row, *, unseen: bool = False) -> Swap:
        document = ready.document
        known = {each.id for each in events_of(found)}
        brought = [each for each in document.pending if each.id not in known]
        change = {"$set": {"version": document.version + 1, **self._content(ready)}}
        push = {"pending": {"$each": rows_of(brought)}}
        if brought:
            # The smaller number stays: who has waited longer keeps its place. It is set even
            # where one stands, because the last event before these may be settled meanwhile.
            change["$min"] = {"since": self._arrivals.number()}
        return Swap(found, change, new_write(), push if brought else None, unseen)

    async def delete(self, document: Document) -> None:
        write = new_write()
        fate = Fate(self._patience)
        while True:
            found = await self._stored(document, fate)
            # Data before pointer: published twice if we die here, never lost.
            left = await self._leave_events(document.tenant, events_of(found))
            change = {"$set": {"gone": _now_ms()}, "$unset": _BURIED}
            if await swap(self.rows, found, change, write, fate):
                return
            if left is not None and self._leftovers is not None:
                with suppress(StoreUnavailable):  # then they are published twice
                    await self._leftovers.rows.delete_one({"_id": left})

    async def settle(self, document_id: str, event_ids: set[str]) -> None:
        """Unanswered, this is no harm: who does it again does the same."""
        ids = sorted(event_ids)
        everything: Row = {
            "_id": document_id,
            "pending": {"$size": len(ids)},
            "pending.id": {"$all": ids},
        }
        if not ids:
            return
        if self.collection.ephemeral:
            everything["version"] = 1
        [settled] = await self._settling.ask([everything])
        if isinstance(settled, StoreUnavailable):
            raise settled
        if settled:
            return
        some = {"_id": document_id, "pending.id": {"$in": ids}}
        if await self.rows.update_one(some, {"$pull": {"pending": {"id": {"$in": ids}}}}):
            await self.tidy(document_id)

    async def _settle_all(self, queries: list[Row]) -> list[bool | StoreUnavailable]:
        """Settles of each document what is said, if nothing else waits there; of each, whether."""
        try:
            async with self._arrivals.settling:
                if self.collection.ephemeral:
                    done = await self.rows.delete_each(queries)
                else:
                    done = await self.rows.update_each(queries, _SETTLED)
            if done == len(queries):
                return [True] * len(queries)
            # Some have changed meanwhile, and the server counts without saying which.
            asked = {"_id": {"$in": [each["_id"] for each in queries]}, "since": {"$gt": 0}}
            waiting = {each["_id"] for each in await self.rows.find(asked, fields={"_id": 1})}
        except StoreUnavailable as failed:
            return [failed] * len(queries)
        return [each["_id"] not in waiting for each in queries]

    async def tidy(self, document_id: str) -> None:
        """Takes away what is left of a document, or of its waiting, after its last event."""
        settled = {"_id": document_id, "pending": {"$size": 0}}
        if not self.collection.ephemeral:
            await self.rows.update_one(settled, _SETTLED)
            return
        # One that was never changed leaves no trace: a second insert of it doubles an event.
        if await self.rows.delete_one({**settled, "version": 1}):
            return
        gone = {"$set": {"gone": _now_ms()}, "$unset": _BURIED, "$inc": {"revision": 1}}
        await self.rows.update_one(settled, gone)

    async def remove_graves(self, oldest_mark: ServerTime | None = None) -> None:
        """What is left of documents that were deleted long ago, and before all marks."""
        query: Row = {"gone": {"$lt": _now_ms() - round(GRAVE_S * 1000)}}
        if oldest_mark is not None and self.collection.follows:
            # One of older code has no time, and no mark is as old.
            query["$or"] = [{"changed": {"$lte": oldest_mark}}, {"changed": {"$exists": False}}]
        await self.rows.delete_many(query)

    async def mend(self, limit: int = 100) -> None:
        """Computes anew what indexes see in documents written under other declarations."""
        if self.shape is None:
            return
        for others in written_otherwise(self.shape):
            moved = True
            while moved:
                moved = False
                for row in await self.rows.find(others, limit=limit):
                    values = values_of(self.collection, unpacked_body(row["body"]))
                    new = {"values": shown(values), "shape": self.shape}
                    seen = {"_id": row["_id"], "revision": row["revision"]}
                    moved = await self.rows.update_one(seen, {"$set": new}) or moved

    def _new(self, ready: Prepared) -> _New:
        document, write = ready.document, new_write()
        row = {
            "_id": document.id,
            "tenant": document.tenant,
            "version": 1,
            **self._content(ready),
            "changed": UNTIMED,
            "revision": 1,
            "lives": 1,
            "origin": write,
            "writes": [write],
        }
        if document.pending:
            row |= {"pending": rows_of(document.pending), "since": self._arrivals.number()}
        return _New(ready, row, write)

    def _content(self, ready: Prepared) -> Row:
        shape = {} if self.shape is None else {"shape": self.shape}
        return {"body": ready.body, "values": shown(ready.values), **shape}

    async def _insert_surely(self, new: _New, outcome: Outcome, fate: Fate) -> None:
        """Goes on after a first attempt that was not simply stored."""
        while outcome is not None:
            if not isinstance(outcome, Taken):
                await fate.again(outcome)
            elif await self._stored_after_all(new, fate):
                return
            [outcome] = await self._inserts.ask([new.row])

    async def _stored_after_all(self, new: _New, fate: Fate) -> bool:
        """Who has what the insert wants: it itself, a deleted document, or another one."""
        document = new.ready.document
        exists = DocumentExists(f"{self.collection.name} {document.id}")
        found = await look(self.rows, document.id, fate)
        if found is None and fate.doubtful and self._goes_when_settled:
            # Nothing but its id can have been taken, and that by the first attempt: it came
            # through, and its events have been published since.
            return True
        if found is None:
            # A value in a unique index stands elsewhere. A first attempt that is still on its way
            # could find it free later: a grave keeps that one out.
            if fate.doubtful and not await self._closed(document.id):
                return False
            raise exists
        if is_by(found, new.write):
            return True
        if "gone" not in found:
            if fate.doubtful and found["lives"] > 1 and found["revision"] > WRITES_KEPT:
                raise fate.lost()
            raise exists
        kept = ("_id", "changed", "revision", "lives", "writes")
        change = {
            "$set": {name: value for name, value in new.row.items() if name not in kept},
            "$unset": {"gone": ""},
            "$inc": {"lives": 1},
        }
        return await swap(self.rows, found, change, new.write, fate)

    async def _closed(self, document_id: str) -> bool:
        grave = {"_id": document_id, "gone": _now_ms(), "body": b"", "changed": UNTIMED}
        grave |= {"revision": 1, "lives": 1, "origin": new_write(), "writes": []}
        return await self._inserts.ask([grave]) == [None]

    async def _stored(self, document: Document, fate: Fate) -> Row:
        found = await look(self.rows, document.id, fate)
        if found is None or not is_version(found, document):
            raise conflict(self.collection, document)
        return found

    async def _leave_events(self, tenant: str, events: tuple[PendingEvent, ...]) -> str | None:
        if not events or self._leftovers is None:
            return None
        left = Document(secrets.token_hex(16), tenant, {}, pending=events)
        await self._leftovers.insert(self._leftovers.prepare(left))
        return left.id


def _encoded(value: Indexed) -> bytes:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
