"""Shred certificates: auth's signed word that this was erased then, checkable for years offline.

A certificate is a compact JWS, `typ` "voicefile-shred+jwt", signed by the tenant's receipt key
(`kid`; public halves at GET /v1/tenants/{tenant}/receipt-keys, also when the tenant is no more).
Claims:

    v                1
    iss              the deployment
    what             recording · customer (it was the last one, and the customer's record went
                     with it) · tenant
    tenant           random id
    recording_id     random id; not of a tenant
    log              origin of the log that holds the deed
    erased_at        RFC 3339, UTC, milliseconds
    why              expired · early · customer · tenant-closed
    deed_id          the deed in the log; its commitment is SHA-256 of this very string
    keys_end_by      RFC 3339: by then the keys are destroyed that copies elsewhere could be opened
                     with
    salt             32 random bytes, base64url

No name, number or reference of a customer is in it, and no two certificates name each other.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum

from voicefile.auth.keys.compact_jws import base64url, signed
from voicefile.auth.keys.custody import Signer
from voicefile.auth.keys.receipts import rfc3339
from voicefile.crypto.primitives import sha256

TYP = "voicefile-shred+jwt"
VERSION = 1
SALT_BYTES = 32


class Why(StrEnum):
    """What an erasure comes of."""

    EXPIRED = "expired"
    EARLY = "early"
    CUSTOMER = "customer"
    TENANT_CLOSED = "tenant-closed"


class What(StrEnum):
    """How far it goes."""

    RECORDING = "recording"
    CUSTOMER = "customer"
    TENANT = "tenant"


@dataclass(frozen=True)
class Shredded:
    """What a certificate vouches for."""

    what: What
    tenant: str
    recording: str
    erased_at_ms: int
    why: Why
    deed: str
    keys_end_by_s: int


def shred_certificate(shredded: Shredded, *, issuer: str, log: str, signer: Signer) -> str:
    """The certificate, complete and final: its bytes are never parsed and written again."""
    named = {"recording_id": shredded.recording} if shredded.recording else {}
    claims = {
        "v": VERSION,
        "iss": issuer,
        "what": shredded.what.value,
        "tenant": shredded.tenant,
        **named,
        "log": log,
        "erased_at": rfc3339(shredded.erased_at_ms),
        "why": shredded.why.value,
        "deed_id": shredded.deed,
        "keys_end_by": rfc3339(shredded.keys_end_by_s * 1000),
        "salt": base64url(secrets.token_bytes(SALT_BYTES)),
    }
    return signed(claims, typ=TYP, signer=signer)


def commitment(certificate: str) -> bytes:
    """What the log holds of a certificate."""
    return sha256(certificate.encode("ascii"))
