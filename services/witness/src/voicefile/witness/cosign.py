"""Cosign: says of a checkpoint that the log's tree only grew, and when that was seen.

The order is the law: look at what was cosigned last, verify, keep, answer; and nobody else in
between. So no two cosignatures that ever left contradict each other, whenever the process dies.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from voicefile.translog.checkpoint import Checkpoint, open_checkpoint
from voicefile.translog.cosignature import cosign
from voicefile.translog.errors import NoteInvalid, ProofInvalid
from voicefile.translog.note import SignatureLine, key_id, open_note, split_note
from voicefile.translog.proofs import verify_consistency
from voicefile.translog.witnessing import AddCheckpoint
from voicefile.witness.errors import (
    MemoryLost,
    NotConsistent,
    NotSigned,
    RequestInvalid,
    SizeDiffers,
)
from voicefile.witness.key import Signer
from voicefile.witness.memory import Evidence, Memory, Seen, log_name

log = structlog.get_logger(__name__)


class Witness:
    """Cosigns for the logs in its memory."""

    def __init__(
        self, memory: Memory, signer: Signer, *, now_s: Callable[[], float] = time.time
    ) -> None:
        self._memory = memory
        self._signer = signer
        self._now_s = now_s
        # One for all logs: they are few, and so is what a disk can sync. Held in the thread that
        # works, so that a client who leaves does not let the next one in.
        self._alone = threading.Lock()
        self._broken = False

    def add_checkpoint(self, asked: AddCheckpoint) -> str:
        """The signature line; it is durable that it was given. Blocks for a disk's sync.

        Raises LogUnknown, NotSigned, RequestInvalid, SizeDiffers, NotConsistent, MemoryLost,
        OSError.
        """
        name = log_name(asked.origin)
        with self._alone, self._unbroken():
            seen = self._memory.seen(name)
            checkpoint = _opened(asked, seen)
            self._check(asked, checkpoint, seen)
            text, signed = _by_log(asked, seen)
            line = cosign(
                text, name=self._signer.name, key=self._signer.key, at_s=int(self._now_s())
            )
            # Kept first: a cosignature that left and was forgotten could be followed by a fork's.
            self._memory.keep(name, f"{text}\n{signed}{line}")
            return str(line)

    def cosigned(self, log: str) -> str:
        """The last checkpoint cosigned, under both signatures; empty if there is none.

        `log` is the hash of its origin. Raises LogUnknown, MemoryLost.
        """
        with self._alone, self._unbroken():
            return self._memory.seen(log).note

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        # What a disk kept that refused once, nobody knows before a new start has read it.
        if self._broken:
            raise MemoryLost("the memory failed before")
        try:
            yield
        except (MemoryLost, OSError):
            self._broken = True
            raise

    def _check(self, asked: AddCheckpoint, checkpoint: Checkpoint, seen: Seen) -> None:
        if asked.old_size > checkpoint.size:
            raise RequestInvalid("the old size is above the new one")
        if asked.old_size != seen.size:
            raise SizeDiffers(seen.size)
        if not _continues(asked, checkpoint, seen):
            self._keep_evidence(asked, checkpoint, seen)
            raise NotConsistent

    def _keep_evidence(self, asked: AddCheckpoint, checkpoint: Checkpoint, seen: Seen) -> None:
        # Signed by the log in any case. But only of one size two roots need no proof: whoever
        # sends an honest checkpoint with a wrong proof is to make nobody a liar.
        certain = checkpoint.size == seen.size and checkpoint.root != seen.root
        kind = Evidence.FORKED if certain else Evidence.UNPROVEN
        self._memory.keep_evidence(log_name(asked.origin), asked.checkpoint, kind)
        if certain:
            log.error("log_contradicts_itself", tree_size=seen.size)
        else:
            log.warning("checkpoint_not_proven", size=seen.size, tree_size=checkpoint.size)


def _continues(asked: AddCheckpoint, checkpoint: Checkpoint, seen: Seen) -> bool:
    try:
        verify_consistency(
            old_size=seen.size,
            old_root=seen.root,
            size=checkpoint.size,
            root=checkpoint.root,
            proof=asked.proof,
        )
    except ProofInvalid:
        return False
    return True


def _opened(asked: AddCheckpoint, seen: Seen) -> Checkpoint:
    try:
        open_note(asked.checkpoint, seen.key)
    except NoteInvalid:
        raise NotSigned from None
    try:
        return open_checkpoint(asked.checkpoint, seen.key)
    except NoteInvalid:
        raise RequestInvalid("what the log signed is no checkpoint") from None


def _by_log(asked: AddCheckpoint, seen: Seen) -> tuple[str, SignatureLine]:
    """What the log signed, and its signature; what strangers added is not kept."""
    text, lines = split_note(asked.checkpoint)
    stated_id = key_id(seen.key.name, seen.key.public)
    return text, next(line for line in lines if line.by(seen.key.name, stated_id))
