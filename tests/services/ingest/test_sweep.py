"""The sweeper takes what nobody owns, after a day, and asks before it takes."""

import asyncio
from dataclasses import replace

import pytest
from tests.services.ingest.fake_auth import until
from tests.services.ingest.stand import NOW_S, PARTNER, TENANT, Clock, new_key, speech, standing

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.names import new_blob_name
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.secret import SecretText
from voicefile.docstore.port import Document, PendingEvent
from voicefile.ingest.canaries import CANARIES
from voicefile.ingest.metrics import sweeping_halted
from voicefile.ingest.reservations import reservation_id
from voicefile.ingest.steady_clock import SteadyClock
from voicefile.ingest.store import RESERVATIONS
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

    async def killed(*args, **told):
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


async def a_day_old(stand, *, uploads=2):
    """Recordings, an orphan and a reservation of nothing, all a day old."""
    for _ in range(uploads):
        await stand.upload()
    await stand.blobs.put(new_blob_name(), one(b"left behind"))
    stand.auth.unreachable = 3
    await stand.upload()
    stand.clock.now_s += DAY_S + 1


async def test_an_auth_with_an_empty_database_is_believed_nothing(stand, capsys):
    await a_day_old(stand)
    before, reserved = await stand.names(), await stand.store.scan(RESERVATIONS)
    issued, stand.auth.issued = stand.auth.issued, {}
    for _ in range(2):
        assert await stand.sweeper.sweep() == Swept(halted=True)
        assert await stand.names() == before
        assert await stand.store.scan(RESERVATIONS) == reserved
        assert sweeping_halted()._value.get() == 1
        assert "sweeping_halted" in capsys.readouterr().out
    stand.auth.issued = issued
    assert await stand.sweeper.sweep() == Swept(blobs=4, expired=1)
    assert await stand.names() == stand.auth.owned()
    assert sweeping_halted()._value.get() == 0


async def test_an_auth_restored_to_an_earlier_day_is_believed_nothing(stand):
    await a_day_old(stand, uploads=5)
    before = await stand.names()
    stand.auth.issued.popitem()
    assert await stand.sweeper.sweep() == Swept(halted=True)
    assert await stand.names() == before


async def test_an_erasure_not_heard_of_yet_alarms_nobody(stand):
    said = (await stand.upload()).json()
    stand.auth.issued[said["recording_id"]].update(state="erased", blobs={})
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(erased=1)
    assert await stand.names() == set()
    assert sweeping_halted()._value.get() == 0


async def test_losers_of_an_issued_recording_go(stand):
    key = new_key()
    stand.auth.lose_answers = 3
    await stand.upload(key=key)
    held = await reservation(stand, key)
    loser = new_blob_name()
    await stand.blobs.put(loser, one(b"an attempt that auth did not take"))
    reservations, issued = stand.desk.marking.reservations, tuple(held.names)
    await reservations.mark(replace(held, earlier=(loser,)), an_event(), issued=issued)
    assert await reservations.naming(loser) is None
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(blobs=1)
    assert await stand.names() == stand.auth.owned() == set(issued)


def an_event():
    return PendingEvent(id="ab" * 16, topic="voicefile.ingest.v1", key="ab" * 16, payload=b"")


async def test_what_is_on_its_way_stays_when_the_clock_jumps(tmp_path):
    clock, passed = Clock(), Clock()
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(now_s=clock), clock=clock, monotonic=passed
    ) as stand:
        await stand.learn()
        orphan = new_blob_name()
        await stand.blobs.put(orphan, one(b"left behind"))
        stand.auth.gate = asyncio.Event()
        under_way = asyncio.create_task(stand.upload())
        await until(lambda: stand.auth.asked == ["issue"])
        clock.now_s += 10 * DAY_S
        assert await stand.sweeper.sweep() == Swept()
        assert len(await stand.names()) == 4
        stand.auth.gate.set()
        assert (await under_way).status_code == 201
        assert await stand.names() == stand.auth.owned() | {orphan}
        passed.now_s += DAY_S + 1
        assert await stand.sweeper.sweep() == Swept(blobs=1)
        assert await stand.names() == stand.auth.owned()


async def test_what_is_in_hand_stays_even_if_a_day_has_passed(stand):
    stand.auth.gate = asyncio.Event()
    under_way = asyncio.create_task(stand.upload())
    await until(lambda: stand.auth.asked == ["issue"])
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept()
    stand.auth.gate.set()
    assert (await under_way).status_code == 201
    assert await stand.names() == stand.auth.owned()


async def test_a_renewal_puts_off_the_day_a_reservation_is_due(stand):
    key = new_key()
    stand.auth.unreachable = 3
    await stand.upload(key=key)
    reservations = stand.desk.marking.reservations
    stand.clock.now_s += DAY_S + 1
    await reservations.renew(await reservation(stand, key))
    assert await stand.sweeper.sweep() == Swept()
    assert len(await stand.names()) == 3


def test_a_steady_clock_follows_back_and_never_jumps_ahead():
    wall, passed = Clock(), Clock(now_s=5.0)
    steady = SteadyClock(now_s=wall, monotonic_s=passed)
    wall.now_s += DAY_S
    passed.now_s += 60
    assert (steady.now_s(), steady.jumped_s()) == (NOW_S + 60, DAY_S - 60)
    wall.now_s = NOW_S - 60
    assert (steady.now_s(), steady.jumped_s()) == (NOW_S - 60, 0)


async def test_a_canary_of_backups_drill_stays(stand):
    canary, orphan = new_blob_name(), new_blob_name()
    for name in (canary, orphan):
        await stand.blobs.put(name, one(b"noise"))
    await stand.store.insert(CANARIES, Document("a", TENANT, {"blob": str(canary)}))
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(blobs=1)
    assert await stand.names() == {canary}
