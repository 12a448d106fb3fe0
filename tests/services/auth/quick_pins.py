"""A pool of PINs that costs nothing, where who gets in is tried, and not how slowly."""

from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.crypto.primitives import hmac_sha512
from voicefile.crypto.secret import SecretKey, SecretText

VERIFIER_BYTES = 32


def quick_verifier(
    pepper: SecretKey, pin: SecretText, *, tenant: str, credential: str, salt: bytes
) -> bytes:
    """What a PIN is kept as, bound to all it is bound to, without what makes it slow."""
    message = f"{tenant}{credential}{pin.expose()}".encode()
    return hmac_sha512(pepper, salt + message)[:VERIFIER_BYTES]


def quick_pool() -> PinPool:
    """Everything of the pool but the cost of a hash."""
    return PinPool(verifier=quick_verifier)
