"""Issuing access: one write decides, every retry gets its answer, nothing wider than the policy."""

import asyncio
import base64

import pytest
from msgspec.structs import replace
from tests.services.auth.issuing_world import Upload, an_auth, metadata, slug

from voicefile.auth.errors import NotFound
from voicefile.auth.issuing.access_id import is_valid
from voicefile.auth.issuing.customer import open_customer
from voicefile.auth.issuing.details import open_details
from voicefile.auth.issuing.pins import pin_context
from voicefile.auth.store import CredentialState, PolicyRules
from voicefile.auth.tenants.open_tenant import close_tenant, open_reseller
from voicefile.auth.tenants.principals import remove_principal
from voicefile.auth.tenants.scopes import Scope
from voicefile.auth.throttling.verifiers import pin_verifier
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import SealingKeyPair, open_text
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Actor
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def tenant(vault):
    return await vault.tenant()


@pytest.fixture
async def partner(vault, tenant):
    return await vault.partner(tenant)


async def test_an_issued_recording_has_id_pin_and_receipt(vault, partner):
    answer = await vault.issued(partner)
    assert is_valid(answer["access_id"])
    assert len(answer["pin"]) == 8
    assert answer["pin"].isdigit()
    assert answer["state"] == "playable"
    assert answer["question_kind"] is None
    assert answer["receipt"].count(".") == 2
    assert answer["duration_ms"] == 1_000


async def test_the_directory_leads_from_the_access_id_to_the_credential(vault, partner):
    answer = await vault.issued(partner)
    locator = await vault.custody.directory_locator(answer["access_id"])
    stored = await vault.credential(partner, answer["recording_id"])
    assert await vault.ports.directory.lookup(locator) == (partner.tenant, stored.id)


async def test_the_verifier_is_of_the_pin_that_was_told(tmp_path):
    async with an_auth(tmp_path, full_cost=True) as vault:
        partner = await vault.partner(await vault.tenant())
        answer = await vault.issued(partner)
        stored = await vault.credential(partner, answer["recording_id"])
        identity = await vault.custody.identity(partner.tenant, stored.record.pepper)
    assert stored.record.pin_verifier == pin_verifier(
        identity.derive(Purpose.PIN_PEPPER),
        SecretText(answer["pin"]),
        tenant=partner.tenant,
        credential=stored.id,
        salt=stored.record.pin_salt,
    )


async def test_the_slip_holds_the_key_that_ingest_sealed(vault, partner):
    upload = Upload(partner)
    await vault.issue(partner, upload)
    stored = await vault.credential(partner, upload.recording)
    (recording,) = stored.record.recordings
    key = await vault.custody.slip_key(partner.tenant, upload.recording, recording.slip)
    assert key == upload.key


async def test_customer_and_details_open_with_their_own_keys_only(vault, partner):
    upload = Upload(partner)
    await vault.issue(partner, upload)
    stored = await vault.credential(partner, upload.recording)
    customer = await open_customer(
        stored.record.subject, custody=vault.custody, tenant=partner.tenant
    )
    assert customer.fields["name"] == "Erika Mustermann-Kanari"
    details = open_details(
        stored.record.recordings[0].details,
        upload.key,
        deployment=vault.custody.deployment,
        tenant=partner.tenant,
        recording=upload.recording,
    )
    assert details.contract_reference == "V-2027/0815"
    assert details.original_bytes == 16_044


async def test_the_write_carries_its_deed_and_its_fact(vault, partner):
    upload = Upload(partner)
    await vault.issue(partner, upload)
    (deed,) = await vault.deeds("ACCESS_ISSUED")
    assert (deed.actor, deed.object_id, deed.tenant) == (
        partner.id,
        upload.recording,
        partner.tenant,
    )
    assert len(deed.commitment) == 32
    (fact,) = [
        event.recording_issued
        for event in await vault.events()
        if event.HasField("recording_issued")
    ]
    assert fact.recording_id == upload.recording
    assert set(fact.blobs) == {blob["name"] for blob in upload.body["blobs"].values()}


async def test_the_same_recording_again_gets_the_same_bytes(vault, partner):
    upload = await vault.prepared(Upload(partner))
    first, second = await vault.ask(upload), await vault.ask(upload)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert len(await vault.deeds("ACCESS_ISSUED")) == 1


