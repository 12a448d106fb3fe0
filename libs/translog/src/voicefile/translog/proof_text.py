"""Proofs as text (C2SP tlog-proof): all that is needed to check one leaf offline, in one file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from voicefile.translog.checkpoint import Checkpoint, decimal, open_checkpoint
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.merkle import HASH_BYTES, leaf_hash
from voicefile.translog.note import NOTE_CHARS_MAX, VerifierKey, decoded
from voicefile.translog.proofs import verify_inclusion

HEAD = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 64


@dataclass(frozen=True)
class TlogProof:
    """A leaf's index, the way up to the root, and the signed checkpoint that states the root."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""
    """Travels beside the proof and is not covered by it."""

    def __str__(self) -> str:
        lines = [HEAD]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(step).decode() for step in self.hashes]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str) -> "TlogProof":
        """From its text. Raises NoteInvalid; a parsed proof is not yet a verified one."""
        if len(text) > NOTE_CHARS_MAX:
            raise NoteInvalid("the proof is too long")
        top, found, checkpoint = text.partition("\n\n")
        head, *lines = top.split("\n")
        if head != HEAD or not found or not lines:
            raise NoteInvalid("not a proof")
        extra = b""
        if lines[0].startswith("extra "):
            extra = decoded(lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise NoteInvalid("the proof names no index")
        index = decimal(lines.pop(0).removeprefix("index "))
        return cls(index, _hashes(lines), checkpoint, extra)

    def verify(self, leaf: bytes, key: VerifierKey) -> Checkpoint:
        """The checkpoint under which `leaf` is in the log. Raises NoteInvalid, ProofInvalid."""
        checkpoint = open_checkpoint(self.checkpoint, key)
        verify_inclusion(
            leaf_hash(leaf),
            index=self.index,
            size=checkpoint.size,
            proof=self.hashes,
            root=checkpoint.root,
        )
        return checkpoint


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > HASHES_MAX:
        raise NoteInvalid("the proof is too long")
    hashes = tuple(decoded(line) for line in lines)
    if any(len(step) != HASH_BYTES for step in hashes):
        raise NoteInvalid("a step of the proof is not a hash")
    return hashes
