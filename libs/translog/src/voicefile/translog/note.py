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


def key_id(name: str, public: bytes) -> bytes:
    """Four bytes that tell keys apart; no more than a hint."""
    return sha256(name.encode() + b"\n" + ED25519 + public)[:KEY_ID_BYTES]


@dataclass(frozen=True)
class VerifierKey:
    """The name and public half of a key that signs notes."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public) != PUBLIC_BYTES:
            raise NoteInvalid("not a verifier key")

    def __str__(self) -> str:
        encoded = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.name}+{key_id(self.name, self.public).hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """From `name+id+key`. Raises NoteInvalid."""
        name, _, rest = text.partition("+")
        stated_id, _, encoded = rest.partition("+")
        raw = decoded(encoded)
        if raw[:1] != ED25519:
            raise NoteInvalid("not an Ed25519 verifier key")
        key = cls(name, raw[1:])
        if key_id(key.name, key.public).hex() != stated_id:
            raise NoteInvalid("the verifier key's id is another")
        return key


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
    if len(note) > NOTE_CHARS_MAX:
        raise NoteInvalid("the note is too long")
    text, found, lines = note.rpartition("\n\n")
    if not found or not lines.endswith("\n"):
        raise NoteInvalid("the note has no signatures")
    text += "\n"
    _check_text(text)
    known = 0
    signatures = lines.removesuffix("\n").split("\n")
    if len(signatures) > SIGNATURES_MAX:
        raise NoteInvalid("the note has too many signatures")
    for line in signatures:
        known += _signed(line, text, key)
    if not known:
        raise NoteInvalid("the key did not sign the note")
    return text


def _signed(line: str, text: str, key: VerifierKey) -> bool:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None or not _NAME.fullmatch(match[1]):
        raise NoteInvalid("not a signature line")
    raw = decoded(match[2])
    if len(raw) <= KEY_ID_BYTES:
        raise NoteInvalid("not a signature line")
    if match[1] != key.name or raw[:KEY_ID_BYTES] != key_id(key.name, key.public):
        return False
    try:
        verify(key.public, text.encode(), raw[KEY_ID_BYTES:])
    except Tampered as tampered:
        raise NoteInvalid("the signature is wrong") from tampered
    return True


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
