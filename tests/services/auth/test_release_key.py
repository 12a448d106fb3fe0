"""Releases: one a listening, recorded first, checked again at every renewal."""

import asyncio
import base64

import pytest
from msgspec.structs import replace
from tests.services.auth.access_world import a_world

from voicefile.auth.listening.access_store import RELEASES
from voicefile.auth.store import CredentialState, RecordingState
from voicefile.auth.tenants.principals import NewPrincipal, add_principal, remove_principal
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import SealingKeyPair, open_sealed
from voicefile.deeds.deed import Actor, Outcome, Purpose, Role
from voicefile.docstore.port import Document
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role as Acting

LISTENING = "1" * 32
HERE, THERE = SealingKeyPair.generate(), SealingKeyPair.generate()


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def tenant(world):
    return await world.tenant()


@pytest.fixture
async def letter(world, tenant):
    return await world.letter(tenant)


@pytest.fixture
async def token(world, letter):
    return await world.session(letter)


def wish(recording, *, keys=HERE, listening=LISTENING, purpose=None, request_id=""):
    return {
        "recording_id": recording,
        "purpose": purpose,
        "instance_key": base64.b64encode(keys.public).decode(),
        "listening": listening,
        "request_id": request_id,
    }


async def release(world, token, recording, **how):
    return await world.inside("releases", token, wish(recording, **how))


async def renew(world, token, release_id, *, keys=HERE):
    body = {"instance_key": base64.b64encode(keys.public).decode()}
    return await world.inside(f"releases/{release_id}/renewals", token, body)


async def end(world, release_id, *, keys=HERE):
    told = {"bytes_sent": 7, "end": "finished"}
    told["instance_key"] = base64.b64encode(keys.public).decode()
    return await world.inside(f"releases/{release_id}/end", None, told)


async def an_agent(world, tenant, **how):
    """The id of a care agent who is there."""
    new = NewPrincipal(Acting.CARE, handle=f"agent{new_id()[:6]}", **how)
    return (await add_principal(tenant, new, by=Actor.service(), ports=world.ports)).id


def opened(world, released, recording, keys=HERE):
    context = Context(
        world.custody.deployment,
        released["tenant"],
        object_id(recording, "slip"),
        Kind.WRAPPED_KEY,
        wrapping_key=released["release_id"].encode(),
    )
    return open_sealed(keys, base64.b64decode(released["sealed_key"]), context.encode())


async def test_the_key_goes_sealed_to_who_asked_after_the_deed(world, letter, token):
    (recording,) = letter.recordings
    request_id = new_id()
    answer = await release(world, token, recording, request_id=request_id)
    assert answer.status_code == 201
    told = answer.json()
    assert opened(world, told, recording).expose() == letter.keys[recording].expose()
    assert (told["lease_s"], told["joined"]) == (45, False)
    assert set(told["blobs"]) == {"original", "telephone", "peaks"}
    assert told["media"]["original_bytes"] == 50_044
    (deed,) = await world.told("RELEASE_GRANTED")
    assert (deed.object_id, deed.role) == (recording, Role.ROLE_CUSTOMER)
    assert (deed.request_id, deed.tenant) == (request_id, letter.tenant)


async def test_a_listening_is_granted_once_and_joined_by_others(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()
    again = (await release(world, token, recording)).json()
    joined = (await release(world, token, recording, keys=THERE)).json()
    assert first["release_id"] == again["release_id"] == joined["release_id"]
    assert (again["joined"], joined["joined"]) == (True, True)
    assert opened(world, joined, recording, THERE).expose() == letter.keys[recording].expose()
    assert len(await world.told("RELEASE_GRANTED")) == 1
    assert len(await world.told("RELEASE_JOINED")) == 1


async def test_many_instances_at_once_make_one_release(world, letter, token):
    (recording,) = letter.recordings
    pairs = [SealingKeyPair.generate() for _ in range(6)]
    answers = await asyncio.gather(*(release(world, token, recording, keys=pair) for pair in pairs))
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["release_id"] for each in answers}) == 1
    assert len(await world.told("RELEASE_GRANTED")) == 1
    assert len(await world.told("RELEASE_JOINED")) == 5


