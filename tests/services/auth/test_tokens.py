"""Partners' tokens: a signature or a demo secret gets one; whatever else gets the same refusal."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.services.auth.issuing_world import DEPLOYMENT, an_auth, slug

from voicefile.auth.errors import UnusableKey
from voicefile.auth.settings import CLOCKS_APART_S_MAX
from voicefile.auth.store import ASSERTIONS
from voicefile.auth.sweep import sweep
from voicefile.auth.tenants.principals import remove_principal
from voicefile.auth.tokens.client_assertion import TYPE
from voicefile.deeds.deed import Actor
from voicefile.identity.ids import new_id

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def tenant(vault):
    return await vault.tenant()


def public_jwk(key):
    algorithm = jwt.get_algorithm_by_name(algorithm_of(key))
    return {
        name: value
        for name, value in json.loads(algorithm.to_jwk(key.public_key())).items()
        if name in {"kty", "crv", "x", "y"}
    }


def algorithm_of(key):
    return "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"


KEYS = {
    "Ed25519": Ed25519PrivateKey.generate,
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def assertion(vault, client_id, key, *, algorithm=None, **changes):
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": DEPLOYMENT,
        "exp": int(vault.clock()) + 60,
        "jti": new_id(),
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm or algorithm_of(key))


async def ask(vault, text):
    form = {**GRANT, "client_assertion_type": TYPE, "client_assertion": text}
    return await vault.call("POST", "/v1/token", data=form)


async def ask_basic(vault, client_id, secret):
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    async with vault.client() as client:
        return await client.post(
            "/auth/v1/token", data=GRANT, headers={"Authorization": f"Basic {credentials}"}
        )


@pytest.mark.parametrize("curve", KEYS)
async def test_a_signature_gets_a_token_that_says_who_it_is(vault, tenant, curve):
    key = KEYS[curve]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    answer = await ask(vault, assertion(vault, partner.id, key))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 300)
    keys = jwt.PyJWKSet.from_dict((await vault.call("GET", "/v1/keys")).json())
    claims = jwt.decode(
        told["access_token"],
        keys[jwt.get_unverified_header(told["access_token"])["kid"]],
        algorithms=["EdDSA"],
        audience="voicefile",
        issuer=DEPLOYMENT,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["sub"], claims["tenant"], claims["role"]) == (partner.id, tenant, "partner")
    assert claims["exp"] - claims["iat"] == 300


async def test_a_token_is_recorded_before_it_is_given(vault, tenant):
    partner = await vault.partner(tenant)
    await ask_basic(vault, partner.id, partner.secret)
    (deed,) = await vault.deeds("TOKEN_ISSUED")
    assert (deed.tenant, deed.actor) == (tenant, partner.id)


async def test_our_own_guards_take_the_token(vault, tenant):
    partner = await vault.partner(tenant)
    token = (await ask_basic(vault, partner.id, partner.secret)).json()["access_token"]
    answer = await vault.call("GET", "/v1/tenant", token=token)
    assert answer.json()["id"] == tenant
    vault.clock.s += 300
    assert (await vault.call("GET", "/v1/tenant", token=token)).status_code == 401


async def test_an_assertion_swept_by_one_instance_is_not_taken_by_one_whose_clock_is_behind(
    vault, tenant
):
    key = KEYS["Ed25519"]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    text = assertion(vault, partner.id, key)
    assert (await ask(vault, text)).status_code == 200
    for ahead_s in (61, 61 + CLOCKS_APART_S_MAX - 5):
        vault.clock.s += ahead_s
        await sweep(vault.ports)
        vault.clock.s -= ahead_s
        assert (await ask(vault, text)).status_code == 401
    vault.clock.s += 61 + CLOCKS_APART_S_MAX
    await sweep(vault.ports)
    assert await vault.docs.scan(ASSERTIONS) == []


async def test_an_assertion_works_once(vault, tenant):
    key = KEYS["Ed25519"]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    text = assertion(vault, partner.id, key)
    assert (await ask(vault, text)).status_code == 200
    again = await ask(vault, text)
    assert (again.status_code, slug(again)) == (401, "not-recognised")


async def test_what_is_wrong_never_shows(vault, tenant):
    key, other = KEYS["Ed25519"](), KEYS["Ed25519"]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    removed = await vault.partner(tenant, jwk=public_jwk(key))
    await remove_principal(tenant, removed.id, by=Actor.service(), ports=vault.ports)
    demo = await vault.partner(tenant)
    staff = await vault.staff(tenant)
    now = int(vault.clock())
    shared = "s" * 32
    texts = [
        assertion(vault, partner.id, other),
        assertion(vault, "0" * 32, key),
        assertion(vault, removed.id, key),
        assertion(vault, demo.id, key),
        assertion(vault, staff.id, key),
        assertion(vault, partner.id, key, aud="somebody-else"),
        assertion(vault, partner.id, key, iss="0" * 32),
        assertion(vault, partner.id, key, exp=now),
        assertion(vault, partner.id, key, exp=now + 3600),
        assertion(vault, partner.id, key, exp=None),
        assertion(vault, partner.id, key, jti=None),
        assertion(vault, partner.id, key, jti=""),
        assertion(vault, partner.id, key, jti="j" * 1000),
        assertion(vault, partner.id, shared, algorithm="HS256"),
        jwt.encode({"sub": partner.id}, None, algorithm="none"),
        "not.a.jwt",
        "x" * 10_000,
    ]
    answers = [await ask(vault, text) for text in texts]
    answers.append(await ask_basic(vault, demo.id, "wrong"))
    answers.append(await ask_basic(vault, "0" * 32, demo.secret))
    answers.append(await ask_basic(vault, partner.id, ""))
    answers.append(await ask_basic(vault, staff.id, staff.password.expose()))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["error"] == "invalid_client"


async def test_two_proofs_at_once_are_none(vault, tenant):
    key = KEYS["Ed25519"]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    form = {
        **GRANT,
        "client_assertion_type": TYPE,
        "client_assertion": assertion(vault, partner.id, key),
    }
    async with vault.client() as client:
        answer = await client.post("/auth/v1/token", data=form, auth=("a", "b"))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("grant", ["password", "authorization_code", ""])
async def test_no_other_grant_is_known(vault, grant):
    answer = await vault.call("POST", "/v1/token", data={"grant_type": grant})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_a_token_request_is_a_form_with_each_field_once(vault):
    for content, kind in (
        ('{"grant_type": "client_credentials"}', "application/json"),
        ("grant_type=client_credentials&grant_type=x", "application/x-www-form-urlencoded"),
        ("grant_type=%", "text/plain"),
        ("&".join(f"a{n}=1" for n in range(100)), "application/x-www-form-urlencoded"),
    ):
        async with vault.client() as client:
            answer = await client.post(
                "/auth/v1/token", content=content, headers={"Content-Type": kind}
            )
        assert answer.status_code == 400


async def test_outside_a_demo_a_partner_brings_a_key(vault):
    tenant = await vault.tenant("real.example", demo=False)
    with pytest.raises(UnusableKey):
        await vault.partner(tenant)
    assert await vault.partner(tenant, jwk=public_jwk(KEYS["P-256"]()))


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "A" * 43},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "EC", "crv": "P-521", "x": "A" * 43, "y": "A" * 43},
        {},
    ],
)
async def test_a_key_that_is_not_a_public_one_of_ours_is_refused(vault, tenant, jwk):
    with pytest.raises(UnusableKey):
        await vault.partner(tenant, jwk=jwk)


async def test_used_assertions_are_forgotten_once_they_expired(vault, tenant):
    key = KEYS["Ed25519"]()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    text = assertion(vault, partner.id, key)
    await ask(vault, text)
    await sweep(vault.ports)
    assert len(await vault.docs.scan(ASSERTIONS)) == 1
    vault.clock.s += 120
    await sweep(vault.ports)
    assert await vault.docs.scan(ASSERTIONS) == []
    assert (await ask(vault, text)).status_code == 401


@pytest.mark.parametrize("claim", ["sub", "jti"])
async def test_half_a_character_in_a_claim_proves_nothing(vault, tenant, claim):
    key = Ed25519PrivateKey.generate()
    partner = await vault.partner(tenant, jwk=public_jwk(key))
    answer = await ask(vault, assertion(vault, partner.id, key, **{claim: "\ud800"}))
    assert answer.status_code == 401
