"""Time stamps (RFC 3161): an authority says that some bytes existed at a time.

The only import of rfc3161_client, and no I/O: whoever asks sends the request and brings the answer.
A stamp is kept as the whole response, so that `openssl ts -verify` reads it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from voicefile.crypto.primitives import sha256
from voicefile.translog.errors import StampInvalid

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"
RESPONSE_BYTES_MAX: Final = 64 * 1024
_SHA256: Final = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


@dataclass(frozen=True)
class StampTrust:
    """Whose stamps count: those that lead to one of these authorities, under this policy."""

    authorities: Sequence[x509.Certificate]
    policy: str = ""
    """An object identifier; any if there is none."""

    @classmethod
    def of_pem(cls, pem: bytes, *, policy: str = "") -> "StampTrust":
        """Raises StampInvalid."""
        try:
            return cls(x509.load_pem_x509_certificates(pem), policy)
        except ValueError:
            raise StampInvalid("not certificates") from None


@dataclass(frozen=True)
class StampRequest:
    """What is sent, and what has to come back."""

    body: bytes
    nonce: int


def stamp_request(message: bytes) -> StampRequest:
    """Asks for a stamp over SHA-256 of the message, with a fresh nonce and the certificates."""
    request = TimestampRequestBuilder(message, HashAlgorithm.SHA256).build()
    assert request.nonce is not None, "the builder makes one unless told otherwise"
    return StampRequest(request.as_bytes(), request.nonce)


def verify_stamp(
    response: bytes, message: bytes, trust: StampTrust, *, nonce: int | None = None
) -> float:
    """When the message existed, in POSIX seconds, as the authority says. Raises StampInvalid.

    Certificates have to be good at that time, not now. `nonce` is known only to who asked.
    """
    if len(response) > RESPONSE_BYTES_MAX:
        raise StampInvalid("the stamp is too long")
    verifier = VerifierBuilder(roots=list(trust.authorities), nonce=nonce)
    if trust.policy:
        verifier = verifier.policy_id(x509.ObjectIdentifier(trust.policy))
    try:
        stamp = decode_timestamp_response(response)
        # SHA-256 alone: the library would take whatever the stamp names.
        if stamp.tst_info.message_imprint.hash_algorithm != _SHA256:
            raise StampInvalid("the stamp is over another hash")
        verifier.build().verify(stamp, sha256(message))
        return stamp.tst_info.gen_time.timestamp()
    except (VerificationError, ValueError) as wrong:
        raise StampInvalid("the stamp does not hold") from wrong