async def test_another_upload_under_the_same_recording_is_refused(vault, partner):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    upload.body["request_digest"] = base64.b64encode(b"\x08" * 32).decode()
    response = await vault.ask(upload)
    assert (response.status_code, slug(response)) == (409, "key-reused")


async def test_two_issues_side_by_side_are_decided_once(vault, partner):
    upload = await vault.prepared(Upload(partner))
    answers = await asyncio.gather(*(vault.ask(upload) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(await vault.deeds("ACCESS_ISSUED")) == 1


async def test_the_losers_of_a_race_leave_no_claim_behind(vault, partner):
    upload = await vault.prepared(Upload(partner))
    await asyncio.gather(*(vault.ask(upload) for _ in range(8)))
    claims = await vault.ports.directory.claimed_until(int(vault.clock()) + 1)
    assert len(claims) == 1


async def test_the_answer_can_be_asked_for_until_it_expires(vault, partner):
    upload = await vault.prepared(Upload(partner))
    told = (await vault.ask(upload)).json()
    question = {
        "tenant": partner.tenant,
        "partner": partner.id,
        "idempotency_key": upload.idempotency_key,
        "request_digest": upload.body["request_digest"],
    }
    path = f"/internal/v1/issues/{upload.recording}/answer"
    kept = await vault.call("POST", path, json=question, peer="ingest")
    assert kept.json() == {"request_digest_matches": True, "answer": told}

    vault.clock.s += vault.settings.answer_max_s + 1
    late = await vault.call("POST", path, json=question, peer="ingest")
    assert (late.status_code, slug(late)) == (409, "answer-expired")


@pytest.mark.parametrize(
    ("digest", "matches"), [(None, None), (base64.b64encode(b"x" * 32).decode(), False)]
)
async def test_an_answer_says_whether_it_is_of_this_upload(vault, partner, digest, matches):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    question = {
        "tenant": partner.tenant,
        "partner": partner.id,
        "idempotency_key": upload.idempotency_key,
        "request_digest": digest,
    }
    path = f"/internal/v1/issues/{upload.recording}/answer"
    kept = await vault.call("POST", path, json=question, peer="ingest")
    assert kept.json()["request_digest_matches"] is matches


async def test_without_the_idempotency_key_no_answer_opens(vault, partner):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    question = {
        "tenant": partner.tenant,
        "partner": partner.id,
        "idempotency_key": "another" * 5,
    }
    path = f"/internal/v1/issues/{upload.recording}/answer"
    response = await vault.call("POST", path, json=question, peer="ingest")
    assert (response.status_code, slug(response)) == (409, "key-reused")


async def test_foreign_and_missing_answers_are_the_same_404(vault, partner):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    other = await vault.partner(partner.tenant)
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    answers = set()
    for who, recording in (
        (other, upload.recording),
        (stranger, upload.recording),
        (partner, "0" * 32),
    ):
        question = {
            "tenant": who.tenant,
            "partner": who.id,
            "idempotency_key": upload.idempotency_key,
        }
        path = f"/internal/v1/issues/{recording}/answer"
        response = await vault.call("POST", path, json=question, peer="ingest")
        assert response.status_code == 404
        answers.add(response.content)
    assert len(answers) == 1


async def test_a_recording_of_another_tenant_cannot_be_taken_over(vault, partner):
    upload = await vault.prepared(Upload(partner))
    await vault.ask(upload)
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    response = await vault.issue(stranger, Upload(stranger, recording=upload.recording))
    assert (response.status_code, slug(response)) == (409, "key-reused")
    assert await vault.credential(stranger, upload.recording) is None


async def test_only_ingest_issues(vault, partner):
    upload = await vault.prepared(Upload(partner))
    for peer, status in ((None, 401), ("playback", 403), ("portal", 403)):
        answer = await vault.call("POST", "/internal/v1/issues", json=upload.body, peer=peer)
        assert answer.status_code == status
    assert await vault.deeds("ACCESS_ISSUED") == []


# --- refusals -------------------------------------------------------------------------------


async def test_a_closed_tenant_takes_nothing_new(vault, partner):
    await close_tenant(partner.tenant, by=Actor.service(), ports=vault.ports)
    response = await vault.issue(partner)
    assert (response.status_code, slug(response)) == (403, "tenant-closed")


async def test_a_scope_that_takes_no_recordings_refuses(vault):
    tenant = await vault.tenant(rules=PolicyRules(recording_allowed=False))
    response = await vault.issue(await vault.partner(tenant))
    assert (response.status_code, slug(response)) == (403, "recording-not-allowed")


async def test_without_a_retention_class_nothing_is_stored(vault):
    tenant = await vault.tenant(rules=PolicyRules(retention_days={"contract": 10}))
    response = await vault.issue(await vault.partner(tenant))
    assert (response.status_code, slug(response)) == (422, "retention-required")


async def test_an_unknown_retention_class_is_refused(vault, partner):
    response = await vault.issue(partner, retention_class="for-ever")
    assert (response.status_code, slug(response)) == (422, "unknown-retention-class")


async def test_the_retention_class_decides_the_day_of_deletion(vault, partner):
    answer = await vault.issued(partner, retention_class="short")
    stored = await vault.credential(partner, answer["recording_id"])
    (recording,) = stored.record.recordings
    assert (recording.stored_on, recording.delete_on) == ("2027-01-15", "2027-02-14")


async def test_an_unknown_scope_is_refused(vault, partner):
    response = await vault.issue(partner, scope={"department": "nowhere"})
    assert (response.status_code, slug(response)) == (422, "unknown-scope")


async def test_a_sensitive_recording_needs_a_question(vault, partner):
    response = await vault.issue(partner, sensitive=True)
    assert (response.status_code, slug(response)) == (422, "question-required")


async def test_a_kind_of_question_the_policy_does_not_offer_is_refused(vault):
    rules = PolicyRules(
        retention_days={"a": 1}, default_retention_class="a", question_kinds=("postcode",)
    )
    partner = await vault.partner(await vault.tenant(rules=rules))
    question = {"kind": "birth_date", "answer": "17051980"}
    response = await vault.issue(partner, sensitive=True, question=question)
    assert (response.status_code, slug(response)) == (422, "question-kind-not-allowed")


async def test_a_removed_partner_files_nothing(vault, partner):
    await remove_principal(partner.tenant, partner.id, by=Actor.service(), ports=vault.ports)
    response = await vault.issue(partner)
    assert (response.status_code, slug(response)) == (404, "not-found")


async def test_a_partner_of_another_tenant_files_nothing_here(vault, partner):
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    stranger.tenant = partner.tenant
    response = await vault.issue(stranger)
    assert (response.status_code, slug(response)) == (404, "not-found")


async def test_a_key_sealed_for_another_recording_is_refused(vault, partner):
    upload, other = await vault.prepared(Upload(partner)), await vault.prepared(Upload(partner))
    upload.body["sealed_key"] = other.body["sealed_key"]
    response = await vault.ask(upload)
    assert (response.status_code, slug(response)) == (422, "unusable-key")


async def test_a_key_sealed_for_another_tenant_is_refused(vault, partner):
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    theirs = await vault.prepared(Upload(stranger))
    upload = await vault.prepared(Upload(partner, recording=theirs.recording))
    upload.body["sealed_key"] = theirs.body["sealed_key"]
    assert slug(await vault.ask(upload)) == "unusable-key"


async def test_an_unknown_epoch_is_answered_with_the_one_to_seal_to(vault, partner):
    upload = await vault.prepared(Upload(partner))
    right = upload.body["epoch"]
    upload.body["epoch"] = "0" * 32
    response = await vault.ask(upload)
    assert (response.status_code, slug(response)) == (409, "epoch-retired")
    told = response.json()
    assert told["epoch"] == right
    assert len(base64.b64decode(told["sealing_key"])) == 32
    assert len(base64.b64decode(told["signature"])) == 64


async def test_a_refusal_stores_nothing(vault, partner):
    for said in ({"sensitive": True}, {"retention_class": "no"}, {"scope": {"department": "x"}}):
        await vault.issue(partner, **said)
    assert [stored async for stored in vault.ports.access.of(partner.tenant).all()] == []
    assert await vault.deeds("ACCESS_ISSUED") == []


async def test_nothing_of_an_invalid_body_comes_back(vault, partner):
    upload = await vault.prepared(Upload(partner))
    upload.body["metadata"]["customer"]["name"] = {"first": "Geheimnisvoll"}
    upload.body["metadata"]["question"] = {"kind": "postcode", "answer": 48151}
    response = await vault.ask(upload)
    assert response.status_code == 422
    assert b"Geheimnisvoll" not in response.content
    assert b"48151" not in response.content


# --- PIN, question, quarantine ----------------------------------------------------------------


async def test_the_policy_sets_the_length_of_the_pin(vault):
    rules = PolicyRules(retention_days={"a": 1}, default_retention_class="a", pin_digits=10)
    answer = await vault.issued(await vault.partner(await vault.tenant(rules=rules)))
    assert len(answer["pin"]) == 10


async def test_a_sensitive_recording_carries_its_question(vault, partner):
    answer = await vault.issued(
        partner, sensitive=True, question={"kind": "iban_last4", "answer": "4 7 1 1"}
    )
    assert answer["question_kind"] == "iban_last4"
    stored = await vault.credential(partner, answer["recording_id"])
    assert stored.record.question.kind == "iban_last4"


async def test_a_question_for_a_recording_that_is_not_sensitive_is_not_kept(vault, partner):
    answer = await vault.issued(partner, question={"kind": "iban_last4", "answer": "4711"})
    assert answer["question_kind"] is None


async def test_a_quarantined_recording_is_issued_but_not_playable(vault, partner):
    response = await vault.issue(partner, Upload(partner, state="quarantined"))
    assert response.status_code == 201
    assert response.json()["state"] == "quarantined"


async def test_only_the_letter_shop_opens_a_sealed_pin(vault, partner):
    shop = SealingKeyPair.generate()
    admin = await vault.token(partner.tenant, Role.TENANT_ADMIN)
    put = await vault.call(
        "PUT",
        "/v1/letter-shop",
        token=admin,
        json={"public_key": base64.b64encode(shop.public).decode()},
    )
    assert put.status_code == 204
    answer = await vault.issued(partner, pin_delivery={"mode": "sealed"})
    assert "pin" not in answer
    stored = await vault.credential(partner, answer["recording_id"])
    context = pin_context(vault.custody.deployment, partner.tenant, stored.id)
    pin = open_text(shop, base64.b64decode(answer["sealed_pin"]), context.encode())
    assert len(pin) == 8


async def test_a_sealed_pin_without_a_letter_shop_is_refused(vault, partner):
    response = await vault.issue(partner, pin_delivery={"mode": "sealed"})
    assert (response.status_code, slug(response)) == (409, "letter-shop-missing")


async def test_a_policy_can_demand_that_pins_are_sealed(vault):
    rules = PolicyRules(retention_days={"a": 1}, default_retention_class="a", sealed_pin_only=True)
    response = await vault.issue(await vault.partner(await vault.tenant(rules=rules)))
    assert slug(response) == "letter-shop-missing"


async def test_a_resellers_rules_bind_its_tenants(vault):
    reseller = await open_reseller(
        "R", PolicyRules(recording_allowed=False), by=Actor.service(), ports=vault.ports
    )
    partner = await vault.partner(await vault.tenant(reseller=reseller))
    assert slug(await vault.issue(partner)) == "recording-not-allowed"


async def test_an_unknown_reseller_opens_no_tenant(vault):
    with pytest.raises(NotFound):
        await vault.tenant(reseller="0" * 32)


# --- joining ----------------------------------------------------------------------------------


async def test_a_second_recording_joins_the_same_id_without_a_pin(vault, partner):
    first = await vault.issued(partner)
    second = await vault.issued(
        partner, join_access_id=first["access_id"], contract_reference="V-2"
    )
    assert second["access_id"] == first["access_id"]
    assert "pin" not in second
    stored = await vault.credential(partner, second["recording_id"])
    assert [recording.id for recording in stored.record.recordings] == [
        first["recording_id"],
        second["recording_id"],
    ]
    assert len(await vault.deeds("RECORDING_JOINED")) == 1
    assert len(await vault.deeds("ACCESS_ISSUED")) == 2


async def test_a_join_repeated_gets_the_same_answer(vault, partner):
    first = await vault.issued(partner)
    upload = await vault.prepared(
        Upload(partner, metadata=metadata(join_access_id=first["access_id"]))
    )
    answers = await asyncio.gather(*(vault.ask(upload) for _ in range(4)))
    assert len({answer.content for answer in answers}) == 1
    stored = await vault.credential(partner, first["recording_id"])
    assert len(stored.record.recordings) == 2


async def test_joins_side_by_side_are_all_kept(vault, partner):
    first = await vault.issued(partner)
    said = metadata(join_access_id=first["access_id"])
    uploads = [await vault.prepared(Upload(partner, metadata=said)) for _ in range(8)]
    answers = await asyncio.gather(*(vault.ask(upload) for upload in uploads))
    assert {answer.status_code for answer in answers} == {201}
    stored = await vault.credential(partner, first["recording_id"])
    assert len(stored.record.recordings) == 9
    deeds = await vault.deeds()
    assert [deed.n for deed in deeds] == list(range(1, len(deeds) + 1))


async def test_whatever_cannot_be_joined_answers_the_same(vault, partner):
    first = await vault.issued(partner)
    other = await vault.partner(partner.tenant)
    stranger = await vault.partner(await vault.tenant("borealis.example"))
    full = await vault.issued(partner)
    stored = await vault.credential(partner, full["recording_id"])
    revoked = await vault.issued(partner)
    of_revoked = await vault.credential(partner, revoked["recording_id"])
    records = vault.ports.access.of(partner.tenant)
    await records.replace(of_revoked, replace(of_revoked.record, state=CredentialState.REVOKED))
    one = stored.record.recordings[0]
    many = tuple(replace(one, id=f"{n:032x}", blobs={}) for n in range(100))
    await records.replace(stored, replace(stored.record, recordings=many))
    tries = [
        (partner, "123456789012"),
        (partner, "000000000098"),
        (other, first["access_id"]),
        (stranger, first["access_id"]),
        (partner, full["access_id"]),
        (partner, revoked["access_id"]),
    ]
    answers = [await vault.issue(who, join_access_id=access_id) for who, access_id in tries]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert slug(answers[0]) == "unknown-access-id"


async def test_a_sensitive_join_to_an_id_without_a_question_must_bring_one(vault, partner):
    first = await vault.issued(partner)
    join = {"join_access_id": first["access_id"], "sensitive": True}
    refused = await vault.issue(partner, **join)
    assert (refused.status_code, slug(refused)) == (422, "question-required")
    joined = await vault.issued(partner, **join, question={"kind": "postcode", "answer": "12345"})
    assert joined["question_kind"] == "postcode"


async def test_a_question_that_is_there_stays(vault, partner):
    first = await vault.issued(
        partner, sensitive=True, question={"kind": "postcode", "answer": "12345"}
    )
    before = (await vault.credential(partner, first["recording_id"])).record.question
    joined = await vault.issued(
        partner,
        join_access_id=first["access_id"],
        sensitive=True,
        question={"kind": "birth_date", "answer": "01011970"},
    )
    assert joined["question_kind"] == "postcode"
    after = (await vault.credential(partner, first["recording_id"])).record.question
    assert after == before


async def test_a_join_adds_what_was_not_known_and_changes_nothing(vault, partner):
    first = await vault.issued(partner, customer={"name": "Erika", "phone": "0170 1"})
    await vault.issued(
        partner,
        join_access_id=first["access_id"],
        customer={"name": "Somebody Else", "email": "e@example.org"},
    )
    stored = await vault.credential(partner, first["recording_id"])
    customer = await open_customer(
        stored.record.subject, custody=vault.custody, tenant=partner.tenant
    )
    assert customer.fields["name"] == "Erika"
    assert customer.fields["email"] == "e@example.org"


async def test_a_partner_bound_to_a_department_stays_in_it(vault):
    tenant = await vault.tenant()
    admin = await vault.token(tenant, Role.TENANT_ADMIN)
    for name in ("north", "south"):
        await vault.call("POST", "/v1/scopes", token=admin, json={"department": name})
    partner = await vault.partner(tenant, scope=Scope("north"))
    refused = await vault.issue(partner, scope={"department": "south"})
    assert slug(refused) == "unknown-scope"
    answer = await vault.issued(partner)
    stored = await vault.credential(partner, answer["recording_id"])
    assert stored.record.recordings[0].department == "north"
