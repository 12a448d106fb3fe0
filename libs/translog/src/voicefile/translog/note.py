"""Signed notes (C2SP signed-note) with Ed25519: a text, and who signed it."""

import base64
import binascii
import re
from dataclasses import dataclass

from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import PUBLIC_BYTES, SigningKey, sha256, verify
from voicefile.translog.errors import NoteInvalid

ED25519 = b"\x01"
KEY_ID_BYTES = 4
SIGNATURES_MAX = 32
NOTE_CHARS_MAX = 256 * 1024
_SIGNATURE_LINE = re.compile(r"— (\S+) (\S+)")
_NAME = re.compile(r"[^\s+]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def key_id(name: str, public: bytes, *, kind: bytes = ED25519) -> bytes:
    """Four bytes that tell keys apart; no more than a hint."""
    return sha256(name.encode() + b"\n" + kind + public)[:KEY_ID_BYTES]


@dataclass(frozen=True)
class VerifierKey:
    """The name and public half of a key that signs notes."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_key(self.name, self.public)

    def __str__(self) -> str:
        return key_text(self.name, self.public, kind=ED25519)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """From `name+id+key`. Raises NoteInvalid."""
        return cls(*parse_key(text, kind=ED25519))


def check_key(name: str, public: bytes) -> None:
    """Whether that can be a key that signs notes. Raises NoteInvalid."""
    if not _NAME.fullmatch(name) or len(public) != PUBLIC_BYTES:
        raise NoteInvalid("not a verifier key")


def key_text(name: str, public: bytes, *, kind: bytes) -> str:
    """A public key as `name+id+key`; its first byte says what it signs."""
    encoded = base64.b64encode(kind + public).decode()
    return f"{name}+{key_id(name, public, kind=kind).hex()}+{encoded}"


def parse_key(text: str, *, kind: bytes) -> tuple[str, bytes]:
    """Name and public half of `name+id+key`. Raises NoteInvalid."""
    name, _, rest = text.partition("+")
    stated_id, _, encoded = rest.partition("+")
    raw = decoded(encoded)
    if raw[:1] != kind:
        raise NoteInvalid("the verifier key is of another kind")
    check_key(name, raw[1:])
    if key_id(name, raw[1:], kind=kind).hex() != stated_id:
        raise NoteInvalid("the verifier key's id is another")
    return name, raw[1:]


def sign_note(text: str, *, name: str, key: SigningKey) -> str:
    """The text with one signature under it. Raises NoteInvalid if it cannot be a note's text."""
    _check_text(text)
    if not _NAME.fullmatch(name):
        raise NoteInvalid("not a key name")
    signature = key_id(name, key.public) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text, if this key signed it; other keys' signatures are left alone. Raises NoteInvalid.

    A wrong signature under this key's name and id spoils the whole note.
    """
    text, lines = split_note(note)
    known = [line for line in lines if line.by(key.name, key_id(key.name, key.public))]
    if not known:
        raise NoteInvalid("the key did not sign the note")
    for line in known:
        check_signature(key.public, text.encode(), line.signature)
    return text


@dataclass(frozen=True)
class SignatureLine:
    """One signature of a note, unchecked: whose it says it is, and its bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"

    def by(self, name: str, stated_id: bytes) -> bool:
        """Whether it claims to be that key's."""
        return self.name == name and self.key_id == stated_id

    @classmethod
    def parse(cls, line: str) -> "SignatureLine":
        """From a line without its end. Raises NoteInvalid."""
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None or not _NAME.fullmatch(match[1]):
            raise NoteInvalid("not a signature line")
        raw = decoded(match[2])
        if len(raw) <= KEY_ID_BYTES:
            raise NoteInvalid("not a signature line")
        return cls(match[1], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def split_note(note: str) -> tuple[str, list[SignatureLine]]:
    """A note's text and its signatures, none of them checked. Raises NoteInvalid."""
    if len(note) > NOTE_CHARS_MAX:
        raise NoteInvalid("the note is too long")
    text, found, lines = note.rpartition("\n\n")
    if not found:
        raise NoteInvalid("the note has no signatures")
    text += "\n"
    _check_text(text)
    return text, signature_lines(lines)


def signature_lines(lines: str) -> list[SignatureLine]:
    """Signature lines, each with its end, none of them checked. Raises NoteInvalid."""
    if not lines.endswith("\n"):
        raise NoteInvalid("the note has no signatures")
    found = lines.removesuffix("\n").split("\n")
    if len(found) > SIGNATURES_MAX:
        raise NoteInvalid("the note has too many signatures")
    return [SignatureLine.parse(line) for line in found]


def check_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns if it is the key's over this message. Raises NoteInvalid."""
    try:
        verify(public, message, signature)
    except Tampered as tampered:
        raise NoteInvalid("the signature is wrong") from tampered


def decoded(text: str) -> bytes:
    """Standard base64 in its one canonical form. Raises NoteInvalid."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteInvalid("not canonical base64")
    return raw


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteInvalid("not a note's text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteInvalid("not a note's text") from None
