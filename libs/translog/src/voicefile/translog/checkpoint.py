"""Checkpoints (C2SP tlog-checkpoint): a tree's head as a signed note."""

import base64
import re
from dataclasses import dataclass

from voicefile.crypto.primitives import SigningKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.merkle import HASH_BYTES
from voicefile.translog.note import VerifierKey, decoded, open_note, sign_note

SIZE_DIGITS_MAX = 19
_DECIMAL = re.compile(r"0|[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A log's name, how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The signed note; the key's name is the log's origin."""
    return sign_note(checkpoint.text(), name=checkpoint.origin, key=key)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint, if the key signed it for the log of its own name. Raises NoteInvalid.

    Lines after the third are extensions: signed, and of no meaning here.
    """
    lines = open_note(note, key).removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004 - origin, size, root
        raise NoteInvalid("not a checkpoint")
    origin, size, encoded = lines[:3]
    if origin != key.name:
        raise NoteInvalid("the checkpoint is another log's")
    root = decoded(encoded)
    if len(root) != HASH_BYTES:
        raise NoteInvalid("not a checkpoint")
    return Checkpoint(origin, decimal(size), root)


def decimal(text: str) -> int:
    """A number in its one canonical form. Raises NoteInvalid."""
    if len(text) > SIZE_DIGITS_MAX or not _DECIMAL.fullmatch(text):
        raise NoteInvalid("not a number")
    return int(text)
