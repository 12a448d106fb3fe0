"""The folder an embedded vault lives in: where each thing lies, and that one process uses it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


class AlreadyRunning(Exception):
    """Another process uses this folder: two would overtake each other's writes."""


class NotRestored(Exception):
    """A restore into this folder was not finished: served as it is, erased things might be back."""


def private(path: str, flags: int) -> int:
    """An opener: whatever is made here is its owner's alone."""
    return os.open(path, flags, 0o600)


@dataclass(frozen=True)
class Place:
    """Paths under one data directory."""

    data: Path

    @property
    def blobs(self) -> Path:
        """Sealed recordings."""
        return self.data / "blobs"

    @property
    def tls(self) -> Path:
        """The development authority and the server's certificate."""
        return self.data / "tls"

    @property
    def prompts(self) -> Path:
        """What is spoken to who calls."""
        return self.data / "prompts"

    @property
    def edges(self) -> Path:
        """The authority of telephone edges, and the certificates of both ends."""
        return self.data / "edges"

    @property
    def backup(self) -> Path:
        """Where backups go unless another place is set: the same disk, so no more than a trial."""
        return self.data / "backup"

    @property
    def backup_key(self) -> Path:
        """The key that signs manifests of backups; it opens nothing."""
        return self.data / "backup.key"

    @property
    def restoring(self) -> Path:
        """There while a restore into this folder is not finished."""
        return self.data / "restoring.json"

    @property
    def restored(self) -> Path:
        """What was restored into this folder, and what was missing; written for good at its end."""
        return self.data / "restored.json"

    @property
    def demo(self) -> Path:
        """What scripts need of the demo tenants: the one file here with secrets in clear."""
        return self.data / "demo.json"

    @property
    def log(self) -> Path:
        """What the vault has to say of itself while a command has the terminal."""
        return self.data / "vault.log"

    def documents(self, service: str) -> Path:
        """The service's own database; nobody reads another's."""
        return self.data / "documents" / f"{service}.db"

    def root(self, service: str) -> Path:
        """The service's root key, in files: for one machine, not for production."""
        return self.data / "root" / service

    def opened_log(self) -> TextIO:
        """The log, to be written on; for commands whose terminal is for people."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(self.log, "a", encoding="utf-8", opener=private)

    @contextmanager
    def held(self, *, for_restore: bool = False) -> Iterator[None]:
        """Keeps the folder for this process. Raises AlreadyRunning, NotRestored."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data.chmod(0o700)
        descriptor = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning from None
        try:
            if self.restoring.exists() and not for_restore:
                raise NotRestored
            yield
        finally:
            os.close(descriptor)
