"""Ingest is killed between every two steps of an upload; the retry gets one recording, and whole.

The child process is really gone (`os._exit`, SIGKILL): what it left on disk is all there is.
"""

import asyncio
import os
import random
import shutil
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.faults.fuse import KILLED, Fuse, FusedBlobs, FusedStore, FusedTransport
from tests.services.ingest.fake_auth import FakeAuth
from tests.services.ingest.stand import (
    METADATA,
    NOW_S,
    PARTNER,
    TENANT,
    Clock,
    audio_part,
    body_of,
    metadata_part,
    new_key,
    pieces,
    speech,
    standing,
)

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.chassis.inprocess import BASE_URL, in_process_client
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.secret import SecretText
from voicefile.ingest.reservations import reservation_id
from voicefile.ingest.store import RESERVATIONS

pytestmark = pytest.mark.faults

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
LEASE_S = 16
DAY_S = 86_401
# More than a chunk, so that a put has a middle; noise, so that every byte counts.
AUDIO = speech(9)
BODY = body_of(metadata_part(METADATA), audio_part(AUDIO))


@dataclass(frozen=True)
class Place:
    """One ingest's disk."""

    root: Path

    @asynccontextmanager
    async def ingest(self, clock, fuse=None):
        fuse = fuse or Fuse()
        auth = FakeAuth(self.root / "auth.json")
        inside = in_process_client({"/auth": auth.app()}, peer="ingest")
        blobs = FilesystemBlobStore(self.root / "blobs", now_s=clock)
        async with standing(
            self.root / "ingest.db",
            blobs=FusedBlobs(blobs, fuse),
            auth=auth,
            clock=clock,
            wrapped=lambda store: FusedStore(store, fuse),
            client=httpx.AsyncClient(
                transport=FusedTransport(inside._transport, fuse), base_url=BASE_URL
            ),
        ) as stand:
            yield stand


@pytest.fixture
def disk(tmp_path):
    """Files that outlive a process; in memory where there is such a place, as only it dies."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    root = memory / new_key()
    root.mkdir(mode=0o700)
    yield root
    shutil.rmtree(root)


def in_a_child(work):
    """Runs `work` in a process of its own; answers its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        asyncio.run(work())
    finally:
        os._exit(0)


async def prepared(place):
    async with place.ingest(Clock()) as stand:
        await stand.learn()


async def upload(place, key, fuse):
    async with place.ingest(Clock(), fuse) as stand:
        return await stand.post(pieces(BODY), key=key)


async def mended(place, key):
    """What a retry and a day later have to make of whatever was left."""
    async with place.ingest(Clock(NOW_S + LEASE_S)) as stand:
        first = await stand.post(pieces(BODY), key=key)
        again = await stand.post(pieces(BODY), key=key)
    assert first.status_code == again.status_code == 201, first.text
    assert first.content == again.content
    async with place.ingest(Clock(NOW_S + DAY_S)) as stand:
        await stand.sweeper.sweep()
        await check(stand, key, first.json())


async def forgotten(place):
    """What a day makes of it when nobody ever asks again: all of it, or nothing."""
    async with place.ingest(Clock(NOW_S + DAY_S)) as stand:
        await stand.sweeper.sweep()
        left = await stand.desk.marking.reservations._store.scan(RESERVATIONS)
        assert [document.body["marked"] for document in left] == [True] * len(stand.auth.issued)
        assert await stand.names() == stand.auth.owned()
        assert not any((place.root / "blobs" / "unfinished").glob("*"))
        assert len(await stand.stored_facts()) == len(stand.auth.issued)
        for recording in stand.auth.issued:
            assert await stand.heard(recording, "original") == AUDIO


