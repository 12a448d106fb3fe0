"""Legal holds: whatever the date says, what is held stays; and everybody who has to can see why."""

import pytest
from msgspec.structs import replace
from tests.services.auth.issuing_world import Upload, an_auth, slug

from voicefile.auth.erasing.expire import expire
from voicefile.auth.store import ACCESS, RecordingState
from voicefile.contracts.auth.v1 import RecordingState as StateCode
from voicefile.contracts.deed.v1 import Outcome, Purpose
from voicefile.identity.principal import Role

DAY_S = 86_400
REFERENCE = "AZ-17-O-4711"


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


async def hold(vault, partner, recording, *, role="care", purpose="legal", **scope):
    token = await vault.token(partner.tenant, Role(role), **scope)
    return await vault.call(
        "PUT",
        f"/v1/recordings/{recording}/hold",
        token=token,
        purpose=purpose,
        json={"reference": REFERENCE},
    )


async def lift(vault, partner, recording, *, role="tenant_admin"):
    token = await vault.token(partner.tenant, Role(role))
    return await vault.call(
        "DELETE", f"/v1/recordings/{recording}/hold", token=token, purpose="legal"
    )


async def stored(vault, partner, recording):
    (found,) = (await vault.credential(partner, recording)).record.recordings
    return found


async def found_by_care(vault, partner):
    token = await vault.token(partner.tenant, Role.CARE)
    answer = await vault.call(
        "POST",
        "/v1/customer-searches",
        token=token,
        purpose="legal",
        json={"contract_reference": "V-2027/0815"},
    )
    return answer.json()["customers"][0]["recordings"][0]


async def test_what_is_held_outlives_its_date_and_goes_when_it_is_lifted(vault, partner):
    recording = (await vault.issued(partner, retention_class="short"))["recording_id"]
    answer = await hold(vault, partner, recording)
    assert answer.json() == {
        "recording_id": recording,
        "state": "held",
        "delete_on": "2027-02-14",
        "kept_by": ["hold"],
    }
    vault.clock.s += 400 * DAY_S
    assert await expire(vault.ports) == 0
    assert (await lift(vault, partner, recording)).json()["state"] == "playable"
    assert await expire(vault.ports) == 1
    assert (await stored(vault, partner, recording)).state is RecordingState.ERASED


async def test_held_documents_cost_expiry_nothing(vault, partner):
    recording = (await vault.issued(partner, retention_class="short"))["recording_id"]
    await hold(vault, partner, recording)
    credential = (await vault.credential(partner, recording)).id
    assert (await vault.docs.get(ACCESS, credential)).body["due_day"] is None


async def test_care_sees_the_hold_and_its_reference_and_the_store_does_not(vault, partner):
    recording = (await vault.issued(partner))["recording_id"]
    await hold(vault, partner, recording)
    found = await found_by_care(vault, partner)
    assert (found["kept_by"], found["hold_reference"]) == (["hold"], REFERENCE)
    credential = (await vault.credential(partner, recording)).id
    assert REFERENCE not in repr((await vault.docs.get(ACCESS, credential)).body)


async def test_each_is_a_deed_with_its_purpose_and_without_its_reference(vault, partner):
    recording = (await vault.issued(partner))["recording_id"]
    await hold(vault, partner, recording)
    await lift(vault, partner, recording)
    placed, lifted = await vault.deeds("RECORDING_HELD", "HOLD_LIFTED")
    assert {placed.object_id, lifted.object_id} == {recording}
    assert {placed.purpose, lifted.purpose} == {Purpose.PURPOSE_LEGAL}
    events = b"".join(event.SerializeToString() for event in await vault.events())
    assert REFERENCE.encode() not in events
    states = [
        event.recording_changed.state
        for event in await vault.events()
        if event.HasField("recording_changed")
    ]
    assert states == [StateCode.RECORDING_STATE_HELD, StateCode.RECORDING_STATE_PLAYABLE]


async def test_what_is_in_quarantine_stays_there(vault, partner):
    upload = Upload(partner, state="quarantined")
    await vault.issue(partner, upload)
    assert (await hold(vault, partner, upload.recording)).json()["state"] == "quarantined"
    assert (await lift(vault, partner, upload.recording)).json()["state"] == "quarantined"


async def test_lifting_a_hold_leaves_the_customers_objection(vault, partner):
    recording = (await vault.issued(partner, retention_class="short"))["recording_id"]
    await hold(vault, partner, recording)
    found = await vault.credential(partner, recording)
    objected = replace(found.record.recordings[0], objected=True)
    await vault.ports.access.of(partner.tenant).replace(
        found, replace(found.record, recordings=(objected,))
    )
    assert (await lift(vault, partner, recording)).json()["kept_by"] == ["objection"]
    vault.clock.s += 400 * DAY_S
    assert await expire(vault.ports) == 0


async def test_who_may_not_is_refused_and_told(vault, partner):
    recording = (await vault.issued(partner))["recording_id"]
    assert (await hold(vault, partner, recording, role="partner")).status_code == 403
    assert (await lift(vault, partner, recording, role="care")).status_code == 403
    elsewhere = await hold(vault, partner, recording, department="another")
    assert slug(elsewhere) == "not-found"
    assert slug(await hold(vault, partner, recording, purpose=None)) == "purpose-required"
    assert slug(await lift(vault, partner, recording)) == "change-not-possible"
    await hold(vault, partner, recording)
    assert slug(await hold(vault, partner, recording)) == "change-not-possible"
    refused = [
        deed.action
        for deed in await vault.deeds("RECORDING_HELD", "HOLD_LIFTED")
        if deed.outcome == Outcome.OUTCOME_REFUSED
    ]
    assert len(refused) == 3
