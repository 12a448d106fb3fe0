"""What has changed in a MongoDB store since a mark, by the server's own time of each change.

The server sets that time in the write itself, and it only grows, through an election and whatever
its clock does. It is set a moment before the write can be seen: so a mark lies OVERLAP_S before the
time at which it was made, and some changes are told of twice. A mark is acknowledged by a majority,
and with it is every write from before: none of them can be seen later than that.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from voicefile.docstore.mongo_swap import Rows
from voicefile.docstore.mongo_time import UNTIMED, ServerTime, before
from voicefile.docstore.mongo_together import Row
from voicefile.docstore.port import MARK_S, Collection, MarkUnknown

OVERLAP_S: Final = 300
"""Far longer than one write stays in a server between its time and its being seen."""
TAKEN_OVER_S: Final = 24 * 3_600
"""For so long after a store of older code was taken over, some of that code may still be writing,
without times of changes. No mark is made meanwhile."""
_MARK: Final = "mark/"
_MARKS: Final = {"_id": {"$gte": _MARK, "$lt": f"{_MARK}g"}}
_FIRST_WITH_TIMES: Final = 2


class Notes(Protocol):
    """The documents of `_store`."""

    async def note(self, note_id: str, change: dict[str, Any]) -> dict[str, Any]:
        """Changes one, or makes it; answers it."""

    async def notes(self, query: dict[str, Any]) -> list[dict[str, Any]]: ...
    async def forget_notes(self, query: dict[str, Any]) -> None: ...


class Table(Protocol):
    """What is needed of a collection's table."""

    @property
    def collection(self) -> Collection: ...
    @property
    def rows(self) -> Rows: ...


class Marks:
    """The marks of one database."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def make(self, tables: Sequence[Table]) -> str:
        """A new mark; empty where it could promise nothing.

        It lies before all documents that still carry events: settling sets no time.
        """
        name = secrets.token_hex(16)
        at = await self._now(f"{_MARK}{name}")
        if at is None or not await self._all_have_times():
            return ""
        waiting = [await _oldest_waiting(each) for each in tables if each.collection.follows]
        since = min([at, *(each for each in waiting if each is not None)])
        since = before(since, OVERLAP_S)
        if since == UNTIMED:
            return ""
        await self._notes.note(f"{_MARK}{name}", {"$set": {"since": since}})
        return name

    async def oldest(self) -> ServerTime | None:
        """Where the oldest mark lies; what is deleted since has to stay. Forgets what is too old.

        A mark that is being made is no older than the time of this.
        """
        # One of the future was made by a clock that was wrong: nobody knows how old it is.
        for wrong in ({"$lt": _now_ms() - MARK_S * 1000}, {"$gt": _now_ms() + MARK_S * 1000}):
            await self._notes.forget_notes({**_MARKS, "made_at_ms": wrong})
        found = await self._notes.notes(_MARKS)
        return min((_floor(each) for each in found), default=None)

    async def forget_all(self) -> None:
        await self._notes.forget_notes(_MARKS)

    async def changed(self, table: Table, since: str, limit: int) -> list[str]:
        """Raises MarkUnknown."""
        if not table.collection.follows:
            raise ValueError(f"changes of {table.collection.name} are not kept")
        mark = await self._known(since)
        later: Row = {"changed": {"$gt": mark}}
        found = await table.rows.find(later, limit=limit, fields={"_id": 1})
        # A server that does not put its time into an insert leaves nought: always told of.
        untimed: Row = {"changed": UNTIMED}
        found += await table.rows.find(untimed, limit=limit, fields={"_id": 1})
        # Afterwards: as long as a mark stands, all that is gone since stands, too.
        await self._known(since)
        return sorted({row["_id"] for row in found})[:limit]

    async def _known(self, name: str) -> ServerTime:
        found = await self._notes.notes({"_id": f"{_MARK}{name}"})
        if not found or "since" not in found[0]:
            raise MarkUnknown
        since: ServerTime = found[0]["since"]
        return since

    async def _now(self, note_id: str) -> ServerTime | None:
        now = {"$currentDate": {"at": {"$type": "timestamp"}}, "$set": {"made_at_ms": _now_ms()}}
        at = (await self._notes.note(note_id, now)).get("at")
        return at if isinstance(at, ServerTime) else None

    async def _all_have_times(self) -> bool:
        [found] = await self._notes.notes({"_id": "format"})
        if found.get("born", 0) >= _FIRST_WITH_TIMES:
            return True
        taken_over = await self._notes.note("changes", {"$min": {"begun_at_ms": _now_ms()}})
        return bool(_now_ms() - taken_over["begun_at_ms"] >= TAKEN_OVER_S * 1000)


def _floor(mark: Mapping[str, Any]) -> ServerTime:
    """Nothing that a mark may still ask for is older."""
    since = mark.get("since")
    return since if isinstance(since, ServerTime) else UNTIMED


async def _oldest_waiting(table: Table) -> ServerTime | None:
    """When what still carries events was changed; long ago, if nobody knows."""
    waiting: Row = {"since": {"$gt": 0}, "changed": {"$ne": UNTIMED}}
    found = await table.rows.find(waiting, order=[("changed", 1)], limit=1, fields={"changed": 1})
    changed: ServerTime | None = found[0].get("changed", UNTIMED) if found else None
    return changed


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