async def check(stand, key, answer):
    recording = answer["recording_id"]
    assert list(stand.auth.issued) == [recording], "one recording"
    assert stand.auth.issued[recording]["answer"] == answer, "the ID and PIN of this one"
    assert await stand.heard(recording, "original") == AUDIO, "the sound of this one"
    assert await stand.heard(recording, "telephone") == AUDIO
    assert await stand.names() == stand.auth.owned(), "no orphan and no loss"
    reservation = await stand.desk.marking.reservations.find(
        reservation_id(PARTNER.id, SecretText(key)), tenant=TENANT
    )
    assert (reservation.marked, reservation.recording) == (True, recording)
    (fact,) = await stand.stored_facts()
    assert set(fact.blobs) == stand.auth.owned(), "the fact names what is kept"
    await check_deeds(stand)


async def check_deeds(stand):
    numbers = {}
    for deed in await stand.deeds():
        numbers.setdefault(deed.boot_id, []).append(deed.n)
    for counted in numbers.values():
        assert sorted(counted) == list(range(1, len(counted) + 1)), "no gap in any instance"
    assert len(await stand.deeds(Action.ACTION_RECORDING_STORED)) == 1


def steps_of_an_upload(disk):
    place, fuse = Place(disk / "counted"), Fuse()
    place.root.mkdir()
    asyncio.run(prepared(place))
    assert asyncio.run(upload(place, new_key(), fuse)).status_code == 201
    return fuse.calls


# Only ports write, so before a step the disk is as it was after the one before it.
@pytest.mark.parametrize("after", [False, True] if LONG else [True])
def test_killed_at_every_step_an_upload_is_one_recording(disk, after):
    steps = steps_of_an_upload(disk)
    assert {"store.insert reservations", "blobs.put", "blobs.put chunk"} <= set(steps)
    assert any(step.endswith("/issues") for step in steps)
    assert steps[-1] == "store.replace reservations"
    for at, step in enumerate(steps, start=1):
        place, key = Place(disk / f"step{at}"), new_key()
        place.root.mkdir()
        asyncio.run(prepared(place))
        pid = in_a_child(partial(upload, place, key, Fuse(at, after=after)))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == KILLED, step
        shutil.copytree(place.root, disk / f"forgotten{at}")
        asyncio.run(forgotten(Place(disk / f"forgotten{at}")))
        asyncio.run(mended(place, key))


def test_killed_in_a_retry_too_it_is_still_one_recording(disk):
    steps = len(steps_of_an_upload(disk))
    chance = random.Random(11)
    for turn in range(200 if LONG else 6):
        place, key = Place(disk / f"turn{turn}"), new_key()
        place.root.mkdir()
        asyncio.run(prepared(place))
        for _ in range(3):
            fuse = Fuse(chance.randrange(1, steps + 3), after=chance.random() < 0.5)
            os.waitpid(in_a_child(partial(retried, place, key, fuse)), 0)
        asyncio.run(mended(place, key))


async def retried(place, key, fuse):
    """Each time a lease later than the one before, as far as the disk can tell."""
    log = place.root / "tries"
    tries = len(log.read_bytes()) if log.exists() else 0
    log.write_bytes(b"." * (tries + 1))
    async with place.ingest(Clock(NOW_S - 3600 + tries * LEASE_S), fuse) as stand:
        await stand.post(pieces(BODY), key=key)


def test_killed_at_any_moment_nothing_acknowledged_is_lost(disk):
    chance = random.Random(7)
    for turn in range(100 if LONG else 5):
        place, key = Place(disk / f"kill{turn}"), new_key()
        place.root.mkdir()
        asyncio.run(prepared(place))
        acknowledged = place.root / "acknowledged"
        pid = in_a_child(partial(upload_and_tell, place, key, acknowledged))
        time.sleep(chance.uniform(0.0, 0.25))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        told = acknowledged.read_bytes() if acknowledged.exists() else None
        asyncio.run(mended(place, key))
        if told:
            issued = FakeAuth(place.root / "auth.json").issued
            assert list(issued) == [told.decode()]


async def upload_and_tell(place, key, acknowledged):
    answer = await upload(place, key, Fuse())
    aside = acknowledged.with_suffix(".new")
    aside.write_text(answer.json()["recording_id"])
    aside.replace(acknowledged)
