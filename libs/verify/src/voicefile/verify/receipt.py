"""Receipts: compact JWS (RFC 7515) with EdDSA (RFC 8037), and the key they are checked with.

Written by hand so that the verifier stands on libsodium alone; a test holds it against PyJWT.
"""

import base64
import binascii
import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import PUBLIC_BYTES, sha256
from voicefile.crypto.primitives import verify as verify_signature
from voicefile.verify.names import RECEIPT, RECEIPT_KEY
from voicefile.verify.refuted import Refuted

TYP: Final = "voicefile-receipt+jwt"
VERSION: Final = 1
KEY_LABEL: Final = b"voicefile/receipt-key\x00"
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KID: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_LOG: Final = re.compile(r"voicefile/[^/\s+]+/[0-9a-f]{32}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


@dataclass(frozen=True)
class Receipt:
    """What a receipt says; nothing of it is believed yet."""

    text: str
    kid: str
    issuer: str
    tenant: str
    recording: str
    log: str
    stored_at: str
    audio_sha256: str
    contract_parts_sha256: str
    consent_sha256: str
    sensitive: bool

    @property
    def commitment(self) -> bytes:
        """What the log holds of it."""
        return sha256(self.text.encode("ascii"))

    @property
    def stored_at_ms(self) -> int:
        """Unix time in milliseconds."""
        moment = dt.datetime.fromisoformat(self.stored_at)
        return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def parse_receipt(text: str) -> Receipt:
    """A receipt's claims. Raises Refuted; its signature is not looked at."""
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        raise Refuted(RECEIPT, "whole", "not three parts with points between them")
    header, claims = (
        json_object(parts[0], "header", of=RECEIPT),
        json_object(parts[1], "claims", of=RECEIPT),
    )
    _require(header.get("alg") == "EdDSA", "header alg", "not EdDSA")
    _require(header.get("typ") == TYP, "header typ", "not a receipt's")
    _require(claims.get("v") == VERSION, "claim v", "a version unknown here")
    _require(isinstance(claims.get("sensitive"), bool), "claim sensitive", "not true or false")
    stored_at = _text(claims, "stored_at", _TIME)
    try:
        dt.datetime.fromisoformat(stored_at)
    except ValueError:
        raise Refuted(RECEIPT, "claim stored_at", "not a time") from None
    return Receipt(
        text=text,
        kid=_text(header, "kid", _KID, part="header"),
        issuer=_text(claims, "iss", re.compile(r"\S+")),
        tenant=_text(claims, "tenant", _ID),
        recording=_text(claims, "recording_id", _ID),
        log=_text(claims, "log", _LOG),
        stored_at=stored_at,
        audio_sha256=_text(claims, "audio_sha256", _HASH),
        contract_parts_sha256=_text(claims, "contract_parts_sha256", _HASH),
        consent_sha256=_text(claims, "consent_sha256", _HASH),
        sensitive=claims["sensitive"],
    )


def check_signature(receipt: Receipt, public: bytes) -> None:
    """Returns if this key signed the receipt. Raises Refuted."""
    check_signed(receipt.text, public, of=RECEIPT)


def check_signed(text: str, public: bytes, *, of: str) -> None:
    """Returns if this key signed the text, a compact JWS. Raises Refuted, of the file named."""
    message, _, signature = text.rpartition(".")
    try:
        verify_signature(public, message.encode("ascii"), from_base64url(signature))
    except (Tampered, ValueError):
        raise Refuted(of, "signature", "not by the key of its kid over this text") from None


@dataclass(frozen=True)
class ReceiptKey:
    """The public half of the key that signs a tenant's receipts."""

    kid: str
    public: bytes

    @property
    def commitment(self) -> bytes:
        """What the log holds of it, in the deed that opened the tenant."""
        return sha256(KEY_LABEL + self.kid.encode("ascii") + self.public)

    def __str__(self) -> str:
        """As it lies in a bundle: a JWK (RFC 8037) in the one form the format allows."""
        x = base64.urlsafe_b64encode(self.public).rstrip(b"=").decode()
        jwk = {"crv": "Ed25519", "kid": self.kid, "kty": "OKP", "x": x}
        return json.dumps(jwk, sort_keys=True, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "ReceiptKey":
        """From a bundle's file. Raises Refuted."""
        try:
            key = cls.of(json.loads(text))
        except ValueError:
            raise Refuted(RECEIPT_KEY, "whole", "not a key as JSON (RFC 8037)") from None
        if str(key) != text:
            raise Refuted(RECEIPT_KEY, "whole", "not in the one form the format allows")
        return key

    @classmethod
    def of(cls, jwk: Any) -> "ReceiptKey":
        """From a JWK as auth publishes it. Raises ValueError."""
        if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
            raise ValueError("not an Ed25519 key")
        kid, x = jwk.get("kid"), jwk.get("x")
        if not isinstance(kid, str) or not isinstance(x, str) or not _KID.fullmatch(kid):
            raise ValueError("not a key with an id")
        public = from_base64url(x)
        if len(public) != PUBLIC_BYTES:
            raise ValueError("not an Ed25519 key")
        return cls(kid, public)


def from_base64url(text: str) -> bytes:
    """Without padding, in its one canonical form. Raises ValueError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError("not canonical base64url")
    return raw


def json_object(part: str, name: str, *, of: str) -> dict[str, Any]:
    """A part of a compact JWS. Raises Refuted, of the file named."""
    try:
        found = json.loads(from_base64url(part))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refuted(of, name, "not base64url of a JSON object")
    return found


def _text(fields: dict[str, Any], name: str, form: re.Pattern[str], *, part: str = "claim") -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Refuted(RECEIPT, f"{part} {name}", "missing, or not in its form")
    return value


def _require(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise Refuted(RECEIPT, place, what)
