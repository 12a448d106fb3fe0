"""Settling an objection: care says that it is done, and the recording is kept for it no longer."""

import pytest
from msgspec import structs
from tests.services.auth.issuing_world import an_auth

from voicefile.auth.store import ACCESS, Hold, RecordingState
from voicefile.deeds.deed import Outcome, Purpose, Role
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role as Who


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


@pytest.fixture
async def objected(vault, partner):
    """A recording whose customer says that it is not theirs."""
    recording = (await vault.issued(partner))["recording_id"]
    said = {"objected": True, "objected_on": "2026-11-28", "objected_by": "telephone"}
    await put(vault, partner, recording, state=RecordingState.HELD, **said)
    return recording


async def access_of(vault, partner, recording):
    return await vault.ports.access.of(partner.tenant).find_one("recording", recording)


async def put(vault, partner, recording, **fields):
    stored = await access_of(vault, partner, recording)
    recordings = tuple(structs.replace(each, **fields) for each in stored.record.recordings)
    changed = structs.replace(stored.record, recordings=recordings)
    await vault.ports.access.of(partner.tenant).replace(stored, changed)


async def settle(vault, token, recording, *, purpose="dispute"):
    path = f"/v1/recordings/{recording}/objection"
    return await vault.call("DELETE", path, token=token, purpose=purpose)


@pytest.mark.parametrize("role", [Who.CARE, Who.TENANT_ADMIN])
async def test_what_is_settled_is_playable_again_and_the_log_says_who_and_why(
    vault, partner, objected, role
):
    token = await vault.token(partner.tenant, role)
    before = await access_of(vault, partner, objected)
    version = (await vault.docs.get(ACCESS, before.id)).version
    answer = await settle(vault, token, objected)
    assert answer.status_code == 200
    told = {"recording_id": objected, "state": "playable", "objected": False}
    assert answer.json() == told
    stored = await access_of(vault, partner, objected)
    # The deed is in the same write.
    assert (await vault.docs.get(ACCESS, before.id)).version == version + 1
    [recording] = stored.record.recordings
    assert (recording.state, recording.objected) == (RecordingState.PLAYABLE, False)
    [deed] = await settled(vault)
    assert (deed.object_id, deed.tenant) == (objected, partner.tenant)
    assert (deed.purpose, deed.outcome) == (Purpose.PURPOSE_DISPUTE, Outcome.OUTCOME_DONE)
    assert deed.role in {Role.ROLE_CARE, Role.ROLE_TENANT_ADMIN}


async def test_who_looks_into_it_reads_when_it_came_and_which_way(vault, partner, objected):
    path = f"/v1/recordings/{objected}/objection"
    for role in (Who.CARE, Who.TENANT_ADMIN):
        token = await vault.token(partner.tenant, role)
        answer = await vault.call("GET", path, token=token, purpose="dispute")
        told = answer.json()
        assert (told["objected"], told["kept_by"]) == (True, ["objection"])
        assert (told["objected_on"], told["objected_by"]) == ("2026-11-28", "telephone")
        [deed] = [
            each
            for each in await vault.deeds("RECORDINGS_LISTED")
            if each.request_id == answer.headers["voicefile-request-id"]
        ]
        credential = (await access_of(vault, partner, objected)).id
        assert (deed.object_id, deed.purpose) == (credential, Purpose.PURPOSE_DISPUTE)
    await settle(vault, token, objected)
    told = (await vault.call("GET", path, token=token, purpose="dispute")).json()
    assert (told["objected"], told["objected_on"], told["objected_by"]) == (False, "", "")
    assert (await vault.call("GET", path, token=token)).status_code == 422
    foreign = await vault.token(await vault.tenant("foreign.example"), Who.CARE)
    answers = [
        await vault.call(
            "GET", f"/v1/recordings/{each}/objection", token=foreign, purpose="dispute"
        )
        for each in (objected, new_id())
    ]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].content == answers[1].content


async def test_settled_twice_it_stays_settled_and_both_stand_in_the_log(vault, partner, objected):
    token = await vault.token(partner.tenant, Who.CARE)
    answers = [await settle(vault, token, objected) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len(await settled(vault)) == 2


async def test_what_was_superseded_meanwhile_does_not_come_back(vault, partner, objected):
    await put(vault, partner, objected, state=RecordingState.SUPERSEDED)
    token = await vault.token(partner.tenant, Who.CARE)
    assert (await settle(vault, token, objected)).json()["state"] == "superseded"


async def test_a_legal_hold_outlives_what_the_customer_objected_to(vault, partner, objected):
    await put(vault, partner, objected, hold=Hold("legal", b"sealed", "2026-11-28"))
    token = await vault.token(partner.tenant, Who.CARE)
    assert (await settle(vault, token, objected)).json()["state"] == "held"


async def test_without_a_purpose_or_a_right_nothing_is_settled(vault, partner, objected):
    care = await vault.token(partner.tenant, Who.CARE)
    assert (await settle(vault, care, objected, purpose=None)).status_code == 422
    for role in (Who.PARTNER, Who.AUDITOR):
        other = await vault.token(partner.tenant, role)
        assert (await settle(vault, other, objected)).status_code == 403
    foreign = await vault.token(await vault.tenant("b"), Who.CARE)
    answers = [await settle(vault, foreign, each) for each in (objected, new_id())]
    assert {each.status_code for each in answers} == {404}
    [recording] = (await access_of(vault, partner, objected)).record.recordings
    assert recording.objected
    assert {deed.outcome for deed in await settled(vault)} == {Outcome.OUTCOME_REFUSED}


async def settled(vault):
    return await vault.deeds("OBJECTION_SETTLED")
