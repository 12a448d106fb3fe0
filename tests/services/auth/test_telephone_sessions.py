"""A telephone session: an id that is good in its call, from playback's certificate alone."""

import base64

import pytest
from tests.services.auth.access_world import a_world
from tests.services.auth.telephone import Phone
from tests.services.auth.test_enumeration import seen
from tests.services.auth.test_release_key import HERE, LISTENING, end, opened, release, renew

from voicefile.auth.listening.access_store import SESSIONS
from voicefile.auth.listening.customer_sessions import hashed
from voicefile.auth.store import CredentialState
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Role
from voicefile.docstore.port import Document
from voicefile.identity.guard import SESSION_PREFIX, TELEPHONE_PREFIX


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def letter(world):
    return await world.letter(await world.tenant(), question=True, sensitive=True)


@pytest.fixture
def phone(world):
    return Phone(world)


@pytest.fixture
async def shown(phone, letter):
    return await phone.session(letter)


def parts(shown):
    """The session's id and the call's."""
    session, _, call = shown.removeprefix(TELEPHONE_PREFIX).partition(".")
    return session, call


async def heard(world, shown):
    return (await world.inside("hearable", shown)).status_code == 200


async def test_it_lists_releases_renews_and_ends_like_any_session(world, letter, shown):
    (recording,) = letter.recordings
    listed = (await world.inside("hearable", shown)).json()
    assert (listed["level"], listed["role"]) == (2, "customer")
    assert [each["heard"] for each in listed["recordings"]] == [True]
    released = await release(world, shown, recording)
    assert released.status_code == 201
    told = released.json()
    assert opened(world, told, recording).expose() == letter.keys[recording].expose()
    assert (await renew(world, None, told["release_id"])).json() == {"lease_s": 45}
    assert (await renew(world, shown, told["release_id"])).json() == {"lease_s": 45}
    assert (await end(world, told["release_id"])).status_code == 204
    granted, returned = await world.told("RELEASE_GRANTED", "RELEASE_RETURNED")
    assert (granted.role, granted.related_id) == (Role.ROLE_CUSTOMER, told["release_id"])
    assert returned.object_id == told["release_id"]


async def test_hearings_and_papers_are_asked_for_as_anywhere(world, letter, shown):
    (recording,) = letter.recordings
    world.audit.answer = {"hearings": [], "cursor": None}
    answer = await world.inside("hearings", shown, {"recording_id": recording})
    assert answer.json() == {"hearings": [], "cursor": None}
    world.audit.answer = {
        "proof": "p",
        "receipt_key_proof": "k",
        "log_key": "l",
        "deeds": "d",
    }
    answer = await world.inside("papers", shown, {"recording_id": recording})
    assert answer.json()["proof"] == "p"


async def test_in_another_call_it_is_no_session(world, shown, phone):
    session, call = parts(shown)
    never = await world.inside("hearable", Phone(world).shown("0" * 32))
    tried = [
        Phone(world).shown(session),
        TELEPHONE_PREFIX + session,
        f"{TELEPHONE_PREFIX}{session}.",
        f"{TELEPHONE_PREFIX}.{call}",
        f"{TELEPHONE_PREFIX}{session}.{call}.",
        f"{TELEPHONE_PREFIX}{session}.{call.upper()}",
        f"{TELEPHONE_PREFIX}{session}.{hashed(SecretText(call))}",
        f"{TELEPHONE_PREFIX}{session.upper()}.{call}",
        TELEPHONE_PREFIX,
    ]
    answers = [await world.inside("hearable", each) for each in tried]
    assert {seen(each) for each in answers} == {seen(never)}
    assert never.status_code == 401
    assert await heard(world, shown)


async def test_its_id_is_no_token_at_any_door(world, shown, phone):
    session, _ = parts(shown)
    for tried in (shown, session, SESSION_PREFIX + session, f"{SESSION_PREFIX}{session}.x"):
        assert (await world.sign_out(tried)).status_code == 401
    for tried in (session, SESSION_PREFIX + session, SESSION_PREFIX + parts(shown)[1]):
        assert (await world.inside("hearable", tried)).status_code == 401
    assert await heard(world, shown)


