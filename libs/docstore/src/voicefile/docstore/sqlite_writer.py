"""The one thread that writes to a SQLite file: all that has queued up becomes one commit."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from voicefile.docstore.port import DocStoreError, StoreBroken
from voicefile.docstore.sqlite_checkpoint import Checkpointer

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True)
class _Job:
    work: Work[Any]
    answer: "asyncio.Future[Any]"


@dataclass(frozen=True)
class _Outcome:
    answer: "asyncio.Future[Any]"
    value: object = None
    error: Exception | None = None


def tell_nobody(_error: Exception) -> None:
    """For whoever hears of it by the next write."""


class Writer:
    """Runs each piece of work in the order given; answers after the commit that holds it.

    To be used from the event loop that made it. After one failed commit nothing is written any
    more: the kernel marks pages clean whose sync has failed, so a second try would lie.
    `on_broken` is then called once, in the event loop: also where nobody waits for a write.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        queue_max: int,
        batch_max: int,
        on_broken: Callable[[Exception], None] = tell_nobody,
    ) -> None:
        self._connect = connect
        self._on_broken = on_broken
        self._batch_max = batch_max
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(queue_max)
        self._ended = self._loop.create_future()
        self._closing = False
        self.broken: Exception | None = None
        self._checkpointer = Checkpointer(connect, self._break)
        threading.Thread(target=self._run, name="docstore-writer", daemon=True).start()

    async def run(self, work: Work[T]) -> T:
        """The work's own result, durable; or its DocStoreError; or StoreBroken."""
        await self._room.acquire()
        if self._closing or self.broken:
            self._room.release()
            raise StoreBroken("closed" if self._closing else "broken before") from self.broken
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, answer))
        return await answer

    async def close(self) -> None:
        """Commits what has queued up, moves the log into the file, lets go of it."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.shield(self._ended)

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        try:
            db = self._connect()
        except Exception as error:  # noqa: BLE001 - the thread's edge: every caller hears of it
            self._break(error)
        stopping = False
        while not stopping:
            batch, stopping = self._take()
            if db is None or self.broken:
                self._send([_failed(job, self.broken) for job in batch])
            elif batch:
                self._write(db, batch)
        self._end(db)

    def _take(self) -> tuple[list[_Job], bool]:
        job = self._jobs.get()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) == self._batch_max:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _write(self, db: sqlite3.Connection, batch: list[_Job]) -> None:
        self._checkpointer.gate.wait()
        try:
            db.execute("BEGIN IMMEDIATE")
            outcomes = [_attempt(db, job) for job in batch]
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread's edge: every caller hears of it
            self._break(error)
            outcomes = [_failed(job, error) for job in batch]
        self._send(outcomes)
        if self.broken is None:
            self._checkpointer.note(db)

    def _end(self, db: sqlite3.Connection | None) -> None:
        self._checkpointer.stop()
        if db is not None and self.broken is None:
            try:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                db.close()
            except sqlite3.Error as error:
                self._break(error)
        self._call(self._say_ended)
        if self.broken is not None:
            # Closing the last connection would move the log of a failing disk into the file.
            # So the connection stays, in this sleeping thread, until the process ends.
            threading.Event().wait()

    def _break(self, error: Exception) -> None:
        if self.broken is None:
            self.broken = error
            self._call(lambda: self._on_broken(error))

    def _say_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _send(self, outcomes: list[_Outcome]) -> None:
        self._call(lambda: self._deliver(outcomes))

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return  # The loop has ended: nobody waits for an answer any more.

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        for each in outcomes:
            self._room.release()
            if each.answer.done():
                continue  # Its caller was cancelled; the write stands all the same.
            if each.error is None:
                each.answer.set_result(each.value)
            else:
                each.answer.set_exception(each.error)


def _attempt(db: sqlite3.Connection, job: _Job) -> _Outcome:
    try:
        return _Outcome(job.answer, value=job.work(db))
    except DocStoreError as refused:
        # Work checks before it writes, so a refusal leaves nothing to undo.
        return _Outcome(job.answer, error=refused)


def _failed(job: _Job, cause: Exception | None) -> _Outcome:
    error = StoreBroken("the disk refused")
    error.__cause__ = cause
    return _Outcome(job.answer, error=error)
