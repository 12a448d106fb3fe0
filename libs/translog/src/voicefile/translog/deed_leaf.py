"""How a log's leaf commits to a deed without telling anything about it.

An entry is a deed as protobuf bytes (message voicefile.contracts.deed.v1.Deed). Its leaf is

    SHA-256("voicefile/deed" 00 ‖ salt ‖ entry)

with 32 fresh random bytes of salt. Whoever is shown salt and entry can check the leaf; whoever
is not can't even try guesses. The entry's bytes are never parsed and serialised again.
"""

from typing import Final

from voicefile.crypto.primitives import sha256

LABEL: Final = b"voicefile/deed\x00"
SALT_BYTES: Final = 32


def commitment(salt: bytes, entry: bytes) -> bytes:
    """The leaf of an entry."""
    assert len(salt) == SALT_BYTES, "a shorter salt would shift into the entry"
    return sha256(LABEL + salt + entry)
