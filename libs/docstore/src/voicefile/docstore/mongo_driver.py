"""The one door to MongoDB's driver: a connection with limits, and its errors in our words.

Writes are acknowledged by a majority that has journaled them, reads see only what a majority
holds. TLS always. The driver retries no write: that is done where it is known what it did.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from motor.frameworks import asyncio as threads
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import (
    DeleteOne,
    IndexModel,
    ReadPreference,
    ReturnDocument,
    UpdateOne,
    WriteConcern,
    errors,
)
from pymongo.read_concern import ReadConcern

from voicefile.docstore.mongo_fate import NotDone, Outcome, Taken, Unanswered
from voicefile.docstore.mongo_query import ServerIndex
from voicefile.docstore.mongo_schema import STORE
from voicefile.docstore.mongo_together import Row

T = TypeVar("T")

INDEX_BUILD_S_MAX = 600.0
"""How long opening waits for a new index over what is stored."""

NOTE_TRIES = 10

_INDEX_NOT_FOUND = 27
_NO_PRIMARY = frozenset({10058, 10107, 13435, 13436})
"""Refused before anything was done: this server writes nothing now."""
_INTERRUPTED = frozenset({6, 7, 50, 64, 79, 89, 91, 100, 134, 189, 262, 9001, 11600, 11602})
"""Ended on the way or not confirmed by a majority: it may have been done."""
_TAKEN = frozenset({11000, 11001, 12582})


@dataclass(frozen=True)
class Limits:
    """How long, and how much at once."""

    choose_s: float = 5.0
    """Until a server is found that takes writes."""
    answer_s: float = 10.0
    """Until the server has answered a command."""
    room_s: float = 30.0
    """Until there is room for a call while the server works; where it is away, all are told."""
    fate_s: float = 30.0
    """Until it is known what became of a write; after that the store is broken."""
    connections: int = 32
    """Calls at once, but no more than the driver has threads; further ones wait for room."""


class Door:
    """One database, through one client. To be used from the loop that made it."""

    def __init__(
        self,
        uri: str,
        database: str,
        *,
        tls_ca: Path | None,
        tls_certificate: Path | None,
        limits: Limits,
    ) -> None:
        choose_ms, answer_ms = round(limits.choose_s * 1000), round(limits.answer_s * 1000)
        self._limits = limits
        # A call takes one of the driver's threads. Who waited for a thread with the server away
        # could not tell that from an answer that was lost.
        at_once = min(limits.connections, threads.max_workers)
        self._room = asyncio.Semaphore(at_once)
        self._doing: set[asyncio.Future[Any]] = set()
        self._away_s = 0.0
        self._client: AsyncIOMotorClient[Row] = AsyncIOMotorClient(
            uri,
            io_loop=asyncio.get_running_loop(),
            appname="voicefile",
            tls=True,
            tlsCAFile=None if tls_ca is None else str(tls_ca),
            tlsCertificateKeyFile=None if tls_certificate is None else str(tls_certificate),
            retryWrites=False,
            retryReads=True,
            maxPoolSize=at_once,
            serverSelectionTimeoutMS=choose_ms,
            connectTimeoutMS=choose_ms,
            waitQueueTimeoutMS=choose_ms,
            socketTimeoutMS=answer_ms,
        )
        self._database = self._client.get_database(
            database,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )

    def rows(self, collection: str) -> "DriverRows":
        return DriverRows(self, self._database[collection])

    async def call(self, command: Callable[[], Awaitable[T]]) -> T:
        """Does one thing at the server. Raises NotDone, Unanswered or Taken."""
        await self._enter()
        # owned: until `close`. A caller that leaves does not end what a thread is doing, nor does
        # its room become free before.
        doing = asyncio.ensure_future(command())
        self._doing.add(doing)
        doing.add_done_callback(self._done)
        try:
            # The driver keeps these limits itself; this one is for what it might forget.
            async with asyncio.timeout(self._limits.choose_s + self._limits.answer_s):
                return await asyncio.shield(doing)
        except TimeoutError as error:
            raise Unanswered("no answer in time") from error
        except errors.PyMongoError as error:
            if isinstance(error, errors.ServerSelectionTimeoutError):
                self._away_s = time.monotonic()
            raise told(error) from error

    async def _enter(self) -> None:
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.room_s):
                await self._room.acquire()
        except TimeoutError:
            raise NotDone("too many calls wait for the store") from None
        if self._away_s > begun_s:
            # Found out by another call while this one waited: each in turn would take too long.
            self._room.release()
            raise NotDone("no server was found meanwhile")

    def _done(self, doing: "asyncio.Future[Any]") -> None:
        self._doing.discard(doing)
        self._room.release()
        if not doing.cancelled():
            doing.exception()  # has been told to whoever still waited

    async def note(self, note_id: str, change: Row) -> Row:
        async def upsert() -> Row:
            found: Row | None = await self._database[STORE].find_one_and_update(
                {"_id": note_id}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
            if found is None:  # what SecantusDB says where MongoDB says that it is taken
                raise Taken
            return found

        for _ in range(NOTE_TRIES):
            with suppress(Taken):  # made by another instance in the same moment
                return await self.call(upsert)
        raise NotDone("others make the same note over and over")

    async def notes(self, query: Row) -> list[Row]:
        return await self.rows(STORE).find(query)

    async def forget_notes(self, query: Row) -> None:
        await self.rows(STORE).delete_many(query)

    async def indexes(self, collection: str) -> set[str]:
        found = await self.call(self._database[collection].index_information)
        return set(found) - {"_id_"}

    async def make_indexes(self, collection: str, indexes: Sequence[ServerIndex]) -> None:
        models = [
            IndexModel(
                [(key, 1) for key in each.keys],
                name=each.name,
                unique=each.unique,
                sparse=each.sparse,
            )
            for each in indexes
        ]
        until_s = time.monotonic() + INDEX_BUILD_S_MAX
        while True:
            try:
                await self.call(lambda: self._database[collection].create_indexes(models))
            except Unanswered:
                # The server goes on building; asked again, it answers when it is done.
                if time.monotonic() > until_s:
                    raise
            else:
                return

    async def drop_index(self, collection: str, name: str) -> None:
        async def drop() -> None:
            try:
                await self._database[collection].drop_index(name)
            except errors.OperationFailure as error:
                if error.code != _INDEX_NOT_FOUND:  # another instance has dropped it
                    raise

        await self.call(drop)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)
        if self._doing:
            await asyncio.wait(self._doing, timeout=self._limits.answer_s)


class DriverRows:
    """One collection at the server."""

    def __init__(self, door: Door, collection: Any) -> None:
        self._door = door
        self._collection = collection

    async def find(
        self,
        query: Row,
        *,
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        fields: Mapping[str, int] | None = None,
    ) -> list[Row]:
        async def ask() -> list[Row]:
            cursor = self._collection.find(
                query, fields, sort=list(order) or None, limit=limit, batch_size=limit
            )
            found: list[Row] = await cursor.to_list(None)
            return found

        return await self._door.call(ask)

    async def insert_many(self, rows: list[Row]) -> list[Outcome]:
        async def insert() -> list[Outcome]:
            try:
                await self._collection.insert_many(rows, ordered=False)
            except errors.BulkWriteError as error:
                return _outcomes(len(rows), error.details or {})
            return [None] * len(rows)

        try:
            return await self._door.call(insert)
        except (NotDone, Unanswered) as failed:
            return [failed] * len(rows)

    async def update_one(self, query: Row, update: Row) -> bool:
        done = await self._door.call(lambda: self._collection.update_one(query, update))
        return bool(done.matched_count)

    async def update_each(self, queries: Sequence[Row], update: Row) -> int:
        """Changes one document for each query, if there is one; answers how many there were."""
        each = [UpdateOne(query, update) for query in queries]
        done = await self._door.call(lambda: self._collection.bulk_write(each, ordered=False))
        return int(done.matched_count)

    async def change_each(self, changes: Sequence[tuple[Row, Row]]) -> int:
        """Each change of one document, if there is one; answers how many there were.

        Raises Taken if a unique index refused some, and then has done what it could of the rest.
        """
        each = [UpdateOne(query, update) for query, update in changes]

        async def change() -> int:
            try:
                done = await self._collection.bulk_write(each, ordered=False)
            except errors.BulkWriteError as error:
                raise _told_by_errors(error.details or {}) from error
            return int(done.matched_count)

        return await self._door.call(change)

    async def delete_each(self, queries: Sequence[Row]) -> int:
        """Deletes one document for each query, if there is one; answers how many there were."""
        each = [DeleteOne(query) for query in queries]
        done = await self._door.call(lambda: self._collection.bulk_write(each, ordered=False))
        return int(done.deleted_count)

    async def delete_one(self, query: Row) -> bool:
        done = await self._door.call(lambda: self._collection.delete_one(query))
        return bool(done.deleted_count)

    async def delete_many(self, query: Row) -> None:
        await self._door.call(lambda: self._collection.delete_many(query))


def told(error: errors.PyMongoError) -> Exception:
    """What an error of the driver says about the command; itself, if it is a mistake of ours."""
    name = type(error).__name__
    if isinstance(error, errors.DuplicateKeyError):
        return Taken(name)
    if isinstance(error, errors.ServerSelectionTimeoutError | errors.WaitQueueTimeoutError):
        return NotDone(name)
    details: Any = getattr(error, "details", None) or {}
    if isinstance(error, errors.NotPrimaryError):
        return _told_by_code(details.get("code"), name)
    lost = (errors.ConnectionFailure, errors.ProtocolError, errors.WriteConcernError)
    if isinstance(error, lost):
        return Unanswered(name)
    if isinstance(error, errors.OperationFailure):
        return _told_by_code(error.code, name)
    return error


def _told_by_code(code: int | None, name: str) -> Exception:
    text = f"{name} {code}"
    if code in _TAKEN:
        return Taken(text)
    if code in _NO_PRIMARY:
        return NotDone(text)
    # Without a code it came from somewhere between: nothing is sure.
    return Unanswered(text) if code is None or code in _INTERRUPTED else NotDone(text)


def _told_by_errors(details: Mapping[str, Any]) -> Exception:
    """Of changes that did not all end well: whether each of the failed ones was simply refused."""
    failed = details.get("writeErrors", ())
    refused = [each for each in failed if each.get("code") in _TAKEN]
    if details.get("writeConcernErrors") or not failed or len(refused) < len(failed):
        return Unanswered("the command ended on the way")
    return Taken("of several")


def _outcomes(count: int, details: Mapping[str, Any]) -> list[Outcome]:
    """How each insert of a command ended that did not end well as a whole."""
    failed = {each["index"]: each for each in details.get("writeErrors", ())}
    whole = details.get("nInserted", 0) + len(failed) == count
    confirmed = whole and not details.get("writeConcernErrors")
    rest = None if confirmed else Unanswered("the command ended on the way")
    outcomes: list[Outcome] = [rest] * count
    for index, each in failed.items():
        outcome = _told_by_code(each.get("code"), "insert")
        outcomes[index] = outcome if isinstance(outcome, NotDone | Unanswered | Taken) else rest
    return outcomes
