"""What goes wrong with sealed things, named after what happened.

CryptoError
├── Malformed         what was handed over can't be: an id, a length, a key of the wrong size
├── OutOfOrder        a sealer or opener was used against the order that makes it safe
└── Tampered          does not open or verify; nobody can tell forgery from a wrong key
    └── WrongContext  opens, but was made for another tenant, object or purpose
"""

from enum import StrEnum


class Reason(StrEnum):
    """Which check refused. It is the whole text of a Tampered: no byte of the input is in it."""

    SIZE = "size"
    MAGIC = "magic"
    SUITE = "suite"
    KIND = "kind"
    HEADER_LENGTH = "header-length"
    CHUNK_SIZE = "chunk-size"
    COMMITMENT = "commitment"
    LAST_CHUNK = "last-chunk"
    CHUNK = "chunk"
    BOX = "box"
    CONTEXT = "context"
    SIGNATURE = "signature"


class CryptoError(Exception):
    """What this package raises on purpose."""


class Malformed(CryptoError):
    """The caller's own value can't be: a mistake of ours, not a sign of an attack."""


class OutOfOrder(CryptoError):
    """Used after its end, or a chunk asked for before the last one proved the length."""


class Tampered(CryptoError):
    """It does not open or verify; `str(error)` is the Reason where this package raises it."""


class WrongContext(Tampered):
    """It opens, but for another tenant, object or purpose than the one expected."""
