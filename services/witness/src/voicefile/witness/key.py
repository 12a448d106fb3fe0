"""The witness's own key: one file for its owner's eyes, in the form in which others keep theirs."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import KEY_BYTES, SecretKey
from voicefile.translog.cosignature import COSIGNATURE, WitnessKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import decoded, key_id
from voicefile.witness.errors import MemoryLost

_HEAD: Final = "PRIVATE+KEY+"
OWNER_ONLY: Final = 0o600


@dataclass(frozen=True)
class Signer:
    """A name, and the key that cosigns under it."""

    name: str
    key: SigningKey

    @property
    def public(self) -> WitnessKey:
        return WitnessKey(self.name, self.key.public)


def make_key(path: Path, name: str) -> Signer:
    """A new key in a new file. Raises FileExistsError, NoteInvalid."""
    signer = Signer(name, SigningKey.generate())
    stated_id = key_id(signer.public.name, signer.key.public, kind=COSIGNATURE).hex()
    encoded = base64.b64encode(COSIGNATURE + signer.key.seed.expose()).decode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{_HEAD}{name}+{stated_id}+{encoded}\n")
        file.flush()
        os.fsync(file.fileno())
    return signer


def read_key(path: Path) -> Signer:
    """The key in that file. Raises MemoryLost, also if others may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise MemoryLost("others may read the witness's key")
        name, stated_id, encoded = path.read_text().strip().removeprefix(_HEAD).split("+", 2)
        raw = decoded(encoded)
    except (OSError, ValueError, NoteInvalid):
        raise MemoryLost("the witness's key can't be read") from None
    if raw[:1] != COSIGNATURE or len(raw) != 1 + KEY_BYTES:
        raise MemoryLost("the witness's key is no key")
    signer = Signer(name, SigningKey.from_seed(SecretKey(raw[1:])))
    if key_id(name, signer.key.public, kind=COSIGNATURE).hex() != stated_id:
        raise MemoryLost("the witness's key is not the one that was made")
    return signer
