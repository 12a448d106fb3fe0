"""Recipients: X25519 keys whose public halves stand in settings, and secret halves on paper."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.errors import Malformed
from voicefile.crypto.primitives import (
    PUBLIC_BYTES,
    SealingKeyPair,
    constant_time_equal,
    open_sealed,
    seal_to,
    sha256,
)
from voicefile.crypto.secret import SecretKey
from voicefile.dumps.errors import RecipientInvalid

RECIPIENTS_MIN: Final = 2
"""One alone would be one fire away from none."""
RECIPIENTS_MAX: Final = 8
_LABEL: Final = b"voicefile/recipient\x00"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_CHECK_BYTES: Final = 4
_FINGERPRINT_BYTES: Final = 8
_ROLE: Final = "dump-key"


@dataclass(frozen=True)
class Recipient:
    """Somebody a dump's key is sealed to."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public) != PUBLIC_BYTES:
            raise RecipientInvalid("not a recipient's key")

    def __str__(self) -> str:
        encoded = base64.b64encode(self.public).decode()
        return f"{self.name}+{_check(self.name, self.public)}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> "Recipient":
        """From `name+check+key`. Raises RecipientInvalid."""
        name, _, rest = text.strip().partition("+")
        check, _, encoded = rest.partition("+")
        try:
            public = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise RecipientInvalid("not a recipient's key") from None
        found = cls(name, public)
        # Typed from a sheet, perhaps: a slip of the pen would seal everything to nobody.
        if not constant_time_equal(check.encode(), _check(name, public).encode()):
            raise RecipientInvalid("the recipient's check digits are of another key")
        return found

    def box(self, key: SecretKey, *, deployment: bytes, dump: str) -> bytes:
        """The dump's key, for this recipient alone. Raises RecipientInvalid."""
        try:
            return seal_to(self.public, _context(deployment, dump, self.name), key)
        except Malformed:
            raise RecipientInvalid("the recipient's key would be everybody's") from None


def fingerprint(recipients: Sequence[Recipient]) -> str:
    """Tells those who can read a dump from others, in 16 hex digits."""
    names = sorted(str(each) for each in recipients)
    return sha256(_LABEL + "\n".join(names).encode())[:_FINGERPRINT_BYTES].hex()


def unbox(
    box: bytes, pair: SealingKeyPair, *, name: str, deployment: bytes, dump: str
) -> SecretKey:
    """The key of that dump, for who holds the recipient's secret half. Raises Tampered."""
    return open_sealed(pair, box, _context(deployment, dump, name))


def _context(deployment: bytes, dump: str, name: str) -> bytes:
    named = name.encode("ascii")
    return Context(deployment, "", object_id(dump, _ROLE), Kind.WRAPPED_KEY, named).encode()


def _check(name: str, public: bytes) -> str:
    return sha256(_LABEL + name.encode() + b"\x00" + public)[:_CHECK_BYTES].hex()
