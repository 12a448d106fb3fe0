"""What is asked of a MongoDB collection, and the indexes that answer it without passing by others.

Each declared index is kept twice, tenant first and for everybody, over `values.<name>`. A series
that has several numbers in one document is ordered by the smallest (the largest, for the newest)
of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voicefile.docstore.indexing import Indexed
from voicefile.docstore.port import INT_MAX, INT_MIN, Collection

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UP, _DOWN = 1, -1
CHANGED = "changed"
"""The index of collections that are followed."""


@dataclass(frozen=True)
class Question:
    """A query and the order of its answers."""

    query: dict[str, Any]
    order: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class ServerIndex:
    """An index as the server knows it."""

    name: str
    keys: tuple[str, ...]
    sparse: bool = False
    """Documents that lack the key are not in it: any number may lack a unique one."""
    unique: bool = False


def check_names(collection: Collection) -> None:
    for name in (collection.name, *(index.name for index in collection.indexes)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} does not name a collection or an index")


def wanted_indexes(collection: Collection) -> list[ServerIndex]:
    """All that a collection's questions need. A name says everything about its index."""
    wanted = [
        ServerIndex("tenant", ("tenant", "_id")),
        ServerIndex("waiting", ("since",), sparse=True),
        ServerIndex("graves", ("gone",), sparse=True),
    ]
    if collection.follows:
        wanted.append(ServerIndex(CHANGED, ("changed",), sparse=True))
    if collection.indexes:
        wanted.append(ServerIndex("shape", ("shape",)))
    for index in collection.indexes:
        value = f"values.{index.name}"
        wanted += [
            ServerIndex(f"own/{index.name}", ("tenant", value, "_id")),
            ServerIndex(f"all/{index.name}", (value, "_id")),
        ]
        if index.unique:
            wanted.append(ServerIndex(f"one/{index.name}", (value,), sparse=True, unique=True))
    return wanted


def equal(
    collection: Collection, index: str, value: Indexed, *, tenant: str | None, after: str
) -> Question:
    query = {_path(collection, index): _plain(value), "_id": {"$gt": after}}
    return Question(_of(tenant, query), [("_id", _UP)])


def any_of(
    collection: Collection, index: str, values: Sequence[str], *, tenant: str | None
) -> Question:
    query = {_path(collection, index): {"$in": [_plain(each) for each in values]}}
    return Question(_of(tenant, query), [("_id", _UP)])


def in_numbers(
    collection: Collection, index: str, start: int, until: int, *, tenant: str | None
) -> Question:
    path = _path(collection, index)
    return Question(_of(tenant, {path: _between(start, until)}), [(path, _UP), ("_id", _UP)])


def largest_number(collection: Collection, index: str, *, tenant: str | None) -> Question:
    path = _path(collection, index)
    numbers = _between(INT_MIN, INT_MAX)
    return Question(_of(tenant, {path: numbers}), [(path, _DOWN), ("_id", _DOWN)])


def written_otherwise(shape: str) -> list[dict[str, Any]]:
    """Documents whose values were computed under other declarations, each range by itself.

    All but one value is no run of an index: a server may go through what is as it should be.
    """
    # All shapes are as long as each other, so one that follows it follows it with a digit, too.
    others: list[object] = [None, {"$lt": shape}, {"$gt": f"{shape}0"}]
    return [{"shape": each, "gone": {"$exists": False}} for each in others]


def everything(*, tenant: str | None, after: str) -> Question:
    query = {"_id": {"$gt": after}, "gone": {"$exists": False}}
    return Question(_of(tenant, query), [("_id", _UP)])


def _between(start: int, until: int) -> dict[str, int]:
    # Never without a start: a server may begin where there are no numbers at all.
    return {"$gte": int(start), "$lte": int(until)}


def _of(tenant: str | None, query: dict[str, Any]) -> dict[str, Any]:
    return query if tenant is None else {"tenant": tenant, **query}


def _path(collection: Collection, index: str) -> str:
    if index not in {each.name for each in collection.indexes}:
        raise ValueError(f"{collection.name} declares no index {index!r}")
    return f"values.{index}"


def _plain(value: Indexed) -> Indexed:
    """Without the class of an enum, which the driver would not know."""
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else bytes(value)