async def test_a_web_session_is_no_telephone_session(world, letter, phone):
    token = await world.session(letter)
    document = hashed(SecretText(token))
    kept = await world.docs.get(SESSIONS, document)
    for session in (document, str(kept.body["id"]), token, token.removeprefix(SESSION_PREFIX)):
        for tried in (phone.shown(session), f"{TELEPHONE_PREFIX}{session}."):
            assert (await world.inside("hearable", tried)).status_code == 401
            assert (await phone.hang_up(tried)).status_code == 401
    # Nor does hanging up end it.
    assert (await phone.hang_up(token)).status_code == 401
    assert await heard(world, token)


async def test_neither_kind_can_be_made_into_the_other_in_the_store(world, letter, shown, phone):
    token, (session, _) = await world.session(letter), parts(shown)
    by_telephone = await world.docs.get(SESSIONS, session)
    by_web = await world.docs.get(SESSIONS, hashed(SecretText(token)))
    assert "call" not in by_web.body
    for found, other in ((by_telephone, by_web), (by_web, by_telephone)):
        moved = Document(found.id, found.tenant, other.body, found.version, found.pending)
        await world.docs.replace(SESSIONS, moved)
    assert not await heard(world, token)
    assert not await heard(world, shown)


async def test_only_playback_shows_one(world, shown, phone):
    for peer, status in ((None, 401), ("portal", 403), ("ingest", 403), ("audit", 403)):
        assert (await world.inside("hearable", shown, peer=peer)).status_code == status
        assert (await phone.hang_up(shown, peer=peer)).status_code == status
    assert await heard(world, shown)


async def test_hanging_up_ends_it_and_is_told(world, letter, shown, phone):
    released = (await release(world, shown, letter.recordings[0])).json()
    assert (await phone.hang_up(shown)).status_code == 204
    assert not await heard(world, shown)
    assert (await phone.hang_up(shown)).status_code == 401
    # What it listened to just now ends with the lease.
    assert (await renew(world, None, released["release_id"])).status_code == 401
    (deed,) = await world.told("CUSTOMER_SIGNED_OUT")
    assert (deed.object_id, deed.role) == (letter.credential, Role.ROLE_CUSTOMER)


async def test_another_call_cannot_hang_up(world, shown):
    session, _ = parts(shown)
    assert (await Phone(world).hang_up(Phone(world).shown(session))).status_code == 401
    assert await heard(world, shown)


async def test_it_is_over_when_idle_and_after_half_an_hour(world, letter, shown):
    world.clock.s += 299
    assert await heard(world, shown)
    # A call that shows it with another's id keeps nothing alive.
    session, _ = parts(shown)
    world.clock.s += 299
    assert not await heard(world, Phone(world).shown(session))
    world.clock.s += 1
    assert not await heard(world, shown)
    again = Phone(world)
    shown = await again.session(letter)
    for _ in range(29):
        world.clock.s += 60
        assert await heard(world, shown)
    world.clock.s += 60
    assert not await heard(world, shown)


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"state": CredentialState.FROZEN}, {"question": None}]
)
async def test_what_happens_to_the_credential_is_seen_at_once(world, letter, shown, change):
    await world.change(letter, **change)
    assert await heard(world, shown) is ("question" in change)


async def test_a_second_call_has_a_session_and_releases_of_its_own(world, letter, shown):
    (recording,) = letter.recordings
    other = await Phone(world).session(letter)
    mine = (await release(world, shown, recording)).json()
    theirs = (await release(world, other, recording, listening=LISTENING)).json()
    assert mine["release_id"] != theirs["release_id"]
    assert (await renew(world, other, mine["release_id"])).status_code == 404
    key = base64.b64encode(HERE.public).decode()
    answer = await world.inside(
        f"releases/{mine['release_id']}/renewals", shown, {"instance_key": key}
    )
    assert answer.status_code == 200


async def test_sessions_from_before_telephones_still_carry_their_mac(world, letter):
    # What a session of the web is stored as has not changed by the field it leaves out.
    token = await world.session(letter)
    kept = await world.docs.get(SESSIONS, hashed(SecretText(token)))
    assert set(kept.body) == {
        *("id", "tenant", "credential", "generation", "level"),
        *("opened_at_s", "seen_at_s", "expires_at_s", "ended", "mac"),
    }
