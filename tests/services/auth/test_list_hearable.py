"""Listing: what customers and care agents may know of, recorded first."""

import pytest
from tests.services.auth.access_world import a_world

from voicefile.auth.store import RecordingState
from voicefile.deeds.deed import Outcome, Purpose, Role
from voicefile.identity.ids import new_id


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def tenant(world):
    return await world.tenant()


async def test_a_customer_sees_their_recordings_and_the_deed_comes_first(world, tenant):
    letter = await world.letter(tenant, count=3)
    listed = (await world.inside("hearable", await world.session(letter))).json()
    assert (listed["level"], listed["role"], listed["tenant"]) == (1, "customer", tenant)
    assert [each["recording_id"] for each in listed["recordings"]] == letter.recordings
    first = listed["recordings"][0]
    assert first["heard"] is True
    assert first["contract_reference"] == "V-2027-17"
    assert first["recorded_at"] == "2027-01-15T10:00:00Z"
    assert (first["duration_ms"], first["language"]) == (1_000, "de")
    (deed,) = await world.told("RECORDINGS_LISTED")
    assert (deed.object_id, deed.role) == (letter.credential, Role.ROLE_CUSTOMER)


async def test_a_sensitive_recording_shows_no_details_before_the_answer(world, tenant):
    letter = await world.letter(tenant)
    token = await world.session(letter)
    # A sensitive recording joins, with its question, while the session is open.
    donor = await world.letter(tenant, question=True)
    stored, asked = await world.access(letter), (await world.access(donor)).record.question
    joined = await world.recording(letter, sensitive=True)
    await world.change(letter, recordings=(*stored.record.recordings, joined), question=asked)
    listed = (await world.inside("hearable", token)).json()["recordings"]
    assert [each["heard"] for each in listed] == [True, False]
    assert listed[1]["contract_reference"] == listed[1]["recorded_at"] == ""


async def test_level_two_hears_the_sensitive_one(world, tenant):
    letter = await world.letter(tenant, question=True, sensitive=True)
    listed = (await world.inside("hearable", await world.session(letter))).json()
    assert listed["level"] == 2
    assert listed["recordings"][0]["heard"] is True


@pytest.mark.parametrize(
    ("state", "heard"),
    [
        (RecordingState.PLAYABLE, True),
        (RecordingState.HELD, True),
        (RecordingState.QUARANTINED, False),
        (RecordingState.SUPERSEDED, False),
    ],
)
async def test_states_say_whether_it_is_heard(world, tenant, state, heard):
    letter = await world.letter(tenant)
    await world.change_recording(letter, state=state)
    (listed,) = (await world.inside("hearable", await world.session(letter))).json()["recordings"]
    assert (listed["state"], listed["heard"]) == (state.value, heard)


async def test_an_erased_recording_is_not_even_listed(world, tenant):
    letter = await world.letter(tenant)
    await world.change_recording(letter, state=RecordingState.ERASED)
    listed = (await world.inside("hearable", await world.session(letter))).json()
    assert listed["recordings"] == []


async def test_care_names_a_credential_or_a_recording_of_its_tenant(world, tenant):
    letter = await world.letter(tenant, sensitive=True)
    agent = world.staff(tenant)
    for query in ({"credential": letter.credential}, {"recording": letter.recordings[0]}):
        answer = await world.inside("hearable", agent, {"purpose": "complaint"}, query=query)
        assert answer.status_code == 200
        assert answer.json()["recordings"][0]["heard"] is True
    deeds = await world.told("RECORDINGS_LISTED")
    assert {deed.purpose for deed in deeds} == {Purpose.PURPOSE_COMPLAINT}
    assert {deed.role for deed in deeds} == {Role.ROLE_CARE}


async def test_foreign_missing_and_unnamed_are_the_same_to_care(world, tenant):
    letter = await world.letter(tenant)
    stranger, why = world.staff(await world.tenant("b")), {"purpose": "complaint"}
    of_another_department = world.staff(tenant, department="service")
    tries = [
        (stranger, {"credential": letter.credential}),
        (stranger, {"recording": letter.recordings[0]}),
        (stranger, {"credential": new_id()}),
        (stranger, {}),
        (of_another_department, {"credential": letter.credential}),
    ]
    answers = [await world.inside("hearable", who, why, query=query) for who, query in tries]
    assert {each.status_code for each in answers} == {404}
    assert len({each.content for each in answers}) == 1
    told = await world.told("RECORDINGS_LISTED")
    assert {deed.outcome for deed in told} == {Outcome.OUTCOME_REFUSED}
    # Of whoever asked, in their own log: a foreign tenant learns nothing of it.
    assert [deed.tenant == tenant for deed in told] == [False] * 4 + [True]
    assert [deed.object_id for deed in told[:2]] == [letter.credential, letter.recordings[0]]


async def test_care_sees_nothing_without_saying_why(world, tenant):
    letter = await world.letter(tenant)
    for body in (None, {}, {"purpose": ""}):
        answer = await world.inside(
            "hearable", world.staff(tenant), body, query={"credential": letter.credential}
        )
        assert answer.status_code == 422
    assert await world.told("RECORDINGS_LISTED") == []


async def test_care_of_a_department_sees_its_own(world, tenant):
    letter = await world.letter(tenant)
    other = await world.recording(letter, department="service")
    stored = await world.access(letter)
    await world.change(letter, recordings=(*stored.record.recordings, other))
    agent = world.staff(tenant, department="service")
    answer = await world.inside(
        "hearable", agent, {"purpose": "quality"}, query={"credential": letter.credential}
    )
    listed = answer.json()
    assert [each["recording_id"] for each in listed["recordings"]] == [other.id]


@pytest.mark.parametrize("role", ["partner", "auditor", "tenant_admin"])
async def test_no_other_role_listens(world, tenant, role):
    letter = await world.letter(tenant)
    answer = await world.inside(
        "hearable", world.staff(tenant, role=role), query={"credential": letter.credential}
    )
    assert answer.status_code == 403


async def test_only_playback_asks(world, tenant):
    letter = await world.letter(tenant)
    token = await world.session(letter)
    for peer, status in ((None, 401), ("portal", 403), ("ingest", 403), ("audit", 403)):
        assert (await world.inside("hearable", token, peer=peer)).status_code == status
    assert (await world.inside("hearable", None)).status_code == 401
