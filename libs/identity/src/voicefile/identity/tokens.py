"""Access tokens: Ed25519 signatures checked offline, one algorithm, every claim demanded.

IdentityError
├── TokenRefused      the token proves nothing; never says which check failed
└── KeysUnavailable   the signer's public keys cannot be had now; try later
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from voicefile.identity.ids import PLATFORM, PrincipalId, TenantId
from voicefile.identity.principal import Principal, Role

AUDIENCE: Final = "voicefile"
ALGORITHM: Final = "EdDSA"
TOKEN_CHARS_MAX: Final = 2048
KID_CHARS_MAX: Final = 64
SCOPE_CHARS_MAX: Final = 128
LEEWAY_S: Final = 5
"""How far the signer's clock may run ahead of ours; an expired token gets none of it."""
LIFETIME_S_MAX: Final = 900
"""The longest life auth ever gives (staff); a longer one was not signed by our rules."""

KEYS_PATH: Final = "/auth/v1/keys"
KEYS_RENEW_S: Final = 300.0
"""A key withdrawn by the signer counts here no longer than this, while the signer answers."""
KEYS_STALE_S_MAX: Final = 3600.0
"""With keys older than this nothing is verified any more."""
KEYS_RETRY_S: Final = 5.0
KEYS_TIMEOUT_S: Final = 5.0
KEYS_BYTES_MAX: Final = 64 * 1024
KEYS_MAX: Final = 64

_OK: Final = 200
_PUBLIC_KEY_BYTES: Final = 32
_HEADER_NAMES: Final = frozenset({"alg", "kid", "typ"})
_TYPES: Final = frozenset({"JWT", "at+jwt"})
_CLAIMS: Final = ("iss", "aud", "sub", "tenant", "role", "iat", "exp", "jti")
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class IdentityError(Exception):
    """What this package raises on purpose."""


class TokenRefused(IdentityError):
    """The token proves nothing. Carries no detail: the prober learns no more than that."""

    def __init__(self) -> None:
        super().__init__("token refused")


class KeysUnavailable(IdentityError):
    """The signer's public keys cannot be had now."""


class KeySet(Protocol):
    """The public keys tokens may be signed with."""

    async def find(self, kid: str) -> bytes | None:
        """The Ed25519 public key (32 bytes) of this id, or None. Raises KeysUnavailable."""


class FixedKeySet:
    """Keys that are known already: auth's own, and those of tests."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = keys

    async def find(self, kid: str) -> bytes | None:
        return self._keys.get(kid)


class _Answer(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes: ...


class KeyServer(Protocol):
    """The one thing this package asks of an HTTP client; `httpx.AsyncClient` can do it."""

    async def get(self, url: str, *, timeout: float) -> _Answer: ...  # noqa: ASYNC109 httpx calls it so


class RemoteKeySet:
    """The signer's published keys, kept here and renewed when old or when an unknown id appears."""

    def __init__(
        self,
        client: KeyServer,
        *,
        path: str = KEYS_PATH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._path = path
        self._monotonic = monotonic
        self._renewing = asyncio.Lock()
        self._keys: Mapping[str, bytes] = {}
        self._renewed_s = float("-inf")
        self._tried_s = float("-inf")

    async def find(self, kid: str) -> bytes | None:
        if self._wants(kid):
            async with self._renewing:
                # Whoever waited here finds that somebody else has asked meanwhile.
                if self._wants(kid):
                    await self._renew()
        if self._monotonic() - self._renewed_s > KEYS_STALE_S_MAX:
            raise KeysUnavailable
        return self._keys.get(kid)

    def _wants(self, kid: str) -> bool:
        now_s = self._monotonic()
        # Tokens with invented key ids must not become a flood of requests to the signer.
        may = now_s - self._tried_s >= KEYS_RETRY_S
        return may and (kid not in self._keys or now_s - self._renewed_s >= KEYS_RENEW_S)

    async def _renew(self) -> None:
        try:
            answer = await self._client.get(self._path, timeout=KEYS_TIMEOUT_S)
            if answer.status_code == _OK and len(answer.content) <= KEYS_BYTES_MAX:
                self._keys = parse_keys(answer.content)
                self._renewed_s = self._monotonic()
        except Exception:  # noqa: BLE001, S110 whatever the client raises, there is no answer: the keys we have must do
            pass
        finally:
            # Only now: who comes meanwhile waits for this answer instead of going without.
            self._tried_s = self._monotonic()


def publish_keys(keys: Mapping[str, bytes]) -> dict[str, object]:
    """Ed25519 public keys by id as a JWK Set (RFC 7517, RFC 8037)."""
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": kid}
            | {"x": base64.urlsafe_b64encode(public).rstrip(b"=").decode()}
            for kid, public in keys.items()
        ]
    }


