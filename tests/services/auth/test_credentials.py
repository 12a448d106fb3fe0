"""Looking after credentials: a new PIN ends the old one at once, and each change is one deed."""

import asyncio
import base64

import pytest
from msgspec.structs import replace
from tests.services.auth.issuing_world import Upload, an_auth, slug

from voicefile.auth.issuing.pins import pin_context
from voicefile.auth.store import CredentialState, LetterState
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.auth.throttling.verifiers import pin_verifier
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import SealingKeyPair, open_text
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Actor, Outcome
from voicefile.deeds.deed import Purpose as Why
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path, full_cost=True) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


@pytest.fixture
async def answer(vault, partner):
    return await vault.issued(partner)


@pytest.fixture
async def credential(vault, partner, answer):
    return (await vault.credential(partner, answer["recording_id"])).id


@pytest.fixture
async def token(vault, partner):
    return await vault.token(partner.tenant, Role.PARTNER, partner.id)


@pytest.fixture
async def care(vault, partner):
    return await vault.token(partner.tenant, Role.CARE)


async def opens(vault, tenant, credential, pin):
    """Whether this PIN is the one the credential was issued with last."""
    stored = await vault.ports.access.of(tenant).get(credential)
    identity = await vault.custody.identity(tenant, stored.record.pepper)
    return stored.record.pin_verifier == pin_verifier(
        identity.derive(Purpose.PIN_PEPPER),
        SecretText(pin),
        tenant=tenant,
        credential=credential,
        salt=stored.record.pin_salt,
    )


async def test_a_new_pin_ends_the_old_one(vault, partner, answer, credential, token):
    told = await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    assert told.status_code == 200
    new = told.json()["pin"]
    assert await opens(vault, partner.tenant, credential, new)
    assert not await opens(vault, partner.tenant, credential, answer["pin"])
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    assert stored.record.generation == 2
    assert stored.record.letter is LetterState.WANTED
    (deed,) = await vault.deeds("CREDENTIAL_REISSUED")
    assert (deed.object_id, deed.actor) == (credential, partner.id)


async def test_a_new_pin_deletes_the_answer_that_told_the_old_one(vault, partner, token):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    credential = (await vault.credential(partner, upload.recording)).id
    await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    again = await vault.ask(upload)
    assert (again.status_code, slug(again)) == (409, "answer-expired")


async def test_care_orders_a_pin_and_never_sees_it(vault, partner, credential, care):
    path = f"/v1/credentials/{credential}/reissue"
    without_shop = await vault.call("POST", path, token=care, purpose="customer-request")
    assert (without_shop.status_code, slug(without_shop)) == (409, "letter-shop-missing")

    shop = SealingKeyPair.generate()
    admin = await vault.token(partner.tenant, Role.TENANT_ADMIN)
    key = {"public_key": base64.b64encode(shop.public).decode()}
    await vault.call("PUT", "/v1/letter-shop", token=admin, json=key)
    told = (await vault.call("POST", path, token=care, purpose="customer-request")).json()
    assert told["pin"] is None
    context = pin_context(vault.custody.deployment, partner.tenant, credential)
    pin = open_text(shop, base64.b64decode(told["sealed_pin"]), context.encode()).decode()
    assert await opens(vault, partner.tenant, credential, pin)
    (deed,) = await vault.deeds("CREDENTIAL_REISSUED")
    assert deed.purpose == Why.PURPOSE_CUSTOMER_REQUEST


async def test_care_says_why(vault, credential, care):
    for path in ("reissue", "state", "letter"):
        body = {"state": {"change": "freeze"}, "letter": {"letter": "sent"}}.get(path)
        told = await vault.call(
            "POST", f"/v1/credentials/{credential}/{path}", token=care, json=body
        )
        assert (told.status_code, slug(told)) == (422, "purpose-required")
        made_up = await vault.call(
            "POST", f"/v1/credentials/{credential}/{path}", token=care, json=body, purpose="nosy"
        )
        assert made_up.status_code == 422
        assert "nosy" not in made_up.text


async def test_two_new_pins_side_by_side_leave_one_that_opens(vault, partner, credential, token):
    path = f"/v1/credentials/{credential}/reissue"
    told = await asyncio.gather(*(vault.call("POST", path, token=token) for _ in range(4)))
    pins = [each.json()["pin"] for each in told]
    opening = [await opens(vault, partner.tenant, credential, pin) for pin in pins]
    assert sum(opening) == 1
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    assert stored.record.generation == 5


@pytest.mark.parametrize("path", ["reissue", "state", "letter"])
async def test_what_is_not_theirs_is_missing_for_everybody(vault, partner, credential, path):
    stranger = await vault.tenant("borealis.example")
    other = await vault.partner(partner.tenant)
    bound = await vault.token(partner.tenant, Role.CARE, department="north")
    body = {"state": {"change": "freeze"}, "letter": {"letter": "sent"}}.get(path)
    tries = [
        (await vault.token(stranger, Role.CARE), credential),
        (await vault.token(stranger, Role.PARTNER), credential),
        (await vault.token(partner.tenant, Role.PARTNER, other.id), credential),
        (bound, credential),
        (await vault.token(partner.tenant, Role.CARE), "0" * 32),
    ]
    told = [
        await vault.call(
            "POST", f"/v1/credentials/{which}/{path}", token=who, json=body, purpose="dispute"
        )
        for who, which in tries
    ]
    assert {each.status_code for each in told} == {404}
    assert len({each.content for each in told}) == 1


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.TENANT_ADMIN])
async def test_other_roles_change_no_credential(vault, partner, credential, role):
    token = await vault.token(partner.tenant, role)
    told = await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    assert told.status_code == 403


