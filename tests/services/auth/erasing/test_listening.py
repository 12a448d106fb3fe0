"""An erased recording is not heard any more: open listenings end with their lease, sessions too."""

import pytest
from tests.services.auth.access_world import a_world
from tests.services.auth.test_release_key import release, renew

from voicefile.auth.erasing.certificate import Why
from voicefile.auth.erasing.erase import Order, erase
from voicefile.deeds.deed import Actor

ORDER = Order(by=Actor.service(), why=Why.EARLY)


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path) as opened:
        yield opened


async def erased(world, letter, *recordings):
    return await erase(
        await world.access(letter),
        lambda each: each.id in recordings,
        order=ORDER,
        ports=world.ports,
    )


async def test_an_open_listening_ends_with_its_lease(world):
    letter = await world.letter(await world.tenant(), count=2)
    token = await world.session(letter)
    gone, kept = letter.recordings
    leases = [(await release(world, token, each)).json() for each in (gone, kept)]
    assert {lease["lease_s"] <= 60 for lease in leases} == {True}
    await erased(world, letter, gone)
    refused, renewed = [await renew(world, token, lease["release_id"]) for lease in leases]
    assert refused.status_code >= 400
    assert renewed.status_code == 200
    # Nor is it to be had anew, seen in the list, or taken up again by anybody.
    assert (await release(world, token, gone)).status_code == 404
    listed = (await world.inside("hearable", token)).json()
    assert [each["recording_id"] for each in listed["recordings"]] == [kept]


async def test_with_the_last_one_the_session_ends_and_the_id_is_unknown(world):
    letter = await world.letter(await world.tenant())
    token = await world.session(letter)
    lease = (await release(world, token, letter.recordings[0])).json()
    await erased(world, letter, *letter.recordings)
    assert (await renew(world, token, lease["release_id"])).status_code >= 400
    assert (await world.inside("hearable", token)).status_code == 401
    unknown = await world.sign_in(letter, access_id=None)
    never = await world.sign_in(letter, access_id="000000000098")
    assert (unknown.status_code, unknown.json()) == (401, never.json() | unknown.json())
    assert unknown.json()["type"] == never.json()["type"]
