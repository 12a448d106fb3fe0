"""Lines of witnesses under a checkpoint (C2SP tlog-cosignature, Ed25519).

public key   name+id+base64(04 ‖ 32 bytes), id: SHA-256(name ‖ LF ‖ 04 ‖ 32 bytes)[0:4]
line         — name base64(id ‖ u64be(time) ‖ signature)
signed       "cosignature/v1" LF "time " time LF, then the checkpoint's three lines
"""

from dataclasses import dataclass
from typing import Final

from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import PUBLIC_BYTES, sha256
from voicefile.crypto.primitives import verify as verify_signature
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import KEY_ID_BYTES, decoded

KIND: Final = b"\x04"
TIME_BYTES: Final = 8


@dataclass(frozen=True)
class Witness:
    """Name and public half of a key that cosigns checkpoints."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys apart."""
        return sha256(self.name.encode() + b"\n" + KIND + self.public)[:KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> "Witness":
        """From `name+id+key`. Raises NoteInvalid."""
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        raw = decoded(encoded)
        if not name or raw[:1] != KIND or len(raw) != 1 + PUBLIC_BYTES:
            raise NoteInvalid("not a witness's key")
        witness = cls(name, raw[1:])
        if witness.key_id.hex() != stated:
            raise NoteInvalid("the witness's key has another id")
        return witness


@dataclass(frozen=True)
class Cosignature:
    """A witness has seen this checkpoint, and that it continues all it saw before."""

    name: str
    at_s: int
    """POSIX seconds, by the witness's clock."""


def lines_of(note: str) -> list[tuple[str, bytes]]:
    """Name and bytes of each signature line of an opened note."""
    lines = note.rpartition("\n\n")[2].removesuffix("\n").split("\n")
    split = [line.removeprefix("— ").rpartition(" ") for line in lines]
    return [(name, decoded(encoded)) for name, _, encoded in split]


def require_single(note: str) -> None:
    """No signature stands there twice: it would look like two. Raises NoteInvalid."""
    lines = lines_of(note)
    if len(set(lines)) != len(lines):
        raise NoteInvalid("a signature stands there twice")


def cosignature(note: str, witness: Witness) -> Cosignature | None:
    """The witness's own word under the note, its latest; None if there is none.

    Raises NoteInvalid if a line under its name and id is not by its key.
    """
    text = note.rpartition("\n\n")[0] + "\n"
    found = [
        _checked(text, raw[KEY_ID_BYTES:], witness)
        for name, raw in lines_of(note)
        if (name, raw[:KEY_ID_BYTES]) == (witness.name, witness.key_id)
    ]
    return Cosignature(witness.name, max(found)) if found else None


def _checked(text: str, signature: bytes, witness: Witness) -> int:
    at_s = int.from_bytes(signature[:TIME_BYTES], "big")
    message = f"cosignature/v1\ntime {at_s}\n{text}".encode()
    try:
        verify_signature(witness.public, message, signature[TIME_BYTES:])
    except Tampered:
        raise NoteInvalid("the cosignature is wrong") from None
    return at_s