async def change(vault, credential, token, what):
    return await vault.call(
        "POST", f"/v1/credentials/{credential}/state", token=token, json={"change": what}
    )


async def test_frozen_and_restored(vault, credential, token):
    assert (await change(vault, credential, token, "freeze")).json()["state"] == "frozen"
    assert slug(await change(vault, credential, token, "freeze")) == "change-not-possible"
    assert (await change(vault, credential, token, "restore")).json()["state"] == "issued"
    assert slug(await change(vault, credential, token, "restore")) == "change-not-possible"
    for action in ("CREDENTIAL_FROZEN", "CREDENTIAL_RESTORED"):
        outcomes = [deed.outcome for deed in await vault.deeds(action)]
        assert outcomes == [Outcome.OUTCOME_DONE, Outcome.OUTCOME_REFUSED]


async def test_a_freeze_is_taken_back_once_and_says_nothing_of_the_next(
    vault, partner, credential, token
):
    await change(vault, credential, token, "freeze")
    await change(vault, credential, token, "restore")
    records = vault.ports.access.of(partner.tenant)
    stored = await records.get(credential)
    # What froze it now does not say that it may be restored.
    await records.replace(stored, replace(stored.record, state=CredentialState.FROZEN))
    told = await change(vault, credential, token, "restore")
    assert (told.status_code, slug(told)) == (409, "change-not-possible")


async def test_revoked_is_for_good(vault, partner, credential, token):
    assert (await change(vault, credential, token, "revoke")).json()["state"] == "revoked"
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    assert [recording.answer for recording in stored.record.recordings] == [None]
    for what in ("freeze", "restore", "undelivered", "revoke"):
        told = await change(vault, credential, token, what)
        assert (told.status_code, slug(told)) == (409, "credential-over")
    told = await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    assert slug(told) == "credential-over"


async def test_a_letter_that_came_back_needs_a_new_pin(vault, partner, credential, token):
    told = await change(vault, credential, token, "undelivered")
    assert told.json() == {
        "credential_id": credential,
        "state": "undelivered",
        "letter": "returned",
    }
    assert slug(await change(vault, credential, token, "restore")) == "change-not-possible"
    await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    assert stored.record.state is CredentialState.ISSUED


async def test_what_came_back_is_not_revived_by_freezing_and_restoring_it(vault, credential, token):
    await change(vault, credential, token, "undelivered")
    for what in ("freeze", "restore"):
        assert slug(await change(vault, credential, token, what)) == "change-not-possible"


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_letter_told_as_returned_closes_the_credential(
    vault, partner, credential, token, frozen
):
    if frozen:
        await change(vault, credential, token, "freeze")
    for step in ("sent", "returned"):
        path = f"/v1/credentials/{credential}/letter"
        told = await vault.call("POST", path, token=token, json={"letter": step})
    assert (told.json()["state"], told.json()["letter"]) == ("undelivered", "returned")
    assert slug(await change(vault, credential, token, "restore")) == "change-not-possible"
    (deed,) = await vault.deeds("CREDENTIAL_UNDELIVERED")
    assert (deed.object_id, deed.actor) == (credential, partner.id)


async def test_the_partner_is_told_of_each_recording_that_changed(
    vault, partner, answer, credential, token
):
    second = await vault.issued(partner, join_access_id=answer["access_id"])
    await change(vault, credential, token, "undelivered")
    told = [
        event.recording_changed.recording_id
        for event in await vault.events()
        if event.HasField("recording_changed")
    ]
    assert sorted(told) == sorted([answer["recording_id"], second["recording_id"]])


@pytest.mark.parametrize(
    ("way", "possible"),
    [
        (["printed", "sent", "returned", "wanted"], True),
        (["sent"], True),
        (["returned"], False),
        (["printed", "printed"], False),
        (["sent", "printed"], False),
    ],
)
async def test_a_letter_goes_one_way(vault, credential, token, way, possible):
    for step in way:
        told = await vault.call(
            "POST", f"/v1/credentials/{credential}/letter", token=token, json={"letter": step}
        )
    assert (told.status_code == 200) is possible


async def test_a_closed_tenant_changes_nothing(vault, partner, credential, token):
    await close_tenant(partner.tenant, by=Actor.service(), ports=vault.ports)
    told = await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    assert (told.status_code, slug(told)) == (403, "tenant-closed")


async def test_a_frozen_credential_comes_back_with_a_new_pin(vault, partner, credential, token):
    await change(vault, credential, token, "freeze")
    await vault.call("POST", f"/v1/credentials/{credential}/reissue", token=token)
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    assert stored.record.state is CredentialState.ISSUED


async def test_care_of_a_department_reaches_its_own(vault, partner, credential):
    stored = await vault.ports.access.of(partner.tenant).get(credential)
    moved = tuple(replace(each, department="north") for each in stored.record.recordings)
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=moved)
    )
    for department, status in (("north", 200), ("south", 404)):
        care = await vault.token(partner.tenant, Role.CARE, department=department)
        told = await vault.call(
            "POST",
            f"/v1/credentials/{credential}/letter",
            token=care,
            purpose="quality",
            json={"letter": "printed"},
        )
        assert told.status_code == status
