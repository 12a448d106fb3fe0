"""Receipts: auth's signed word that this recording was filed then, checkable for years offline.

A receipt is a compact JWS, `typ` "voicefile-receipt+jwt", signed by the tenant's receipt key
(`kid`; public halves at GET /v1/tenants/{tenant}/receipt-keys). Claims:

    v                        1
    iss                      the deployment
    tenant, recording_id     random ids
    log                      origin of the log that will hold SHA-256 of this very string
    stored_at                RFC 3339, UTC, milliseconds
    audio_sha256             hex, of the audio as it was uploaded
    contract_parts_sha256    hex, of the list of contract parts as canonical JSON
    consent_sha256           hex, of the consent object as canonical JSON
    sensitive                bool
    salt                     32 random bytes, base64url: the log's entry says nothing without it

Canonical JSON: UTF-8, keys sorted, no spaces, nothing escaped that need not be (RFC 8785 for
strings and lists). No name, number or reference of a customer is in it.
"""

import datetime as dt
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voicefile.auth.keys.compact_jws import base64url, signed
from voicefile.auth.keys.custody import Signer
from voicefile.crypto.primitives import sha256

TYP = "voicefile-receipt+jwt"
VERSION = 1
SALT_BYTES = 32
_KEY_LABEL = b"voicefile/receipt-key\x00"


@dataclass(frozen=True)
class Filed:
    """What a receipt vouches for."""

    tenant: str
    recording: str
    stored_at_ms: int
    audio_sha256: str
    contract_parts: Sequence[str]
    consent: Mapping[str, str]
    sensitive: bool


def receipt(filed: Filed, *, issuer: str, log: str, signer: Signer) -> str:
    """The receipt, complete and final: its bytes are never parsed and written again."""
    claims = {
        "v": VERSION,
        "iss": issuer,
        "tenant": filed.tenant,
        "recording_id": filed.recording,
        "log": log,
        "stored_at": rfc3339(filed.stored_at_ms),
        "audio_sha256": filed.audio_sha256,
        "contract_parts_sha256": sha256(canonical_json(list(filed.contract_parts))).hex(),
        "consent_sha256": sha256(canonical_json(dict(filed.consent))).hex(),
        "sensitive": filed.sensitive,
        "salt": base64url(secrets.token_bytes(SALT_BYTES)),
    }
    return signed(claims, typ=TYP, signer=signer)


def commitment(receipt_text: str) -> bytes:
    """What the log holds of a receipt."""
    return sha256(receipt_text.encode("ascii"))


def key_commitment(kid: str, public: bytes) -> bytes:
    """What the log holds of a key that receipts are signed with."""
    return sha256(_KEY_LABEL + kid.encode() + public)


def canonical_json(value: object) -> bytes:
    """The same bytes for the same value, whoever writes them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def rfc3339(at_ms: int) -> str:
    """UTC with milliseconds."""
    moment = dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
