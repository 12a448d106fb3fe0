"""What goes wrong with sealed things, named after what happened.

CryptoError
├── Malformed         what was handed over can't be: an id, a length, a key of the wrong size
├── KeyringError      a rule of a key namespace would be broken
│   ├── EpochInUse    destroying that root version would take keys that are still needed
│   ├── EpochGone     the epoch's keys were destroyed: what they wrapped is erased
│   ├── UnknownKey    the namespace has no key of that id
│   └── WrongRoot     an epoch under a lasting root version, or the other way round
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


class KeyringError(CryptoError):
    """A rule of a key namespace would be broken."""


class EpochInUse(KeyringError):
    """Destroying that root version would take keys that are still needed."""


class EpochGone(KeyringError):
    """The epoch's keys were destroyed: what they wrapped is erased."""


class UnknownKey(KeyringError):
    """The namespace has no key of that id."""


class WrongRoot(KeyringError):
    """An epoch under a lasting root version, or a lasting key under an epoch's."""


class OutOfOrder(CryptoError):
    """Used after its end, or a chunk asked for before the last one proved the length."""


class Tampered(CryptoError):
    """It does not open or verify; `str(error)` is the Reason where this package raises it."""


class WrongContext(Tampered):
    """It opens, but for another tenant, object or purpose than the one expected."""
