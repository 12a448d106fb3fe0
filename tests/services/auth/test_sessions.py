"""Customer sessions: how long they last and what ends them."""

import pytest
from tests.services.auth.access_world import a_world

from voicefile.auth.listening.access_store import SESSIONS, THROTTLES
from voicefile.auth.store import CredentialState


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def letter(world):
    return await world.letter(await world.tenant())


async def heard(world, token):
    return (await world.inside("hearable", token)).status_code == 200


async def test_a_token_stands_nowhere_in_the_store(world, letter):
    token = await world.session(letter)
    assert token not in repr(await world.docs.scan(SESSIONS))
    assert token[3:] not in repr(await world.docs.scan(SESSIONS))


async def test_a_session_nobody_uses_is_over_after_five_minutes(world, letter):
    token = await world.session(letter)
    world.clock.s += 299
    assert await heard(world, token)
    world.clock.s += 299
    assert await heard(world, token)
    world.clock.s += 300
    assert not await heard(world, token)


async def test_a_session_is_over_after_half_an_hour_of_use(world, letter):
    token = await world.session(letter)
    for _ in range(29):
        world.clock.s += 60
        assert await heard(world, token)
    world.clock.s += 60
    assert not await heard(world, token)


async def test_logging_out_ends_the_session_and_is_told(world, letter):
    token = await world.session(letter)
    assert (await world.sign_out(token)).status_code == 204
    assert not await heard(world, token)
    assert (await world.sign_out(token)).status_code == 401
    assert len(await world.told("CUSTOMER_SIGNED_OUT")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"state": CredentialState.FROZEN},
        {"state": CredentialState.REVOKED},
        {"state": CredentialState.EXPIRED},
        {"state": CredentialState.UNDELIVERED},
    ],
)
async def test_what_happens_to_the_credential_ends_its_sessions(world, letter, change):
    token = await world.session(letter)
    await world.change(letter, **change)
    over = await world.inside("hearable", token)
    assert over.status_code == 401
    assert over.content == (await world.inside("hearable", "vs_" + "A" * 43)).content


async def test_lapsed_sessions_and_buckets_are_swept_and_live_ones_stay(world, letter):
    await world.session(letter)
    world.clock.s += 1_000
    token = await world.session(letter)
    world.clock.s += 1_000
    # The first one's last moment has passed; the second is idle, but not yet gone.
    await world.doors.sweep()
    assert len(await world.docs.scan(SESSIONS)) == 1
    assert not await heard(world, token)
    world.clock.s += 400 * 86_400
    await world.doors.sweep()
    assert await world.docs.scan(SESSIONS) == await world.docs.scan(THROTTLES) == []


async def test_what_a_swept_session_had_to_tell_is_told(world, letter):
    await world.session(letter)
    await world.session(letter)
    world.clock.s += 10_000
    await world.doors.sweep()
    assert len(await world.told("CUSTOMER_SIGNED_IN")) == 2


async def test_a_session_of_one_credential_shows_nothing_of_another(world, letter):
    other = await world.letter(letter.tenant)
    token = await world.session(letter)
    listed = (await world.inside("hearable", token, query={"credential": other.credential})).json()
    assert [each["recording_id"] for each in listed["recordings"]] == letter.recordings
