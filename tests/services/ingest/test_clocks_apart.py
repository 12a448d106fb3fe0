"""Instances over one store whose clocks disagree, and a store that goes away for a while."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.services.ingest.stand import (
    METADATA,
    NOW_S,
    Clock,
    audio_part,
    body_of,
    metadata_part,
    new_key,
    speech,
    standing,
)
from tests.services.ingest.test_retries import StuckOnce, reservation

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.docstore.port import StoreUnavailable

LONG_AGO = {
    "recorded_at": "2026-01-15T09:30:00+01:00",
    "consent": {**METADATA["consent"], "obtained_at": "2026-01-15T09:29:00+01:00"},
}
"""No instance takes it for a time to come."""


@asynccontextmanager
async def another(tmp_path, stand, *, ahead_s, **settings):
    """A second instance over the same store, whose clock is ahead by so much."""
    async with standing(
        tmp_path / "own.db",
        blobs=stand.blobs,
        auth=stand.auth,
        clock=Clock(NOW_S + ahead_s),
        wrapped=lambda own: stand.store,
        **settings,
    ) as other:
        yield other


@pytest.mark.parametrize("ahead_s", [-9, 9])
async def test_clocks_apart_by_seconds_take_no_work_away(tmp_path, ahead_s):
    decoders = StuckOnce()
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore(), decoders=decoders) as stand:
        await stand.learn()
        key, audio = new_key(), speech()
        async with another(tmp_path, stand, ahead_s=ahead_s) as other:
            first = asyncio.create_task(stand.upload(audio, key=key))
            await decoders.stuck.wait()
            second = asyncio.create_task(other.upload(audio, key=key))
            await asyncio.sleep(0.2)
            assert not second.done()
            decoders.go_on.set()
            answers = [await first, await second]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert stand.auth.asked.count("issue") == 1


@pytest.mark.parametrize("ahead_s", [-86_400 * 3, -3_600, 3_600, 86_400 * 3])
async def test_clocks_apart_by_hours_still_make_one_recording(tmp_path, ahead_s):
    quick = {"lease_s": 0.6, "lease_renew_s": 0.2}
    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore(), **quick) as stand:
        await stand.learn()
        key, audio = new_key(), speech(0.2)
        async with another(tmp_path, stand, ahead_s=ahead_s, **quick) as other:
            answers = await asyncio.gather(
                *(
                    each.upload(audio, key=key, **LONG_AGO)
                    for each in (stand, other)
                    for _ in range(10)
                )
            )
            # Who lost its work to a clock is told to ask again, and gets the answer of the rest.
            lost = [a for a in answers if a.status_code == 503]
            late = [await other.upload(audio, key=key, **LONG_AGO) for _ in lost]
            told = {a.content for a in (*answers, *late) if a.status_code != 503}
        assert {a.status_code for a in answers} <= {201, 503}
        assert len(told) == 1
        assert len(stand.auth.issued) == 1
        assert await stand.names() == stand.auth.owned()


async def test_who_died_with_its_clock_ahead_keeps_nobody_waiting(tmp_path):
    quick = {"lease_s": 0.5, "lease_renew_s": 0.1, "duplicate_wait_s": 20.0}
    decoders = StuckOnce()
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), decoders=decoders, **quick
    ) as stand:
        await stand.learn()
        key, audio = new_key(), speech()
        stand.clock.now_s += 86_400
        dying = asyncio.create_task(stand.upload(audio, key=key))
        await decoders.stuck.wait()
        left = await reservation(stand, key)
        async with another(tmp_path, stand, ahead_s=0, **quick) as other:
            # As after a kill: the lease stands for another day, and nobody renews it.
            assert left.lease_until_ms > other.clock.now_s * 1000 + 86_000_000
            answer = await other.upload(audio, key=key)
            assert answer.status_code == 201, answer.text
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)


class Going:
    """A store that can be away."""

    def __init__(self, store):
        self.store, self.away, self.refused = store, False, 0

    def __getattr__(self, name):
        operation = getattr(self.store, name)
        if name not in {"get", "insert", "insert_many", "replace", "delete", "find"}:
            return operation

        async def tried(*args, **kwargs):
            if self.away:
                self.refused += 1
                raise StoreUnavailable
            return await operation(*args, **kwargs)

        return tried


@pytest.mark.parametrize(("away_s", "status"), [(9, 201), (20, 503)])
async def test_an_upload_outlives_an_outage_shorter_than_its_lease(tmp_path, away_s, status):
    going = []

    def wrapped(store):
        going.append(Going(store))
        return going[0]

    async with standing(tmp_path / "i.db", blobs=MemoryBlobStore(), wrapped=wrapped) as stand:
        await stand.learn()
        (store,) = going
        key = new_key()
        body = body_of(metadata_part(METADATA), audio_part(speech(3)))

        async def flow():
            yield body[:20_000]
            store.away = True
            for at in range(20_000, 20_000 + away_s * 1_000, 1_000):
                yield body[at : at + 1_000]
                stand.clock.now_s += 1
                await asyncio.sleep(0)
            store.away = False
            yield body[20_000 + away_s * 1_000 :]

        answer = await stand.post(flow(), key=key)
        assert answer.status_code == status
        assert 0 < store.refused <= away_s + 2
        if status != 201:
            assert (await stand.upload(speech(3), key=key)).status_code == 201
