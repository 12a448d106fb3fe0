"""Administration: a tenant's admin rules the own tenant, and ingest hears of it."""

import asyncio
import base64

import jwt
import pytest
from tests.services.auth.issuing_world import DEPLOYMENT, an_auth, slug

from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants.open_tenant import (
    change_reseller,
    close_tenant,
    open_reseller,
    reopen_tenant,
)
from voicefile.crypto.keyring import sealing_key_statement
from voicefile.crypto.primitives import verify
from voicefile.deeds.deed import Actor, Outcome
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def tenant(vault):
    return await vault.tenant()


@pytest.fixture
async def admin(vault, tenant):
    return await vault.token(tenant, Role.TENANT_ADMIN)


async def published(vault, tenant):
    facts = [event.tenant_published for event in await vault.events()]
    return sorted((fact for fact in facts if fact.tenant == tenant), key=lambda fact: fact.version)


async def test_a_new_tenant_is_published_with_a_signed_key(vault, tenant):
    (fact,) = await published(vault, tenant)
    assert (fact.version, fact.open, fact.recording_allowed) == (1, True, True)
    assert list(fact.retention_classes) == ["contract", "short"]
    assert fact.default_retention_class == "contract"
    statement = sealing_key_statement(DEPLOYMENT.encode(), tenant, fact.epoch, fact.sealing_key)
    (key,) = (await vault.call("GET", "/v1/keys")).json()["keys"]
    public = base64.urlsafe_b64decode(key["x"] + "=")
    verify(public, statement, fact.sealing_key_signature)


async def test_the_key_set_is_one_that_others_read(vault):
    keys = jwt.PyJWKSet.from_dict((await vault.call("GET", "/v1/keys")).json())
    assert [key.algorithm_name for key in keys.keys] == ["EdDSA"]


async def test_closing_and_reopening_are_told(vault, tenant):
    await close_tenant(tenant, by=Actor.service(), ports=vault.ports)
    await reopen_tenant(tenant, by=Actor.service(), ports=vault.ports)
    facts = await published(vault, tenant)
    assert [(fact.version, fact.open) for fact in facts] == [(1, True), (2, False), (3, True)]
    assert len(await vault.deeds("TENANT_CLOSED")) == 1


async def test_an_admin_sets_rules_and_scopes(vault, tenant, admin):
    rules = {"retention_days": {"contract": 100}, "pin_digits": 9}
    told = await vault.call("PUT", "/v1/policy", token=admin, json=rules)
    assert told.json()["policy"]["pin_digits"] == 9
    body = {
        "department": "north",
        "rules": {"retention_days": {"contract": 900, "own": 5}, "pin_digits": 6},
    }
    told = await vault.call("POST", "/v1/scopes", token=admin, json=body)
    (scope,) = told.json()["scopes"]
    assert scope["retention_days"] == {"contract": 100}
    assert scope["pin_digits"] == 9
    project = {"department": "north", "project": "spring", "rules": {"recording_allowed": False}}
    told = await vault.call("POST", "/v1/scopes", token=admin, json=project)
    assert [each["project"] for each in told.json()["scopes"]] == ["", "spring"]
    *_, fact = await published(vault, tenant)
    assert [(each.project, each.recording_allowed) for each in fact.scopes] == [
        ("", True),
        ("spring", False),
    ]


async def test_a_project_needs_its_department(vault, admin):
    told = await vault.call(
        "POST", "/v1/scopes", token=admin, json={"department": "x", "project": "y"}
    )
    assert (told.status_code, slug(told)) == (422, "unknown-scope")


async def test_changes_side_by_side_are_all_kept(vault, tenant, admin):
    names = [f"d{n}" for n in range(6)]
    told = await asyncio.gather(
        *(
            vault.call("POST", "/v1/scopes", token=admin, json={"department": name})
            for name in names
        )
    )
    assert {each.status_code for each in told} == {200}
    stored = await vault.ports.tenants.of(tenant).get(tenant)
    assert sorted(stored.record.departments) == names
    assert [fact.version for fact in await published(vault, tenant)] == list(range(1, 8))