async def test_an_ended_listening_is_a_new_release_the_next_time(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    assert (await end(world, first)).status_code == 204
    assert (await end(world, first)).status_code == 204
    assert (await renew(world, token, first)).status_code == 410
    assert (await renew(world, None, first)).status_code == 410
    second = (await release(world, token, recording)).json()
    assert second["release_id"] != first
    assert second["joined"] is False
    assert len(await world.told("RELEASE_GRANTED")) == 2


async def test_an_instance_that_has_done_ends_nothing_for_the_others(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    await release(world, token, recording, keys=THERE)
    for _ in range(2):
        assert (await end(world, first)).status_code == 204
        assert (await renew(world, None, first)).status_code == 410
        assert (await renew(world, None, first, keys=THERE)).status_code == 200
    # The listener's next request may reach the first again: the same listening, and told.
    assert (await release(world, token, recording)).json()["release_id"] == first
    assert len(await world.told("RELEASE_JOINED")) == 2
    for keys in (THERE, HERE):
        assert (await end(world, first, keys=keys)).status_code == 204
    assert (await release(world, token, recording)).json()["release_id"] != first
    ended = await world.doors.releases.get(first)
    assert ended.record.ended
    # Once by each instance and listening of it, however often it says so.
    returned = await world.told("RELEASE_RETURNED")
    assert {(deed.object_id, deed.bytes_sent, deed.tenant) for deed in returned} == {
        (first, 7, letter.tenant)
    }
    assert len(returned) == 3


async def test_an_instance_that_died_keeps_no_release_from_ending(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    await release(world, token, recording, keys=THERE)
    for _ in range(12):
        world.clock.s += 40
        assert (await renew(world, None, first)).status_code == 200
    await end(world, first)
    await world.doors.gate.ask()
    assert (await release(world, token, recording)).json()["release_id"] != first


async def test_a_lapsed_lease_is_renewed_within_the_listening_only(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    world.clock.s += 200
    assert (await renew(world, token, first)).json() == {"lease_s": 45}
    world.clock.s += 200
    assert (await release(world, token, recording)).json()["release_id"] == first
    # Nothing for five minutes after the lease: whoever listens on has begun anew.
    for _ in range(2):
        world.clock.s += 173
        assert (await world.inside("hearable", token)).status_code == 200
    await world.doors.gate.ask()
    assert (await release(world, token, recording)).json()["release_id"] != first
    assert len(await world.told("RELEASE_GRANTED")) == 2


@pytest.mark.parametrize(
    "happening",
    ["log-out", "re-issue", "freeze", "erase", "quarantine", "sensitive", "idle"],
)
async def test_access_ends_at_the_next_renewal(world, letter, token, happening):
    (recording,) = letter.recordings
    release_id = (await release(world, token, recording)).json()["release_id"]
    match happening:
        case "log-out":
            await world.sign_out(token)
        case "re-issue":
            await world.change(letter, generation=2)
        case "freeze":
            await world.change(letter, state=CredentialState.FROZEN)
        case "erase":
            await world.change_recording(letter, state=RecordingState.ERASED)
        case "quarantine":
            await world.change_recording(letter, state=RecordingState.QUARANTINED)
        case "sensitive":
            await world.change_recording(letter, sensitive=True)
        case "idle":
            world.clock.s += 300
    assert (await renew(world, None, release_id)).status_code in {401, 410}
    assert (await renew(world, token, release_id)).status_code in {401, 410}
    assert (await release(world, token, recording)).status_code in {401, 404}


async def test_a_hold_does_not_end_hearing(world, letter, token):
    (recording,) = letter.recordings
    release_id = (await release(world, token, recording)).json()["release_id"]
    await world.change_recording(letter, state=RecordingState.HELD)
    assert (await renew(world, token, release_id)).status_code == 200


async def test_foreign_missing_and_unheard_are_the_same_bytes(world, tenant, letter, token):
    foreign = await world.letter(await world.tenant("b"))
    neighbour = await world.letter(tenant)
    stored = await world.access(letter)
    unheard = [
        await world.recording(letter, sensitive=True),
        await world.recording(letter),
        await world.recording(letter),
    ]
    states = (RecordingState.PLAYABLE, RecordingState.QUARANTINED, RecordingState.ERASED)
    await world.change(letter, recordings=(*stored.record.recordings, *unheard))
    for found, state in zip(unheard, states, strict=True):
        current = (await world.access(letter)).record.recordings
        changed = (replace(each, state=state) if each.id == found.id else each for each in current)
        await world.change(letter, recordings=tuple(changed))
    wanted = [new_id(), foreign.recordings[0], neighbour.recordings[0], *(r.id for r in unheard)]
    answers = [await release(world, token, each) for each in wanted]
    answers.append(
        await release(world, world.staff(foreign.tenant), letter.recordings[0], purpose="dispute")
    )
    assert {each.status_code for each in answers} == {404}
    assert len({each.content for each in answers}) == 1
    told = await world.told("RELEASE_GRANTED")
    assert {deed.outcome for deed in told} == {Outcome.OUTCOME_REFUSED}
    assert [deed.object_id for deed in told] == [*wanted, letter.recordings[0]]
    assert [deed.tenant for deed in told] == [*[tenant] * len(wanted), foreign.tenant]


async def test_care_says_why_and_the_deed_repeats_it(world, tenant, letter):
    agent = world.staff(tenant)
    (recording,) = letter.recordings
    assert (await release(world, agent, recording)).status_code == 422
    assert (await release(world, agent, recording, purpose="curiosity")).status_code == 422
    answer = await release(world, agent, recording, purpose="dispute")
    assert answer.status_code == 201
    (deed,) = await world.told("RELEASE_GRANTED")
    assert (deed.role, deed.purpose) == (Role.ROLE_CARE, Purpose.PURPOSE_DISPUTE)


async def test_a_fresh_token_of_the_same_agent_renews_and_another_agents_does_not(
    world, tenant, letter
):
    (recording,) = letter.recordings
    agent = await an_agent(world, tenant)
    answer = await release(world, world.staff(tenant, principal=agent), recording, purpose="legal")
    release_id = answer.json()["release_id"]
    world.clock.s += 40
    assert (await renew(world, world.staff(tenant, principal=agent), release_id)).status_code == 200
    assert (await renew(world, world.staff(tenant), release_id)).status_code == 404
    assert (await renew(world, world.staff(tenant), new_id())).status_code == 404
    assert (await renew(world, None, new_id())).status_code == 404


async def test_what_plays_is_renewed_without_a_token_and_keeps_the_session_alive(
    world, letter, token
):
    (recording,) = letter.recordings
    release_id = (await release(world, token, recording)).json()["release_id"]
    for _ in range(10):
        world.clock.s += 40
        assert (await renew(world, None, release_id)).json() == {"lease_s": 45}
    assert (await world.inside("hearable", token)).status_code == 200


async def test_a_listening_outlives_the_agents_token_by_no_more_than_a_token_lives(
    world, tenant, letter
):
    (recording,) = letter.recordings
    agent = await an_agent(world, tenant)
    token = world.staff(tenant, principal=agent)
    release_id = (await release(world, token, recording, purpose="legal")).json()["release_id"]
    for _ in range(3):
        world.clock.s += 299
        assert (await renew(world, None, release_id)).status_code == 200
    world.clock.s += 3
    assert (await renew(world, None, release_id)).status_code == 410
    assert (await renew(world, token, release_id)).status_code == 401
    fresh = world.staff(tenant, principal=agent)
    assert (await renew(world, fresh, release_id)).status_code == 200
    for _ in range(3):
        world.clock.s += 299
        assert (await renew(world, None, release_id)).status_code == 200


@pytest.mark.parametrize("happening", ["removed", "other department", "unknown"])
async def test_an_agents_listening_ends_with_their_rights(world, tenant, letter, happening):
    (recording,) = letter.recordings
    agent = await an_agent(world, tenant) if happening != "unknown" else new_id()
    token = world.staff(tenant, principal=agent)
    release_id = (await release(world, token, recording, purpose="legal")).json()["release_id"]
    match happening:
        case "removed":
            await remove_principal(tenant, agent, by=Actor.service(), ports=world.ports)
        case "other department":
            records = world.ports.principals.of(tenant)
            stored = await records.get(agent)
            await records.replace(stored, replace(stored.record, department="south"))
    assert (await renew(world, None, release_id)).status_code == 410
    assert (await renew(world, token, release_id)).status_code == 410


async def test_an_instance_that_never_joined_ends_nothing(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    assert (await end(world, first, keys=THERE)).status_code == 204
    assert (await renew(world, None, first)).status_code == 200


async def test_a_session_neither_joins_nor_renews_anothers_listening(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    other = await world.session(letter)
    assert (await renew(world, other, first)).status_code == 404
    assert (await release(world, other, recording)).json()["release_id"] != first


async def test_an_instance_that_never_joined_renews_nothing(world, letter, token):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    for shown in (token, None):
        assert (await renew(world, shown, first, keys=THERE)).status_code == 410


async def test_without_the_logs_word_nothing_new_is_released_and_the_old_goes_on(
    world, letter, token
):
    (recording,) = letter.recordings
    first = (await release(world, token, recording)).json()["release_id"]
    world.audit.answer = None
    world.clock.s += 1.5
    await world.doors.gate.ask()
    refused = await release(world, token, recording, listening="2" * 32)
    assert refused.status_code == 503
    assert refused.json()["type"].endswith(":audit-unavailable")
    assert (await renew(world, token, first)).status_code == 200
    assert (await release(world, token, recording, keys=THERE)).status_code == 201
    assert len(await world.told("RELEASE_GRANTED")) == 1


async def test_a_release_written_past_auth_releases_nothing(world, letter, token):
    (recording,) = letter.recordings
    release_id = (await release(world, token, recording)).json()["release_id"]
    await end(world, release_id)
    found = await world.docs.get(RELEASES, release_id)
    body = dict(found.body) | {"ended": False}
    await world.docs.replace(
        RELEASES, Document(found.id, found.tenant, body, found.version, found.pending)
    )
    assert (await renew(world, token, release_id)).status_code == 404
    assert len(await world.told("INTEGRITY_FAILED")) == 1


async def test_an_instance_key_that_is_none_is_refused(world, letter, token):
    (recording,) = letter.recordings
    body = wish(recording) | {"instance_key": base64.b64encode(bytes(32)).decode()}
    answer = await world.inside("releases", token, body)
    assert answer.status_code == 422
    assert await world.told("RELEASE_GRANTED") == []


async def test_lapsed_releases_are_swept_and_what_they_told_is_told(world, letter, token):
    (recording,) = letter.recordings
    await release(world, token, recording)
    world.clock.s += 3_600
    await world.doors.sweep()
    assert await world.docs.scan(RELEASES) == []
    assert len(await world.told("RELEASE_GRANTED")) == 1
