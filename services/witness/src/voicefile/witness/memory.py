"""What a witness must not forget: the logs it trusts, and what it cosigned last of each.

A folder, held by one process. What was cosigned is kept as the note itself, under the signatures
of the log and of the witness, so that what is read back is known to be what was written. A log
without its note is a witness that has forgotten: it stops rather than begin again at nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from voicefile.crypto.primitives import sha256
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.cosignature import WitnessKey, cosigned_at
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.merkle import EMPTY_ROOT
from voicefile.translog.note import VerifierKey
from voicefile.witness.errors import LogKnown, LogUnknown, MemoryLost
from voicefile.witness.key import OWNER_ONLY, Signer, make_key, read_key

EVIDENCE_MAX: Final = 64
"""Checkpoints of each kind of evidence kept for each log."""


class Evidence(StrEnum):
    """What a checkpoint shows that the log signed and that was not cosigned."""

    FORKED = "forked"
    """Another tree of the size that was cosigned: the two notes together show that the log lied."""
    UNPROVEN = "unproven"
    """It came without a proof. Anybody can send a log's honest checkpoint so."""


class FolderHeld(Exception):
    """Another process is this witness: two would each cosign what the other has not seen."""


@dataclass(frozen=True)
class Seen:
    """The last checkpoint of a log that was cosigned; of one that never was, the empty tree."""

    key: VerifierKey
    size: int = 0
    root: bytes = EMPTY_ROOT
    note: str = ""
    """Signed by the log and by the witness."""


class Memory(Protocol):
    """Where a witness keeps what it has seen. Its calls block; one is under way at a time.

    Logs go by the hash of their origin: `log_name`.
    """

    def seen(self, log: str) -> Seen:
        """What was cosigned last of the log of that name. Raises LogUnknown, MemoryLost."""

    def keep(self, log: str, note: str) -> None:
        """The cosigned note is durable when this returns. Raises OSError."""

    def keep_evidence(self, log: str, note: str, kind: Evidence) -> None:
        """Keeps what the log signed and what was not cosigned. Raises OSError."""


def _go_on(_step: str) -> None:
    """Nothing happens between two steps, but in fault tests."""


class FolderMemory:
    """The memory in files. `between` is called before and after each step of a write."""

    def __init__(
        self, folder: Path, witness: WitnessKey, *, between: Callable[[str], None] = _go_on
    ) -> None:
        self._folder = folder
        self._witness = witness
        self._between = between

    def seen(self, log: str) -> Seen:
        place = self._place(log)
        try:
            key = VerifierKey.parse((place / "key").read_text().strip())
        except FileNotFoundError:
            raise LogUnknown from None
        except (OSError, ValueError, NoteInvalid):
            raise MemoryLost("a log's key can't be read") from None
        if log_name(key.name) != log:
            raise MemoryLost("a log's key is another log's")
        try:
            return _opened((place / "cosigned").read_text(), key, self._witness)
        except (OSError, ValueError, NoteInvalid):
            raise MemoryLost("what was cosigned last is lost") from None

    def keep(self, log: str, note: str) -> None:
        _write(self._place(log) / "cosigned", note, between=self._between)

    def keep_evidence(self, log: str, note: str, kind: Evidence) -> None:
        place = self._place(log) / kind
        place.mkdir(mode=0o700, exist_ok=True)
        target = place / sha256(note.encode()).hex()
        if not target.exists() and len(list(place.iterdir())) < EVIDENCE_MAX:
            _write(target, note)

    def trust(self, key: VerifierKey) -> None:
        """Witnesses this log from now on. Raises LogKnown."""
        place = self._place(log_name(key.name))
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (place / "key").exists():
            raise LogKnown
        # The key last: without it the log is unknown, with it the note has to be there.
        _write(place / "cosigned", "")
        _write(place / "key", f"{key}\n")

    def all_seen(self) -> list[Seen]:
        """Every log, by origin. Raises MemoryLost."""
        names = [path.parent.name for path in self._folder.glob("logs/*/key")]
        return sorted(map(self.seen, names), key=lambda seen: seen.key.name)

    def evidence(self, log: str, kind: Evidence) -> list[Path]:
        """Files with checkpoints that the log signed and that were not cosigned."""
        return sorted((self._place(log) / kind).glob("[0-9a-f]*"))

    def _place(self, log: str) -> Path:
        return self._folder / "logs" / log


def log_name(origin: str) -> str:
    """What a log is called in files and addresses (C2SP tlog-witness)."""
    return sha256(origin.encode()).hex()


def begin(folder: Path, name: str) -> Signer:
    """Makes a witness: the folder and its key. Raises FileExistsError, NoteInvalid."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    signer = make_key(folder / "witness.key", name)
    _sync_folder(folder)
    return signer


def signer_of(folder: Path) -> Signer:
    """The witness that was begun in that folder. Raises MemoryLost."""
    return read_key(folder / "witness.key")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps the folder for this process. Raises FolderHeld."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderHeld from None
    try:
        yield
    finally:
        os.close(descriptor)


def _opened(note: str, key: VerifierKey, witness: WitnessKey) -> Seen:
    if not note:
        return Seen(key)
    checkpoint = open_checkpoint(note, key)
    if cosigned_at(note, witness) is None:
        raise NoteInvalid("the note is not this witness's")
    return Seen(key, checkpoint.size, checkpoint.root, note)


def _write(path: Path, content: str, *, between: Callable[[str], None] = _go_on) -> None:
    """Whole or not at all, and on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.new")
    between("begun")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        between("written")
        os.fsync(file.fileno())
    between("synced")
    fresh.replace(path)
    between("renamed")
    _sync_folder(path.parent)
    between("kept")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
