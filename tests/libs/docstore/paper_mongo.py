"""A MongoDB collection on paper: just what the store asks of one, and a network that loses things.

What a real server does with the same requests is said by the law; here every request may be
carried out and not answered, never arrive, or arrive when nobody waits for it any more.
"""

import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from voicefile.docstore.mongo_fate import NotDone, Outcome, Taken, Unanswered
from voicefile.docstore.packing import unpacked_body

Row = dict[str, Any]
MISSING = object()

asking: ContextVar[int] = ContextVar("asking")
"""Which deed a request belongs to."""


@dataclass
class Network:
    """How likely each mishap is. `late` requests wait until `deliver`."""

    chance: random.Random
    lost: float = 0.0
    dropped: float = 0.0
    late: float = 0.0
    away: float = 0.0
    spares_reads: bool = False
    waiting: list[Any] = field(default_factory=list)

    async def carry(self, request: Any) -> Any:
        drawn = self.chance.random()
        for mishap in ("lost", "dropped", "late", "away"):
            if drawn < getattr(self, mishap):
                return self.fail(mishap, request)
            drawn -= getattr(self, mishap)
        return request()

    def fail(self, mishap: str, request: Any) -> Any:
        if mishap == "away":
            raise NotDone("away")
        if mishap == "lost":
            quietly(request)
        if mishap == "late":
            self.waiting.append(request)
        raise Unanswered(mishap)

    def deliver(self, most: int) -> None:
        for _ in range(min(most, len(self.waiting))):
            quietly(self.waiting.pop(self.chance.randrange(len(self.waiting))))

    def heal(self) -> None:
        self.lost = self.dropped = self.late = self.away = 0.0


def quietly(request: Any) -> None:
    try:
        request()
    except Taken:
        return


class PaperRows:
    """Rows on paper; notes in `done` which deed's change was carried out, each time it was."""

    def __init__(self, network: Network, *, unique: Sequence[str] = ()) -> None:
        self.network = network
        self.unique = unique
        self.rows: dict[str, Row] = {}
        self.done: list[tuple[int, str]] = []

    async def find(
        self,
        query: Row,
        *,
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        fields: Mapping[str, int] | None = None,
    ) -> list[Row]:
        def read() -> list[Row]:
            found = [row for row in self.rows.values() if matches(row, query)]
            return deepcopy(found[:limit] if limit else found)

        return read() if self.network.spares_reads else await self.network.carry(read)

    async def insert_many(self, rows: list[Row]) -> list[Outcome]:
        def insert() -> list[Outcome]:
            return [self._insert(deepcopy(row)) for row in rows]

        try:
            return await self.network.carry(insert)
        except (NotDone, Unanswered) as failed:
            return [failed] * len(rows)

    async def update_one(self, query: Row, update: Row) -> bool:
        deed = deed_of(update)
        return await self.network.carry(lambda: self._update(deepcopy(query), update, deed))

    async def update_each(self, queries: Sequence[Row], update: Row) -> int:
        deed, each = asking.get(), deepcopy(list(queries))
        return await self.network.carry(
            lambda: sum(self._update(query, update, deed) for query in each)
        )

    async def change_each(self, changes: Sequence[tuple[Row, Row]]) -> int:
        each = [(deepcopy(query), update, deed_of(update)) for query, update in changes]

        def change() -> int:
            count, refused = 0, False
            for query, update, deed in each:
                try:
                    count += self._update(query, update, deed)
                except Taken:
                    refused = True
            if refused:
                raise Taken
            return count

        return await self.network.carry(change)

    async def delete_one(self, query: Row) -> bool:
        return await self.network.carry(lambda: self._delete(query))

    async def delete_each(self, queries: Sequence[Row]) -> int:
        return await self.network.carry(lambda: sum(map(self._delete, queries)))

    async def delete_many(self, query: Row) -> None:
        raise NotImplementedError

    def _insert(self, row: Row) -> Outcome:
        if row["_id"] in self.rows or self._collides(row):
            return Taken()
        self.rows[row["_id"]] = row
        if "gone" not in row and "by" in (body := unpacked_body(row["body"])):
            self.done.append((body["by"], "insert"))
        return None

    def _delete(self, query: Row) -> bool:
        found = next((row for row in self.rows.values() if matches(row, query)), None)
        if found is not None:
            del self.rows[found["_id"]]
        return found is not None

    def _update(self, query: Row, update: Row, deed: int) -> bool:
        found = next((row for row in self.rows.values() if matches(row, query)), None)
        if found is None:
            return False
        new = changed(found, deepcopy(update))
        if self._collides(new):
            raise Taken
        self.rows[new["_id"]] = new
        if "gone" in update.get("$set", {}):
            self.done.append((deed, "delete"))
        elif "version" in update.get("$set", {}):
            self.done.append((deed, "insert" if "gone" in found else "replace"))
        return True

    def _collides(self, row: Row) -> bool:
        return any(
            at(row, path) is not MISSING and at(row, path) == at(other, path)
            for path in self.unique
            for other in self.rows.values()
            if other["_id"] != row["_id"]
        )


def deed_of(update: Row) -> int:
    """What is written says whose it is; of many, each is another deed."""
    body = update.get("$set", {}).get("body")
    return int(unpacked_body(body)["by"]) if body else asking.get()


def at(row: Row, path: str) -> Any:
    for part in path.split("."):
        if isinstance(row, list):
            return [each[part] for each in row]
        if part not in row:
            return MISSING
        row = row[part]
    return row


def matches(row: Row, query: Row) -> bool:
    return all(fits(at(row, path), wanted) for path, wanted in query.items())


def fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return value == wanted
    held = value if isinstance(value, list) else [value]
    tests = {
        "$size": lambda n: isinstance(value, list) and len(value) == n,
        "$all": lambda several: set(several) <= set(held),
        "$in": lambda several: any(each in held for each in several),
        "$gt": lambda least: value is not MISSING and value > least,
    }
    return all(tests[name](operand) for name, operand in wanted.items())


def changed(row: Row, update: Row) -> Row:
    new = deepcopy(row)
    new.update(update.get("$set", {}))
    for name in update.get("$unset", {}):
        new.pop(name, None)
    for name, more in update.get("$inc", {}).items():
        new[name] = new.get(name, 0) + more
    for name, less in update.get("$min", {}).items():
        new[name] = min(new.get(name, less), less)
    for name, push in update.get("$push", {}).items():
        new[name] = [*new.get(name, []), *push["$each"]]
        if "$slice" in push:
            new[name] = new[name][push["$slice"] :]
    for name, pull in update.get("$pull", {}).items():
        new[name] = [each for each in new[name] if not matches(each, pull)]
    return new
