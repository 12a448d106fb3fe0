"""Client assertions (RFC 7523): a partner proves itself with a signature, once per assertion."""

from dataclasses import dataclass
from typing import Final

import jwt

from voicefile.auth.errors import NotRecognised
from voicefile.auth.ports import Ports
from voicefile.auth.store import ASSERTIONS
from voicefile.auth.tenants.principals import JWK_CURVES
from voicefile.crypto.primitives import sha256
from voicefile.docstore.port import Document, DocumentExists
from voicefile.identity.ids import PLATFORM

ASSERTION_CHARS_MAX: Final = 4096
JTI_CHARS_MAX: Final = 128
TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LEEWAY_S: Final = 5
_CLAIMS: Final = ("iss", "sub", "aud", "exp", "jti")
NOBODYS_KEY: Final = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
"""The key of RFC 8037's example: what an unknown client's signature is checked with, so that
knowing a client_id shows in no time and no answer."""


@dataclass(frozen=True)
class Assertion:
    """A signed statement whose signature has not been checked yet."""

    text: str
    client_id: str

    def __repr__(self) -> str:
        return "<Assertion>"


def read_assertion(text: str) -> Assertion:
    """Whom an assertion claims to be. Raises NotRecognised."""
    if len(text) > ASSERTION_CHARS_MAX:
        raise NotRecognised
    try:
        claims = jwt.decode(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotRecognised from None
    client_id = claims.get("sub")
    # JSON can spell what no text is: half a character, which no store takes.
    if not isinstance(client_id, str) or not client_id.isascii():
        raise NotRecognised
    return Assertion(text, client_id)


async def check_assertion(
    assertion: Assertion, jwk: dict[str, str] | None, *, ports: Ports
) -> None:
    """Raises NotRecognised unless the key's owner signed this for us, just now, the first time."""
    claims = _verified(assertion, jwk or NOBODYS_KEY, ports=ports)
    if jwk is None or claims["iss"] != assertion.client_id or claims["sub"] != assertion.client_id:
        raise NotRecognised
    now_s, expires_s = ports.now_s(), claims["exp"]
    if type(expires_s) is not int or not now_s < expires_s <= _latest(now_s, ports=ports):
        raise NotRecognised
    jti = claims["jti"]
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARS_MAX or not jti.isprintable():
        raise NotRecognised
    await _use_once(assertion.client_id, jti, expires_s=expires_s, ports=ports)


def _latest(now_s: float, *, ports: Ports) -> float:
    return now_s + ports.settings.assertion_s_max + LEEWAY_S


def _verified(assertion: Assertion, jwk: dict[str, str], *, ports: Ports) -> dict[str, object]:
    # The algorithm comes from the registered key; the header chooses nothing.
    algorithm = JWK_CURVES[jwk["crv"]]
    try:
        claims: dict[str, object] = jwt.decode(
            assertion.text,
            jwt.PyJWK(jwk, algorithm=algorithm),
            algorithms=[algorithm],
            audience=[ports.deployment, *ports.settings.assertion_audiences],
            options={
                "require": list(_CLAIMS),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotRecognised from None
    return claims


async def _use_once(client_id: str, jti: str, *, expires_s: int, ports: Ports) -> None:
    used = sha256(client_id.encode() + b"\x00" + jti.encode()).hex()
    body = {"expires_at_s": expires_s}
    try:
        await ports.store.insert(ASSERTIONS, Document(used, PLATFORM, body))
    except DocumentExists:
        raise NotRecognised from None
