"""Every way a token can be wrong is refused; the one way it is right names its principal."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from voicefile.identity.principal import Principal, Role
from voicefile.identity.tokens import (
    TOKEN_CHARS_MAX,
    FixedKeySet,
    KeysUnavailable,
    TokenRefused,
    TokenVerifier,
)

NOW = 1_800_000_000
ISSUER = "deployment-a"
TENANT = "ab" * 16
PARTNER = "cd" * 16
SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
PUBLIC = SIGNER.public_key().public_bytes_raw()
GOOD = {
    "iss": ISSUER,
    "aud": "voicefile",
    "sub": PARTNER,
    "tenant": TENANT,
    "role": "partner",
    "dept": "d1",
    "project": "p1",
    "iat": NOW - 10,
    "exp": NOW + 290,
    "jti": "0" * 32,
}


def verifier(now: float = NOW) -> TokenVerifier:
    keys = {"k1": PUBLIC, "k2": STRANGER.public_key().public_bytes_raw()}
    return TokenVerifier(FixedKeySet(keys), issuer=ISSUER, now=lambda: now)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: object, *, header: dict | None = None, key: object = SIGNER) -> str:
    """Signs whatever it is given, as an attacker with a library of his own would."""
    head = {"alg": "EdDSA", "kid": "k1", "typ": "JWT"} if header is None else header
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    message = f"{b64(json.dumps(head).encode())}.{b64(body)}"
    return f"{message}.{b64(key.sign(message.encode()))}"


def but(**changes: object) -> dict:
    return {**GOOD, **changes}


def without(name: str) -> dict:
    return {key: value for key, value in GOOD.items() if key != name}


async def test_a_good_token_names_its_principal():
    principal = await verifier().verify(signed(GOOD))
    assert principal == Principal(
        id=PARTNER, tenant=TENANT, role=Role.PARTNER, department="d1", project="p1"
    )


async def test_department_and_project_may_be_missing():
    claims = {key: value for key, value in GOOD.items() if key not in {"dept", "project"}}
    principal = await verifier().verify(signed(claims))
    assert (principal.department, principal.project) == ("", "")


async def test_the_token_that_pyjwt_writes_is_good():
    token = jwt.encode(GOOD, SIGNER, algorithm="EdDSA", headers={"kid": "k1"})
    assert (await verifier().verify(token)).id == PARTNER


async def test_an_operator_belongs_to_no_tenant():
    token = signed(but(role="operator", tenant=""))
    assert (await verifier().verify(token)).tenant == ""


WRONG_CLAIMS = {
    **{f"no {name}": without(name) for name in GOOD if name not in {"dept", "project"}},
    "other audience": but(aud="elsewhere"),
    "audience list with ours in it": but(aud=["voicefile", "elsewhere"]),
    "audience prefix": but(aud="voicefile2"),
    "other issuer": but(iss="deployment-b"),
    "issuer list": but(iss=[ISSUER]),
    "expired by a second": but(iat=NOW - 300, exp=NOW - 1),
    "expires now": but(exp=NOW),
    "issued in the future": but(iat=NOW + 6, exp=NOW + 200),
    "not yet valid": but(nbf=NOW + 6),
    "nbf as text": but(nbf="0"),
    "lives too long": but(exp=NOW + 1000),
    "lives for ever": but(exp=2**62),
    "ends before it begins": but(iat=NOW + 4, exp=NOW + 3),
    "exp as text": but(exp=str(NOW + 290)),
    "exp as bool": but(exp=True),
    "exp as float": but(exp=NOW + 290.5),
    "exp null": but(exp=None),
    "iat as list": but(iat=[NOW]),
    "unknown role": but(role="root"),
    "role list": but(role=["partner"]),
    "role in capitals": but(role="PARTNER"),
    "tenant in capitals": but(tenant="AB" * 16),
    "tenant empty": but(tenant=""),
    "tenant with a path": but(tenant="../" + "ab" * 15),
    "tenant with a newline": but(tenant=TENANT + "\n"),
    "tenant number": but(tenant=12),
    "tenant object": but(tenant={"$ne": ""}),
    "operator with a tenant": but(role="operator"),
    "sub short": but(sub="cd"),
    "sub number": but(sub=7),
    "jti empty": but(jti=""),
    "jti number": but(jti=1),
    "dept too long": but(dept="x" * 129),
    "project object": but(project={}),
    "claims are a list": [],
    "claims are a text": "x",
    "claims are null": None,
    "claims are not JSON": b"{",
    "claims are not UTF-8": b'{"iss":"\xff"}',
    "claims nested deeply": b'{"a":' * 150 + b"1" + b"}" * 150,
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
async def test_wrong_claims_are_refused(claims: object):
    with pytest.raises(TokenRefused):
        await verifier().verify(signed(claims))


HEADER = {"alg": "EdDSA", "kid": "k1", "typ": "JWT"}
WRONG_HEADERS = {
    "no kid": {"alg": "EdDSA"},
    "unknown kid": {**HEADER, "kid": "k9"},
    "another key's kid": {**HEADER, "kid": "k2"},
    "kid number": {**HEADER, "kid": 1},
    "kid path": {**HEADER, "kid": "../../dev/null"},
    "kid long": {**HEADER, "kid": "k" * 65},
    "kid empty": {**HEADER, "kid": ""},
    "jku": {**HEADER, "jku": "https://attacker.example/keys"},
    "jwk": {**HEADER, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(PUBLIC)}},
    "x5u": {**HEADER, "x5u": "https://attacker.example"},
    "crit": {**HEADER, "crit": ["b64"], "b64": False},
    "b64": {**HEADER, "b64": False},
    "zip": {**HEADER, "zip": "DEF"},
    "typ of another kind": {**HEADER, "typ": "receipt+jwt"},
    "alg lower case": {**HEADER, "alg": "eddsa"},
    "alg Ed448": {**HEADER, "alg": "Ed448"},
    "alg none": {**HEADER, "alg": "none"},
    "alg null": {**HEADER, "alg": None},
    "alg list": {**HEADER, "alg": ["EdDSA"]},
    "no alg": {"kid": "k1"},
}


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
async def test_wrong_headers_are_refused(header: dict):
    with pytest.raises(TokenRefused):
        await verifier().verify(signed(GOOD, header=header))


def hs256(secret: bytes) -> str:
    message = (
        f"{b64(json.dumps({**HEADER, 'alg': 'HS256'}).encode())}.{b64(json.dumps(GOOD).encode())}"
    )
    return f"{message}.{b64(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def public_pem() -> bytes:
    return SIGNER.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def by(key: object, algorithm: str) -> Callable[[], str]:
    return lambda: jwt.encode(GOOD, key, algorithm=algorithm, headers={"kid": "k1"})


def cut(part: int) -> str:
    parts = signed(GOOD).split(".")
    parts[part] = parts[part][:-4]
    return ".".join(parts)


def unsigned(alg: str) -> str:
    return f"{b64(json.dumps({**HEADER, 'alg': alg}).encode())}.{b64(json.dumps(GOOD).encode())}."


FORGED: dict[str, Callable[[], str]] = {
    "alg none without signature": lambda: unsigned("none"),
    "alg None without signature": lambda: unsigned("None"),
    "alg EdDSA without signature": lambda: unsigned("EdDSA"),
    "HS256 with the raw public key": lambda: hs256(PUBLIC),
    "HS256 with the public key as PEM": lambda: hs256(public_pem()),
    "HS256 with nothing": lambda: hs256(b""),
    "ES256": by(ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "RS256": by(rsa.generate_private_key(65537, 2048), "RS256"),
    "Ed448": by(ed448.Ed448PrivateKey.generate(), "EdDSA"),
    "signed by a stranger": lambda: signed(GOOD, key=STRANGER),
    "signature of another token": lambda: (
        signed(GOOD).rsplit(".", 1)[0] + "." + signed(but(jti="1" * 32)).rsplit(".", 1)[1]
    ),
    "header cut": lambda: cut(0),
    "claims cut": lambda: cut(1),
    "signature cut": lambda: cut(2),
    "four parts": lambda: signed(GOOD) + ".x",
    "two parts": lambda: signed(GOOD).rsplit(".", 1)[0],
    "JSON serialisation": lambda: json.dumps({"payload": "", "signatures": []}),
    "leading space": lambda: " " + signed(GOOD),
    "trailing newline": lambda: signed(GOOD) + "\n",
    "padding": lambda: signed(GOOD) + "==",
    "empty": lambda: "",
    "dots": lambda: "..",
    "not ASCII": lambda: "é" + signed(GOOD)[1:],
    "customer session": lambda: "vs_" + "A" * 43,
    "oversized": lambda: signed(but(dept="d", filler="x" * TOKEN_CHARS_MAX)),
    "huge": lambda: "e" * 10_000_000,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_forged_tokens_are_refused(forge: Callable[[], str]):
    with pytest.raises(TokenRefused):
        await verifier().verify(forge())


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
async def test_one_changed_character_is_refused(place: int, bit: int):
    token = signed(GOOD)
    at = place % len(token)
    changed = chr(ord(token[at]) ^ (1 << bit))
    # The last character of a base64 part may hold bits that mean nothing.
    end_of_signature = at == len(token) - 1
    if end_of_signature:
        return
    with pytest.raises(TokenRefused):
        await verifier().verify(token[:at] + changed + token[at + 1 :])


async def test_a_clock_a_little_ahead_of_ours_is_forgiven():
    token = signed(but(iat=NOW + 5, exp=NOW + 300))
    assert (await verifier().verify(token)).id == PARTNER


async def test_a_token_dies_when_its_time_has_come():
    token = signed(GOOD)
    await verifier(now=NOW + 289.9).verify(token)
    with pytest.raises(TokenRefused):
        await verifier(now=NOW + 290).verify(token)


async def test_a_refusal_says_nothing_about_its_reason():
    said = set()
    for token in (signed(but(exp=NOW)), signed(GOOD, key=STRANGER), "x"):
        with pytest.raises(TokenRefused) as refusal:
            await verifier().verify(token)
        said.add(str(refusal.value))
        assert refusal.value.__cause__ is None
    assert len(said) == 1


async def test_without_keys_nothing_is_called_forged():
    class NoKeys:
        async def find(self, kid: str) -> bytes | None:
            raise KeysUnavailable

    with pytest.raises(KeysUnavailable):
        await TokenVerifier(NoKeys(), issuer=ISSUER, now=lambda: NOW).verify(signed(GOOD))
