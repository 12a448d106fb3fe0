"""What is kept of a PIN and of an answer: keyed hashes, bound to their tenant and credential.

Digits are too few to survive a search on their own. The pepper hangs on the tenant's identity
key, so a stolen dump without the keys tells nothing, and a verifier moved to another credential
fits nothing there.
"""

import secrets

from voicefile.crypto.primitives import argon2id, constant_time_equal, hmac_sha512
from voicefile.crypto.secret import SecretKey, SecretText

SALT_BYTES = 16
ANSWER_BYTES = 32


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


def pin_verifier(
    pepper: SecretKey, pin: SecretText, *, tenant: str, credential: str, salt: bytes
) -> bytes:
    """Memory-hard and slow on purpose: call it from the pool only."""
    message = f"{tenant}{credential}{pin.expose()}".encode()
    return argon2id(hmac_sha512(pepper, message), salt)


def answer_verifier(
    pepper: SecretKey, answer: SecretText, *, tenant: str, credential: str
) -> bytes:
    """The keyed hash of a question's answer, given as digits."""
    message = f"{tenant}{credential}{answer.expose()}".encode()
    return hmac_sha512(pepper, message)[:ANSWER_BYTES]


def same(one: bytes, other: bytes) -> bool:
    return constant_time_equal(one, other)