def parse_keys(document: bytes) -> dict[str, bytes]:
    """The Ed25519 keys of a JWK Set; others are passed over. Raises ValueError."""
    found: dict[str, bytes] = {}
    try:
        entries = json.loads(document)["keys"][:KEYS_MAX]
        for entry in entries:
            if (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
                continue
            public = base64.urlsafe_b64decode(entry["x"] + "=")
            if isinstance(entry["kid"], str) and len(public) == _PUBLIC_KEY_BYTES:
                found[entry["kid"]] = public
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not a key set") from None
    return found


class TokenVerifier:
    """Turns a bearer token into the principal it was signed for, or refuses it."""

    def __init__(self, keys: KeySet, *, issuer: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._now = now

    async def verify(self, token: str) -> Principal:
        """The principal. Raises TokenRefused, or KeysUnavailable when nothing can be said."""
        kid = _key_id(token)
        public = await self._keys.find(kid)
        if public is None:
            raise TokenRefused
        return self._principal(self._claims(token, public))

    def _claims(self, token: str, public: bytes) -> Mapping[str, object]:
        try:
            # One algorithm and a key object of one type: a token's header chooses nothing.
            # Times are compared below, with the clock this verifier was given.
            claims: dict[str, object] = jwt.decode(
                token,
                Ed25519PublicKey.from_public_bytes(public),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": list(_CLAIMS),
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            # PyJWT lets some malformed payloads through as plain errors; all mean the same.
            raise TokenRefused from None
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, object]) -> None:
        now = self._now()
        issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
        not_before = _instant(claims, "nbf") if "nbf" in claims else issued
        if (
            now >= expires
            or issued > now + LEEWAY_S
            or not_before > now + LEEWAY_S
            or not 0 < expires - issued <= LIFETIME_S_MAX
        ):
            raise TokenRefused

    def _principal(self, claims: Mapping[str, object]) -> Principal:
        try:
            role = Role(_text(claims, "role"))
        except ValueError:
            raise TokenRefused from None
        tenant = TenantId(_text(claims, "tenant"))
        # Only an operator stands outside all tenants; anyone else without one would reach none.
        tenant_fits = tenant == PLATFORM if role is Role.OPERATOR else bool(_ID.fullmatch(tenant))
        principal = PrincipalId(_text(claims, "sub"))
        if not tenant_fits or not _ID.fullmatch(principal) or not _text(claims, "jti"):
            raise TokenRefused
        return Principal(
            id=principal,
            tenant=tenant,
            role=role,
            department=_text(claims, "dept", default=""),
            project=_text(claims, "project", default=""),
        )


def _key_id(token: str) -> str:
    if len(token) > TOKEN_CHARS_MAX or not _TOKEN.fullmatch(token):
        raise TokenRefused
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused from None
    kid = header.get("kid")
    # Unknown header names (jku, jwk, x5u, crit, b64 …) ask for rules we don't have.
    if (
        set(header) - _HEADER_NAMES
        or header.get("alg") != ALGORITHM
        or header.get("typ", "JWT") not in _TYPES
        or not isinstance(kid, str)
        or not 0 < len(kid) <= KID_CHARS_MAX
    ):
        raise TokenRefused
    return kid


def _text(claims: Mapping[str, object], name: str, *, default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str) or len(value) > SCOPE_CHARS_MAX:
        raise TokenRefused
    return value


def _instant(claims: Mapping[str, object], name: str) -> int:
    value = claims[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TokenRefused
    return value
