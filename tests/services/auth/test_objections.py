"""Objecting: a customer says that it is not their contract, and the recording is held."""

import asyncio
import datetime as dt

import pytest
from tests.services.auth.access_world import a_world
from tests.services.auth.telephone import Phone
from tests.services.auth.test_enumeration import seen
from tests.services.auth.test_release_key import release

from voicefile.auth.store import ACCESS, CredentialState, RecordingState
from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.contracts.auth.v1 import LetterState as LetterCode
from voicefile.contracts.auth.v1 import RecordingState as StateCode
from voicefile.deeds.deed import Action, Outcome, Role
from voicefile.identity.ids import new_id


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def letter(world):
    return await world.letter(await world.tenant(), count=2)


@pytest.fixture(params=["telephone", "web"])
async def shown(request, world, letter):
    """What playback shows for the customer, whichever way they came."""
    if request.param == "web":
        return await world.session(letter)
    return await Phone(world).session(letter)


async def object_to(world, shown, recording, body=None, *, peer="playback"):
    return await world.inside(f"recordings/{recording}/objection", shown, body, peer=peer)


def today(world):
    return dt.datetime.fromtimestamp(world.ports.now_s(), dt.UTC).date().isoformat()


async def recordings(world, letter):
    return {each.id: each for each in (await world.access(letter)).record.recordings}


async def events(world, credential):
    """What waits in the access document to be published."""
    document = await world.docs.get(ACCESS, credential)
    return [AuthEvent.FromString(each.payload) for each in document.pending]


async def test_the_recording_is_held_and_goes_on_being_heard(world, letter, shown):
    objected, other = letter.recordings
    answer = await object_to(world, shown, objected)
    assert answer.status_code == 200
    assert answer.json() == {"recording_id": objected, "state": "held", "objected": True}
    stored = await recordings(world, letter)
    assert (stored[objected].state, stored[objected].objected) == (RecordingState.HELD, True)
    way = (stored[objected].objected_on, stored[objected].objected_by)
    assert way == (today(world), "portal" if shown.startswith("vs_") else "telephone")
    assert (stored[other].state, stored[other].objected) == (RecordingState.PLAYABLE, False)
    assert (await release(world, shown, objected)).status_code == 201
    assert (await world.access(letter)).record.state is CredentialState.ACTIVE


async def test_deed_and_state_and_what_ingest_is_told_are_one_write(world, letter, shown):
    (objected, _), request_id = letter.recordings, new_id()
    before = await world.docs.get(ACCESS, letter.credential)
    await object_to(world, shown, objected, {"request_id": request_id})
    after = await world.docs.get(ACCESS, letter.credential)
    assert after.version == before.version + 1
    event = (await events(world, letter.credential))[-1]
    deed, fact = event.deed, event.recording_changed
    assert (deed.action, deed.object_id) == (Action.ACTION_RECORDING_HELD, objected)
    assert (deed.role, deed.outcome) == (Role.ROLE_CUSTOMER, Outcome.OUTCOME_DONE)
    assert (deed.tenant, deed.request_id) == (letter.tenant, request_id)
    assert (fact.recording_id, fact.tenant) == (objected, letter.tenant)
    assert (fact.state, fact.letter) == (
        StateCode.RECORDING_STATE_HELD,
        LetterCode.LETTER_STATE_SENT,
    )
    assert fact.partner == (await recordings(world, letter))[objected].partner


async def test_said_twice_or_by_many_at_once_it_is_said_once(world, letter, shown):
    objected, _ = letter.recordings
    answers = await asyncio.gather(*(object_to(world, shown, objected) for _ in range(4)))
    answers.append(await object_to(world, shown, objected))
    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == 1
    assert len(await world.told("RECORDING_HELD")) == 1


async def test_one_that_is_held_already_stays_so_and_the_partner_is_told_nothing_new(
    world, letter, shown
):
    objected, _ = letter.recordings
    await world.change_recording(letter, state=RecordingState.HELD)
    assert (await object_to(world, shown, objected)).json()["objected"] is True
    event = (await events(world, letter.credential))[-1]
    assert event.deed.action == Action.ACTION_RECORDING_HELD
    assert not event.HasField("recording_changed")


async def test_care_is_shown_it_and_cannot_say_it_for_the_customer(world, letter, shown):
    objected, other = letter.recordings
    agent, why = world.staff(letter.tenant), {"purpose": "complaint"}
    refused = await object_to(world, agent, objected)
    assert refused.status_code == 404
    await object_to(world, shown, objected)
    listed = await world.inside("hearable", agent, why, query={"credential": letter.credential})
    told = {each["recording_id"]: each for each in listed.json()["recordings"]}
    assert (told[objected]["state"], told[objected]["objected"]) == ("held", True)
    assert (told[other]["state"], told[other]["objected"]) == ("playable", False)
    assert told[objected]["heard"]


async def test_foreign_missing_and_what_may_not_be_heard_are_the_same(world, letter, shown):
    own, _ = letter.recordings
    neighbour = await world.letter(letter.tenant)
    foreign = await world.letter(await world.tenant("b"))
    tried = [neighbour.recordings[0], foreign.recordings[0], new_id()]
    answers = [await object_to(world, shown, each) for each in tried]
    for state in (RecordingState.QUARANTINED, RecordingState.SUPERSEDED, RecordingState.ERASED):
        await world.change_recording(letter, state=state)
        answers.append(await object_to(world, shown, own))
    await world.change_recording(letter, state=RecordingState.PLAYABLE, sensitive=True)
    answers.append(await object_to(world, shown, own))
    assert {each.status_code for each in answers} == {404}
    assert len({seen(each) for each in answers}) == 1
    told = await world.told("RECORDING_HELD")
    assert {deed.outcome for deed in told} == {Outcome.OUTCOME_REFUSED}
    assert {deed.tenant for deed in told} == {letter.tenant}
    assert [deed.object_id for deed in told] == [*tried, *[own] * 4]
    for each in (letter, neighbour, foreign):
        assert not any(found.objected for found in (await recordings(world, each)).values())


async def test_without_a_session_or_for_others_than_playback_there_is_no_objecting(
    world, letter, shown
):
    objected, _ = letter.recordings
    assert (await object_to(world, None, objected)).status_code == 401
    for peer, status in ((None, 401), ("portal", 403), ("ingest", 403), ("audit", 403)):
        assert (await object_to(world, shown, objected, peer=peer)).status_code == status
    for role in ("partner", "auditor", "tenant_admin"):
        staff = world.staff(letter.tenant, role=role)
        assert (await object_to(world, staff, objected)).status_code == 403
    assert await world.told("RECORDING_HELD") == []


async def test_of_two_said_at_once_none_is_lost(world, letter, shown):
    # Both stand in one document, so one of the two writes loses its race.
    answers = await asyncio.gather(*(object_to(world, shown, each) for each in letter.recordings))
    assert [each.status_code for each in answers] == [200, 200]
    assert all(each.objected for each in (await recordings(world, letter)).values())
    assert len(await world.told("RECORDING_HELD")) == 2


async def test_records_from_before_objections_are_still_believed(world, letter):
    # The field is left out where nobody objected, so their MAC is the same as ever.
    document = await world.docs.get(ACCESS, letter.credential)
    assert all("objected" not in each for each in document.body["recordings"])
