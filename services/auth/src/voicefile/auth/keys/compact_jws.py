"""Compact JWS (RFC 7515) with EdDSA (RFC 8037): what auth signs for others to check.

Written by hand because the signing key then never leaves the type that hides it.
"""

import base64
import json
from collections.abc import Mapping

from voicefile.auth.keys.custody import Signer


def signed(claims: Mapping[str, object], *, typ: str, signer: Signer) -> str:
    """The claims as one string that any JOSE library verifies."""
    header = {"alg": "EdDSA", "kid": signer.kid, "typ": typ}
    message = f"{_part(header)}.{_part(claims)}"
    return f"{message}.{base64url(signer.key.sign(message.encode('ascii')))}"


def public_jwk(kid: str, public: bytes) -> dict[str, str]:
    """A public signing key as others fetch it (RFC 8037)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64url(public),
        "kid": kid,
        "alg": "EdDSA",
        "use": "sig",
    }


def base64url(content: bytes) -> str:
    """Without padding, as JOSE writes bytes."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _part(fields: Mapping[str, object]) -> str:
    return base64url(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode())
