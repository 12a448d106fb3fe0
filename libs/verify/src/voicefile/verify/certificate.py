"""Shred certificates: the vault's signed word that something was erased, checked offline.

Proven by it alone: who vouches, for which random ids, since when and why. That the deed it names
stands in the log, anybody shows who looks it up there: its commitment is SHA-256 of this text.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicefile.crypto.primitives import sha256
from voicefile.verify.receipt import ReceiptKey, check_signed, json_object
from voicefile.verify.refuted import Refuted

TYP: Final = "voicefile-shred+jwt"
NAME: Final = "shred certificate"
VERSION: Final = 1
TEXT_CHARS_MAX: Final = 8_192
_PARTS: Final = 3
_ID: Final = r"[0-9a-f]{32}"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_FORMS: Final = {
    "iss": r"\S+",
    "what": "recording|customer|tenant",
    "tenant": _ID,
    "log": rf"voicefile/[^/\s+]+/{_ID}",
    "erased_at": _TIME,
    "why": "expired|early|customer|tenant-closed",
    "deed_id": _ID,
    "keys_end_by": _TIME,
}


@dataclass(frozen=True)
class Certificate:
    """What a certificate says; nothing of it is believed before `check_certificate`."""

    text: str
    kid: str
    claims: dict[str, str]
    recording: str
    """Empty: of a whole tenant."""

    @property
    def commitment(self) -> bytes:
        """What the log holds of it, in the deed it names."""
        return sha256(self.text.encode("ascii"))


def parse_certificate(text: str) -> Certificate:
    """A certificate's claims. Raises Refuted; its signature is not looked at."""
    parts = text.split(".")
    if len(text) > TEXT_CHARS_MAX or not text.isascii() or len(parts) != _PARTS:
        raise Refuted(NAME, "whole", "not three parts with points between them")
    header, claims = (
        json_object(parts[0], "header", of=NAME),
        json_object(parts[1], "claims", of=NAME),
    )
    if (header.get("alg"), header.get("typ")) != ("EdDSA", TYP):
        raise Refuted(NAME, "header", "not a shred certificate's")
    if claims.get("v") != VERSION or isinstance(claims["v"], bool):
        raise Refuted(NAME, "claim v", "a version unknown here")
    told = {name: _text(claims, name, form) for name, form in _FORMS.items()}
    whole = told["what"] == "tenant"
    recording = "" if whole else _text(claims, "recording_id", _ID)
    return Certificate(text, _text(header, "kid", r"[\x21-\x7e]{1,128}"), told, recording)


def check_certificate(certificate: Certificate, keys: list[ReceiptKey]) -> None:
    """Returns if one of these keys signed it, the one it names. Raises Refuted."""
    key = next((each for each in keys if each.kid == certificate.kid), None)
    if key is None:
        raise Refuted(NAME, "kid", "the key that it names is not among these")
    check_signed(certificate.text, key.public, of=NAME)


def judge_certificate(certificate: Path, receipt_keys: Path) -> Certificate:
    """From files: the text, and auth's answer for the tenant's keys. Raises Refuted, OSError."""
    parsed = parse_certificate(certificate.read_text("ascii").strip())
    try:
        keys = [ReceiptKey.of(each) for each in json.loads(receipt_keys.read_bytes())["keys"]]
    except (KeyError, TypeError):
        raise ValueError("not the answer with a tenant's receipt keys") from None
    check_certificate(parsed, keys)
    return parsed


def _text(fields: dict[str, Any], name: str, form: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not re.fullmatch(form, value, re.ASCII):
        raise Refuted(NAME, f"claim {name}", "missing, or not in its form")
    return value
