"""Blind indexes: care finds a customer by an exact value, the database sees keyed hashes.

A token is HMAC under the tenant's identity key for that one field, cut to 128 bits: the same
phone number makes unrelated tokens in two tenants, and in two fields. Names have no index; they
are too few and too telling.
"""

import unicodedata
from collections.abc import Callable, Mapping

from voicefile.crypto.keyring import IdentityKey, Purpose
from voicefile.crypto.primitives import hmac_sha512

TOKEN_BYTES = 16
COUNTRY = "49"
"""What a national number (leading 0) belongs to."""


def normal_phone(typed: str) -> str:
    """Digits with country code, as E.164 without its plus."""
    international = typed.lstrip().startswith("+")
    digits = "".join(sign for sign in typed.replace("(0)", "") if sign.isascii() and sign.isdigit())
    if international:
        return digits
    if digits.startswith("00"):
        return digits[2:]
    return COUNTRY + digits[1:] if digits.startswith("0") else digits


def normal_email(typed: str) -> str:
    """Lower case, without space around it."""
    return unicodedata.normalize("NFKC", typed).strip().lower()


def normal_reference(typed: str) -> str:
    """Letters and digits alone, in one case: references are typed with all kinds of dashes."""
    folded = unicodedata.normalize("NFKC", typed).casefold()
    return "".join(sign for sign in folded if sign.isalnum())


FIELDS: Mapping[str, tuple[Purpose, Callable[[str], str]]] = {
    "contract_reference": (Purpose.IDX_CONTRACT_REFERENCE, normal_reference),
    "phone": (Purpose.IDX_PHONE, normal_phone),
    "email": (Purpose.IDX_EMAIL, normal_email),
    "customer_number": (Purpose.IDX_CUSTOMER_NUMBER, normal_reference),
}


def token(identity: IdentityKey, field: str, typed: str) -> bytes | None:
    """The token of a value; None if nothing of the value is left to search for."""
    purpose, normal = FIELDS[field]
    value = normal(typed)
    if not value:
        return None
    return hmac_sha512(identity.derive(purpose), value.encode())[:TOKEN_BYTES]


def tokens(identity: IdentityKey, values: Mapping[str, str]) -> tuple[bytes, ...]:
    """The tokens of all searchable values, sorted: their order must not tell their fields."""
    found = {token(identity, field, values[field]) for field in FIELDS if field in values}
    return tuple(sorted(each for each in found if each is not None))
