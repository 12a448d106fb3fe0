"""Erasing before the time takes two people, and what has to be typed; holds stop both."""

import pytest
from tests.services.auth.erasing.test_hold import hold, lift, stored
from tests.services.auth.issuing_world import an_auth, slug

from voicefile.auth.erasing.erasing_store import ERASURES
from voicefile.auth.store import PolicyRules, RecordingState
from voicefile.auth.sweep import sweep
from voicefile.auth.tenants.principals import remove_principal
from voicefile.contracts.deed.v1 import Outcome
from voicefile.deeds.deed import Actor
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


class Person:
    """Somebody of the tenant's staff, who is really there."""

    def __init__(self, vault, tenant, role, principal):
        self.vault, self.tenant, self.role, self.id = vault, tenant, role, principal

    async def call(self, method, path, *, purpose="customer-request", **how):
        token = await self.vault.token(self.tenant, Role(self.role), self.id)
        return await self.vault.call(method, path, token=token, purpose=purpose, **how)

    async def ask(self, **what):
        return await self.call("POST", "/v1/erasures", json=what)

    async def confirm(self, erasure, typed):
        path = f"/v1/erasures/{erasure}/confirmation"
        return await self.call("POST", path, purpose=None, json={"typed": typed})


async def person(vault, tenant, role, handle):
    added = await vault.staff(tenant, Role(role), handle)
    return Person(vault, tenant, role, added.id)


@pytest.fixture
async def care(vault, partner):
    return await person(vault, partner.tenant, "care", "anna")


@pytest.fixture
async def admin(vault, partner):
    return await person(vault, partner.tenant, "tenant_admin", "boss")


async def test_one_asks_another_confirms(vault, partner, care, admin):
    recording = (await vault.issued(partner))["recording_id"]
    asked = (await care.ask(recording_id=recording)).json()
    assert (asked["what"], asked["object_id"], asked["asked_by"]) == (
        "recording",
        recording,
        care.id,
    )
    assert (await stored(vault, partner, recording)).state is RecordingState.PLAYABLE
    named = asked | {"asked_by_name": "Anna Beispiel"}
    assert (await admin.call("GET", "/v1/erasures")).json() == {"erasures": [named]}
    done = await admin.confirm(asked["erasure_id"], recording[:8])
    assert done.json() == {
        "what": "recording",
        "erased": [recording],
        "held": [],
        "customer_erased": True,
        "delete_on": None,
    }
    assert (await stored(vault, partner, recording)).state is RecordingState.ERASED
    assert (await admin.call("GET", "/v1/erasures")).json() == {"erasures": []}
    wish, deed = await vault.deeds("ERASURE_ASKED", "RECORDING_ERASED")
    assert (wish.actor, deed.actor) == (care.id, admin.id)
    assert wish.related_id == deed.related_id == asked["erasure_id"]
    assert wish.purpose == deed.purpose


async def test_who_asked_can_not_confirm(vault, partner, admin):
    recording = (await vault.issued(partner))["recording_id"]
    asked = (await admin.ask(recording_id=recording)).json()
    refused = await admin.confirm(asked["erasure_id"], recording[:8])
    assert (refused.status_code, slug(refused)) == (403, "second-person-required")
    another = await person(vault, partner.tenant, "tenant_admin", "deputy")
    assert (await another.confirm(asked["erasure_id"], recording[:8])).status_code == 200


async def test_what_is_typed_has_to_be_what_goes(vault, partner, care, admin):
    recording = (await vault.issued(partner))["recording_id"]
    asked = (await care.ask(recording_id=recording)).json()
    for typed in ("", recording[:7], recording, "00000000"):
        refused = await admin.confirm(asked["erasure_id"], typed)
        assert slug(refused) == "confirmation-mistyped"
    assert (await stored(vault, partner, recording)).state is RecordingState.PLAYABLE
    refused = await vault.deeds("RECORDING_ERASED")
    assert {deed.outcome for deed in refused} == {Outcome.OUTCOME_REFUSED}


