"""Moves the write-ahead log of a SQLite file into the file itself, beside the writer."""

import sqlite3
import threading
from collections.abc import Callable

ROWS = 10_000
"""The log is moved after so many changed rows: about a thousand documents with their entries."""
LOG_PAGES_MAX = 16_384
"""A log that grew beyond this (64 MiB) is begun anew, and the writer held up for the rest of it."""
REST_PAGES = 1024
"""A rest this small is moved fast enough to let the writer wait."""
WAIT_MS = 1000
"""A reader that holds the log longer than this is not waited for; the next time may do."""
ROUNDS_MAX = 5
"""A rest that does not shrink to that in so many rounds is moved all the same."""


class Checkpointer:
    """A thread with a connection of its own, so that no caller waits for the moving.

    SQLite's automatic checkpoint would hold up the commit it follows, and it hides its errors: a
    sync that failed once and then "succeeds" has lost pages that only the log still holds.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], on_error: Callable[[Exception], None]
    ) -> None:
        self._connect = connect
        self._on_error = on_error
        self.gate = threading.Event()
        """The writer passes it before each transaction."""
        self.gate.set()
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._stopping = False
        self._rows_moved = 0
        threading.Thread(target=self._run, name="docstore-checkpoint", daemon=True).start()

    def note(self, rows: int) -> None:
        """Called by the writer after each commit, with all rows it has ever changed."""
        if rows - self._rows_moved >= ROWS:
            self._rows_moved = rows
            self._wanted.set()

    def stop(self) -> None:
        """Returns when the log is no longer being moved."""
        self._stopping = True
        self._wanted.set()
        self._over.wait()

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        try:
            while self._wanted.wait():
                self._wanted.clear()
                if self._stopping:
                    break
                if db is None:
                    db = self._connect()
                    db.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
                self._move(db)
            if db is not None:
                db.close()
        except sqlite3.Error as error:
            self._on_error(error)
        self._over.set()
        if not self._stopping:
            # The connection of a disk that failed is not closed: see Writer.
            threading.Event().wait()

    def _move(self, db: sqlite3.Connection) -> None:
        for _ in range(ROUNDS_MAX):
            _, pages, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages <= LOG_PAGES_MAX:
                return
            if pages - moved <= REST_PAGES:
                break
        # Without the gate a busy writer would take the lock again and again before us, and the
        # log would grow without end.
        self.gate.clear()
        try:
            db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self.gate.set()
