"""Signing keys: published before they sign, never withdrawn, and none of a stranger's."""

import dataclasses

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.services.auth.dying import Dying, Killed
from tests.services.auth.issuing_world import Clock, an_auth

from voicefile.auth.errors import NotFound
from voicefile.auth.keys.custody import DEPLOYMENT_ID, TTL_S
from voicefile.auth.keys.receipts import key_commitment
from voicefile.auth.keys.signing_keys import OwnKeys, change_signing_key, published_keys
from voicefile.auth.store import DEPLOYMENT, TENANTS
from voicefile.crypto.keyring import EPOCH_OPEN_MAX_S
from voicefile.crypto.namespace import PUBLISHED_AHEAD_S
from voicefile.crypto.primitives import SigningKey
from voicefile.deeds.deed import Actor
from voicefile.identity.ids import PLATFORM
from voicefile.identity.principal import Role
from voicefile.identity.tokens import KEYS_RENEW_S, TokenRefused, TokenVerifier

SERVICE = Actor.service()


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


def kid_of(text):
    return jwt.get_unverified_header(text)["kid"]


def claims_of(receipt, keys):
    key = Ed25519PublicKey.from_public_bytes(dict(keys)[kid_of(receipt)])
    return jwt.decode(receipt, key, algorithms=["EdDSA"])


def forget(vault, tenant):
    """As every instance does after five minutes; virtual time does not move what custody held."""
    vault.custody.forget(tenant)


async def test_a_new_receipt_key_is_published_first_and_signs_later(vault, partner):
    first = (await vault.issued(partner))["receipt"]
    added = await change_signing_key(partner.tenant, by=SERVICE, ports=vault.ports)
    keys = await published_keys(partner.tenant, ports=vault.ports)
    assert [kid for kid, _ in keys] == [kid_of(first), added]
    vault.clock.s += PUBLISHED_AHEAD_S - 1
    forget(vault, partner.tenant)
    assert kid_of((await vault.issued(partner))["receipt"]) == kid_of(first)
    vault.clock.s += 1
    forget(vault, partner.tenant)
    later = (await vault.issued(partner))["receipt"]
    assert kid_of(later) == added
    for receipt in (first, later):
        assert claims_of(receipt, keys)["tenant"] == partner.tenant


def test_everybody_has_asked_for_the_keys_again_before_a_new_one_signs():
    assert PUBLISHED_AHEAD_S >= TTL_S + KEYS_RENEW_S


async def test_the_log_names_the_key_and_the_receipts_of_later_ones(vault, partner):
    await vault.issued(partner)
    added = await change_signing_key(partner.tenant, by=SERVICE, ports=vault.ports)
    vault.clock.s += PUBLISHED_AHEAD_S
    forget(vault, partner.tenant)
    await vault.issued(partner)
    (named,) = await vault.deeds("SIGNING_KEY_ADDED")
    public = dict(await published_keys(partner.tenant, ports=vault.ports))[added]
    assert (named.tenant, named.object_id) == (partner.tenant, added)
    assert named.commitment == key_commitment(added, public)
    assert [deed.related_id for deed in await vault.deeds("ACCESS_ISSUED")] == ["", added]


async def test_tokens_of_the_old_key_are_taken_until_they_expire(vault, partner):
    verifier = TokenVerifier(OwnKeys(vault.ports), issuer="test", now=vault.clock)
    old = await vault.token(partner.tenant, Role.CARE)
    added = await change_signing_key(PLATFORM, by=SERVICE, ports=vault.ports)
    vault.clock.s += PUBLISHED_AHEAD_S
    forget(vault, PLATFORM)
    early, new = old, await vault.token(partner.tenant, Role.CARE)
    assert kid_of(early) != kid_of(new) == added
    assert (await verifier.verify(new)).tenant == partner.tenant
    with pytest.raises(TokenRefused):
        await verifier.verify(early)  # five minutes were its life
    before = await vault.token(partner.tenant, Role.CARE)
    await change_signing_key(PLATFORM, by=SERVICE, ports=vault.ports)
    assert (await verifier.verify(before)).tenant == partner.tenant


async def test_a_sealing_key_is_signed_anew_and_the_earlier_word_still_counts(vault, partner):
    await change_signing_key(PLATFORM, by=SERVICE, ports=vault.ports)
    assert len(await published_keys(PLATFORM, ports=vault.ports)) == 2
    # An epoch's word is renewed with the epoch, and no key is withdrawn in that time.
    assert EPOCH_OPEN_MAX_S > PUBLISHED_AHEAD_S


@pytest.mark.parametrize(
    ("collection", "named"), [(DEPLOYMENT, lambda _: DEPLOYMENT_ID), (TENANTS, lambda t: t)]
)
async def test_a_planted_key_is_never_published(vault, partner, collection, named):
    """Who could add one here would sign tokens of every operator, or receipts."""
    document = await vault.docs.get(collection, named(partner.tenant))
    versions = document.body["keys"]["receipt_versions"]
    planted = {**versions[0], "id": "e" * 32, "public": SigningKey.generate().public}
    keys = {**document.body["keys"], "receipt_versions": [*versions, planted]}
    body = {**document.body, "keys": keys}
    await vault.docs.replace(collection, dataclasses.replace(document, body=body))
    forget(vault, partner.tenant)
    forget(vault, PLATFORM)
    where = "/v1/keys"
    if collection is TENANTS:
        where = f"/v1/tenants/{partner.tenant}/receipt-keys"
    answer = await vault.call("GET", where)
    assert answer.status_code >= 400
    assert b"e" * 32 not in answer.content


async def test_an_unknown_tenant_has_no_keys_to_change(vault):
    with pytest.raises(NotFound):
        await change_signing_key("0" * 32, by=SERVICE, ports=vault.ports)
    assert (await vault.call("GET", f"/v1/tenants/{'0' * 32}/receipt-keys")).status_code == 404


@pytest.mark.parametrize("whose", ["tenant", "platform"])
async def test_killed_at_every_step_all_is_as_before_or_after(tmp_path, whose):
    clock = Clock()
    async with an_auth(tmp_path, clock=clock) as world:
        partner = await world.partner(await world.tenant())
    tenant = partner.tenant if whose == "tenant" else PLATFORM
    count, kills = 1, 0
    for life in range(1, 10):
        killed = await killed_after(tmp_path, clock, tenant, life)
        kills += killed
        async with an_auth(tmp_path, clock=clock) as world:
            keys = await published_keys(tenant, ports=world.ports)
            assert len(keys) in {count, count + 1}
            count = len(keys)
            receipt = (await world.issued(partner))["receipt"]
            assert claims_of(receipt, await published_keys(partner.tenant, ports=world.ports))
        if not killed:
            break
    assert kills
    assert count == 2


async def killed_after(directory, clock, tenant, life):
    lives = [0]
    async with an_auth(directory, clock=clock, wrap_store=lambda docs: Dying(docs, lives)) as world:
        lives[0] = life
        try:
            await change_signing_key(tenant, by=SERVICE, ports=world.ports)
        except (Killed, BaseExceptionGroup):
            return True
        return False
