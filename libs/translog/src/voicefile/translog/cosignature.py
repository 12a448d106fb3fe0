"""Cosignatures (C2SP tlog-cosignature, Ed25519): a witness says when it saw a log's largest tree.

Whoever cosigns a checkpoint has seen that it continues all it cosigned of that log before.
"""

from dataclasses import dataclass
from typing import Final

from voicefile.crypto.primitives import SIGNATURE_BYTES, SigningKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import (
    SignatureLine,
    check_key,
    check_signature,
    key_id,
    key_text,
    parse_key,
    signature_lines,
    split_note,
)

COSIGNATURE: Final = b"\x04"
"""The kind of key; a key that cosigns signs nothing else."""
TIME_BYTES: Final = 8
TIME_MAX: Final = 2**63 - 1


@dataclass(frozen=True)
class WitnessKey:
    """The name and public half of a key that cosigns."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_key(self.name, self.public)

    def __str__(self) -> str:
        return key_text(self.name, self.public, kind=COSIGNATURE)

    @classmethod
    def parse(cls, text: str) -> "WitnessKey":
        """From `name+id+key`. Raises NoteInvalid."""
        return cls(*parse_key(text, kind=COSIGNATURE))


def cosign(text: str, *, name: str, key: SigningKey, at_s: int) -> SignatureLine:
    """The witness's signature over a checkpoint's text, as of `at_s` (POSIX seconds)."""
    assert 0 < at_s <= TIME_MAX, "a cosignature says when"
    stated_id = key_id(name, key.public, kind=COSIGNATURE)
    return SignatureLine(
        name, stated_id, at_s.to_bytes(TIME_BYTES, "big") + key.sign(_message(text, at_s))
    )


def cosigned_at(note: str, key: WitnessKey) -> int | None:
    """When this witness cosigned the checkpoint, in POSIX seconds; None if it did not.

    The latest counts if there are several. Raises NoteInvalid, if only for one wrong signature
    under this witness's name and id. Says nothing of the log's own signature.
    """
    text, lines = split_note(note)
    times = [time for time, _ in _checked(text, lines, key)]
    return max(times, default=None)


def cosignature_in(text: str, answer: str, key: WitnessKey) -> tuple[int, SignatureLine]:
    """Of the lines a witness answered with, its latest over this text. Raises NoteInvalid."""
    found = _checked(text, signature_lines(answer), key)
    if not found:
        raise NoteInvalid("the witness did not sign the checkpoint")
    return max(found, key=lambda each: each[0])


def _checked(
    text: str, lines: list[SignatureLine], key: WitnessKey
) -> list[tuple[int, SignatureLine]]:
    stated_id = key_id(key.name, key.public, kind=COSIGNATURE)
    return [(_check(text, line, key), line) for line in lines if line.by(key.name, stated_id)]


def _check(text: str, line: SignatureLine, key: WitnessKey) -> int:
    if len(line.signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise NoteInvalid("not a cosignature")
    at_s = int.from_bytes(line.signature[:TIME_BYTES], "big")
    if not 0 < at_s <= TIME_MAX:
        raise NoteInvalid("the cosignature says no time")
    check_signature(key.public, _message(text, at_s), line.signature[TIME_BYTES:])
    return at_s


def _message(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()
