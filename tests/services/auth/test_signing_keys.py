"""Signing keys as others are told of them: none of a stranger's."""

import dataclasses

import pytest
from tests.services.auth.issuing_world import an_auth

from voicefile.auth.keys.custody import DEPLOYMENT_ID
from voicefile.auth.store import DEPLOYMENT, TENANTS
from voicefile.crypto.primitives import SigningKey
from voicefile.identity.ids import PLATFORM


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


def forget(vault, tenant):
    """As every instance does after five minutes; virtual time does not move what custody held."""
    vault.custody.forget(tenant)


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
