"""Backup's own key: signs manifests and tombstones, opens nothing. A file for its owner's eyes."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicefile.backup.errors import KeyInvalid
from voicefile.chassis.private_file import write_private
from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import KEY_BYTES, SecretKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import ED25519, VerifierKey, decoded, sign_note

_HEAD: Final = "PRIVATE+KEY+"


@dataclass(frozen=True)
class Signer:
    """A name, and the key that signs under it."""

    name: str
    key: SigningKey

    @property
    def public(self) -> VerifierKey:
        return VerifierKey(self.name, self.key.public)

    def sign(self, text: str) -> str:
        """The text as a signed note."""
        return sign_note(text, name=self.name, key=self.key)


def key_at(path: Path, deployment: str) -> Signer:
    """The key in that file, made if there is none. Raises KeyInvalid, OSError."""
    if not path.exists():
        _make(path, deployment)
    try:
        if path.stat().st_mode & 0o077:
            raise KeyInvalid("others may read backup's key")
        name, encoded = path.read_text().strip().removeprefix(_HEAD).split("+", 1)
        raw = decoded(encoded)
    except (ValueError, NoteInvalid):
        raise KeyInvalid("backup's key can't be read") from None
    if raw[:1] != ED25519 or len(raw) != 1 + KEY_BYTES:
        raise KeyInvalid("backup's key is no key")
    return Signer(name, SigningKey.from_seed(SecretKey(raw[1:])))


def _make(path: Path, deployment: str) -> None:
    key = SigningKey.generate()
    encoded = base64.b64encode(ED25519 + key.seed.expose()).decode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, f"{_HEAD}{deployment}/backup+{encoded}\n".encode())
