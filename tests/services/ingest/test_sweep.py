"""The sweeper takes what nobody owns, after a day, and asks before it takes."""

import pytest
from tests.services.ingest.stand import PARTNER, TENANT, new_key, speech

from voicefile.blobstore.names import new_blob_name
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.secret import SecretText
from voicefile.ingest.reservations import reservation_id
from voicefile.ingest.sweep import Swept

DAY_S = 86_400


async def one(data):
    yield data


async def test_what_nobody_owns_goes_after_a_day(stand):
    await stand.upload()
    orphan = new_blob_name()
    await stand.blobs.put(orphan, one(b"left behind"))
    assert await stand.sweeper.sweep() == Swept()
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(blobs=1)
    assert await stand.names() == stand.auth.owned()
    assert await stand.sweeper.sweep() == Swept()


async def test_nothing_goes_while_auth_does_not_answer(stand):
    await stand.blobs.put(new_blob_name(), one(b"left behind"))
    stand.clock.now_s += DAY_S + 1

    async def silent(names):
        raise ConnectionError

    stand.desk.marking.auth.known = silent
    with pytest.raises(ConnectionError):
        await stand.sweeper.sweep()
    assert len(await stand.names()) == 1


async def test_every_page_is_looked_at(stand):
    stand.settings.sweep_page = 10
    for _ in range(35):
        await stand.blobs.put(new_blob_name(), one(b"left behind"))
    said = (await stand.upload()).json()
    stand.clock.now_s += DAY_S + 1
    assert (await stand.sweeper.sweep()).blobs == 35
    assert await stand.heard(said["recording_id"], "peaks")


async def reservation(stand, key):
    return await stand.desk.marking.reservations.find(
        reservation_id(PARTNER.id, SecretText(key)), tenant=TENANT
    )


async def test_a_reservation_of_nothing_expires(stand):
    key = new_key()
    stand.auth.unreachable = 3
    await stand.upload(key=key)
    assert await reservation(stand, key) is not None
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(blobs=3, expired=1)
    assert await reservation(stand, key) is None
    assert await stand.names() == set()


async def test_a_reservation_of_something_issued_is_marked(stand):
    key, audio = new_key(), speech()
    stand.auth.lose_answers = 3
    marks = stand.desk.marking.reservations.mark

    async def killed(*args):
        raise MemoryError

    stand.desk.marking.reservations.mark = killed
    assert (await stand.upload(audio, key=key)).status_code == 500
    stand.desk.marking.reservations.mark = marks
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(marked=1)
    assert (await reservation(stand, key)).marked
    (fact,) = await stand.stored_facts()
    assert set(fact.blobs) == stand.auth.owned() == await stand.names()
    # The number whose write came to nothing is filled, so the series has no gap.
    assert sorted(deed.n for deed in await stand.deeds()) == [1, 2]
    assert len(await stand.deeds(Action.ACTION_VOID)) == 1
    again = await stand.upload(audio, key=key)
    assert again.status_code == 201
