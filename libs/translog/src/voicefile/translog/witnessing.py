"""What a log asks a witness (C2SP tlog-witness): a newer checkpoint, and that it only grew."""

import base64
from dataclasses import dataclass
from typing import Final

from voicefile.translog.checkpoint import decimal
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.merkle import HASH_BYTES
from voicefile.translog.note import NOTE_CHARS_MAX, decoded, split_note

HASHES_MAX: Final = 63
SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of a 409: the size that the witness cosigned last."""
_OLD: Final = "old "


@dataclass(frozen=True)
class AddCheckpoint:
    """A signed checkpoint, and the consistency proof from a tree that the witness knows."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: str

    def __str__(self) -> str:
        lines = [f"{_OLD}{self.old_size}"]
        lines += [base64.b64encode(step).decode() for step in self.proof]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @property
    def origin(self) -> str:
        """Which log the checkpoint says it is of."""
        return self.checkpoint.partition("\n")[0]

    @classmethod
    def parse(cls, text: str) -> "AddCheckpoint":
        """From a request's body; nothing is verified. Raises NoteInvalid."""
        if len(text) > NOTE_CHARS_MAX:
            raise NoteInvalid("the request is too long")
        top, found, checkpoint = text.partition("\n\n")
        first, *steps = top.split("\n")
        if not found or not first.startswith(_OLD) or len(steps) > HASHES_MAX:
            raise NoteInvalid("not a request to add a checkpoint")
        proof = tuple(decoded(step) for step in steps)
        if any(len(step) != HASH_BYTES for step in proof):
            raise NoteInvalid("a step of the proof is not a hash")
        split_note(checkpoint)
        return cls(decimal(first.removeprefix(_OLD)), proof, checkpoint)
