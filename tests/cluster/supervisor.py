"""Starts again what ends without having been told to, as Kubernetes would, and counts that."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.cluster.replica import Replica

LOOK_EVERY_S = 0.1
PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 5.0
STEADY_S = 20.0
"""Who ran as long before it ended is started again at once."""


@dataclass
class _Record:
    started_s: float = 0.0
    pause_s: float = 0.0
    due_s: float | None = None


@dataclass
class Supervisor:
    """Watches from a thread of its own, so that no event loop of a test can hold it up."""

    replicas: Sequence[Replica]
    _records: dict[str, _Record] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            for replica in self.replicas:
                self._look_after(replica, self._records.setdefault(replica.name, _Record()))

    def _look_after(self, replica: Replica, record: _Record) -> None:
        with replica.one_hand:
            if not replica.wanted or not replica.ended():
                record.due_s = None
                return
            now_s = time.monotonic()
            if record.due_s is None:
                steady = now_s - record.started_s > STEADY_S
                record.pause_s = (
                    0.0 if steady else min(max(PAUSE_FIRST_S, record.pause_s * 2), PAUSE_MAX_S)
                )
                record.due_s = now_s + record.pause_s
            if now_s < record.due_s:
                return
            record.started_s, record.due_s = now_s, None
            replica.restarts += 1
            replica.launch()