async def test_it_lapses_can_be_taken_back_and_dies_with_who_asked(vault, partner, care, admin):
    recording = (await vault.issued(partner))["recording_id"]

    async def asked():
        return (await care.ask(recording_id=recording)).json()["erasure_id"]

    lapsed = await asked()
    vault.clock.s += vault.settings.erasure_confirm_s
    assert slug(await admin.confirm(lapsed, recording[:8])) == "not-found"
    await sweep(vault.ports)
    assert await vault.docs.scan(ERASURES) == []
    withdrawn = await asked()
    assert (await care.call("DELETE", f"/v1/erasures/{withdrawn}")).status_code == 204
    assert slug(await admin.confirm(withdrawn, recording[:8])) == "not-found"
    orphaned = await asked()
    await remove_principal(
        partner.tenant, care.id, by=Actor.service(), request_id="", ports=vault.ports
    )
    assert slug(await admin.confirm(orphaned, recording[:8])) == "not-found"
    assert (await stored(vault, partner, recording)).state is RecordingState.PLAYABLE


async def test_a_hold_stops_two_people_and_says_so(vault, partner, care, admin):
    recording = (await vault.issued(partner))["recording_id"]
    asked = (await care.ask(recording_id=recording)).json()
    await hold(vault, partner, recording)
    refused = await admin.confirm(asked["erasure_id"], recording[:8])
    assert (refused.status_code, slug(refused)) == (409, "recording-held")
    assert (await stored(vault, partner, recording)).state is RecordingState.HELD


async def test_the_law_stops_two_people_and_says_so(vault, care, admin, partner):
    rules = PolicyRules(
        retention_days={"contract": 30},
        default_retention_class="contract",
        retention_days_min={"contract": 60},
    )
    partner = await vault.partner(await vault.tenant("boreal.example", rules=rules))
    care = await person(vault, partner.tenant, "care", "anna")
    admin = await person(vault, partner.tenant, "tenant_admin", "boss")
    recording = (await vault.issued(partner))["recording_id"]
    asked = (await care.ask(recording_id=recording)).json()
    refused = await admin.confirm(asked["erasure_id"], recording[:8])
    assert (refused.status_code, slug(refused)) == (409, "kept-by-law")


async def test_a_customer_goes_as_a_whole_but_for_what_is_held(vault, partner, care, admin):
    first = await vault.issued(partner)
    second = await vault.issued(
        partner, join_access_id=first["access_id"], contract_reference="V-2"
    )
    credential = (await vault.credential(partner, first["recording_id"])).id
    await hold(vault, partner, second["recording_id"])
    asked = (await care.ask(credential_id=credential)).json()
    done = (await admin.confirm(asked["erasure_id"], credential[:8])).json()
    assert (done["erased"], done["held"]) == ([first["recording_id"]], [second["recording_id"]])
    assert done["customer_erased"] is False
    await lift(vault, partner, second["recording_id"])
    asked = (await care.ask(credential_id=credential)).json()
    done = (await admin.confirm(asked["erasure_id"], credential[:8])).json()
    assert (done["erased"], done["customer_erased"]) == ([second["recording_id"]], True)
    assert slug(await care.ask(credential_id=credential)) == "change-not-possible"


async def test_nobody_asks_for_what_is_not_theirs(vault, partner, care):
    other = await vault.partner(await vault.tenant("boreal.example"))
    foreign = (await vault.issued(other))["recording_id"]
    assert slug(await care.ask(recording_id=foreign)) == "not-found"
    assert slug(await care.ask(tenant_id=partner.tenant)) == "not-found"  # an admin's to ask
    assert (await care.ask()).status_code == 422
    both = await care.ask(recording_id=foreign, tenant_id=other.tenant)
    assert both.status_code == 422


async def test_the_certificate_is_for_its_partner_auditors_and_admins(vault, partner, care, admin):
    recording = (await vault.issued(partner))["recording_id"]
    path = f"/v1/recordings/{recording}/shred-certificate"
    auditor = await person(vault, partner.tenant, "auditor", "checks")
    crm = Person(vault, partner.tenant, "partner", partner.id)
    another = Person(vault, partner.tenant, "partner", (await vault.partner(partner.tenant)).id)
    assert slug(await auditor.call("GET", path)) == "not-found"  # it lives
    asked = (await care.ask(recording_id=recording)).json()
    await admin.confirm(asked["erasure_id"], recording[:8])
    texts = {(await each.call("GET", path)).json()["certificate"] for each in (auditor, admin, crm)}
    assert len(texts) == 1
    assert slug(await another.call("GET", path)) == "not-found"
    assert (await care.call("GET", path)).status_code == 403
