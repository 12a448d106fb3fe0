"""Moves the write-ahead log of a SQLite file into the file itself, beside the writer."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from voicefile.docstore.sqlite_schema import LOG_BYTES_MAX

ROWS = 10_000
"""The log is moved after so many changed rows: about a thousand documents with their entries."""
PAGE_BYTES = 4096
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
        self._log: Path | None = None
        threading.Thread(target=self._run, name="docstore-checkpoint", daemon=True).start()

    def note(self, db: sqlite3.Connection) -> None:
        """Called by the writer after each commit."""
        try:
            much = self._log_bytes(db) > LOG_BYTES_MAX
        except OSError as error:  # somebody has taken the file away
            self._on_error(error)
            return
        if much or db.total_changes - self._rows_moved >= ROWS:
            self._rows_moved = db.total_changes
            self._wanted.set()

    def _log_bytes(self, db: sqlite3.Connection) -> int:
        if self._log is None:
            self._log = Path(db.execute("PRAGMA database_list").fetchone()[2] + "-wal")
        return self._log.stat().st_size

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
            if pages * PAGE_BYTES <= LOG_BYTES_MAX:
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