@pytest.mark.parametrize(
    "rules",
    [
        {"pin_digits": 5},
        {"pin_digits": 11},
        {"retention_days": {"a": 0}},
        {"retention_days": {"../x": 1}},
        {"question_kinds": ["mothers-name"]},
        {"unheard": 1},
    ],
)
async def test_rules_outside_the_bounds_are_refused(vault, admin, rules):
    told = await vault.call("PUT", "/v1/policy", token=admin, json=rules)
    assert told.status_code == 422
    assert "mothers-name" not in told.text


async def test_a_key_nothing_can_be_sealed_to_is_no_letter_shop(vault, admin):
    key = {"public_key": base64.b64encode(bytes(32)).decode()}
    told = await vault.call("PUT", "/v1/letter-shop", token=admin, json=key)
    assert (told.status_code, slug(told)) == (422, "unusable-key")


async def test_an_admin_adds_and_removes_staff(vault, tenant, admin):
    body = {"role": "care", "handle": "ben", "name": "Ben Beispiel"}
    added = await vault.call("POST", "/v1/principals", token=admin, json=body)
    assert added.status_code == 201
    made = added.json()
    assert made["username"] == "ben@aurora.example"
    assert len(made["password"]) >= 20
    listed = await vault.call("GET", "/v1/principals", token=admin)
    (one,) = listed.json()["principals"]
    assert (one["name"], one["role"], one["active"]) == ("Ben Beispiel", "care", True)
    assert "password" not in listed.text
    path = f"/v1/principals/{made['id']}"
    assert (await vault.call("DELETE", path, token=admin)).status_code == 204
    assert (await vault.call("DELETE", path, token=admin)).status_code == 404
    listed = await vault.call("GET", "/v1/principals", token=admin)
    assert [each["active"] for each in listed.json()["principals"]] == [False]
    removed, refused = await vault.deeds("PRINCIPAL_REMOVED")
    assert {removed.object_id, refused.object_id} == {made["id"]}
    assert [each.outcome for each in (removed, refused)] == [
        Outcome.OUTCOME_DONE,
        Outcome.OUTCOME_REFUSED,
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"role": "operator", "handle": "x"},
        {"role": "customer", "handle": "x"},
        {"role": "care"},
        {"role": "care", "handle": "Ben Beispiel"},
    ],
)
async def test_nobody_is_added_who_could_not_be(vault, admin, body):
    told = await vault.call("POST", "/v1/principals", token=admin, json=body)
    assert told.status_code == 422


async def test_a_principal_in_an_unknown_scope_is_refused(vault, admin):
    body = {"role": "care", "handle": "ben", "department": "nowhere"}
    told = await vault.call("POST", "/v1/principals", token=admin, json=body)
    assert slug(told) == "unknown-scope"


async def test_another_tenants_principal_is_missing(vault, tenant, admin):
    other = await vault.tenant("borealis.example")
    theirs = await vault.staff(other)
    told = await vault.call("DELETE", f"/v1/principals/{theirs.id}", token=admin)
    missing = await vault.call("DELETE", f"/v1/principals/{'0' * 32}", token=admin)
    assert told.status_code == missing.status_code == 404
    assert told.content == missing.content


@pytest.mark.parametrize("role", [Role.CARE, Role.PARTNER, Role.AUDITOR])
async def test_others_look_at_their_tenant_and_change_nothing(vault, tenant, role):
    token = await vault.token(tenant, role)
    assert (await vault.call("GET", "/v1/tenant", token=token)).json()["id"] == tenant
    assert len(await vault.deeds("ADMINISTRATION_READ")) == 1
    for method, path in (
        ("PUT", "/v1/policy"),
        ("POST", "/v1/scopes"),
        ("PUT", "/v1/letter-shop"),
        ("GET", "/v1/principals"),
        ("POST", "/v1/principals"),
        ("DELETE", f"/v1/principals/{'0' * 32}"),
    ):
        assert (await vault.call(method, path, token=token, json={})).status_code == 403


async def test_a_resellers_new_rules_reach_all_its_tenants(vault):
    reseller = await open_reseller("R", PolicyRules(), by=Actor.service(), ports=vault.ports)
    tenants = [await vault.tenant(f"{name}.example", reseller=reseller) for name in "ab"]
    await change_reseller(
        reseller, PolicyRules(recording_allowed=False), by=Actor.service(), ports=vault.ports
    )
    for tenant in tenants:
        before, after = await published(vault, tenant)
        assert (before.recording_allowed, after.recording_allowed) == (True, False)
