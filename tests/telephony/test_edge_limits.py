"""What edges can't bear is spared them: a megabyte of documents, chunks away for a moment, calls
that were ended without them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from tests.services.playback.telephone.pretended import prompts
from tests.telephony.call import End
from tests.telephony.exchange import an_exchange, let_in, reached
from tests.telephony.sounds import samples

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobStoreUnavailable
from voicefile.playback.telephone.call_state import WRITTEN_MAX
from voicefile.playback.telephone.calls import CALLS, call_object
from voicefile.playback.telephone.phrases import Text

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
pytestmark = pytest.mark.timeout(300 if LONG else 60)
NEARLY = 2_000
SECONDS = 25


@dataclass
class Wavering(MemoryBlobStore):
    """A blob store that is away at times."""

    away: bool = False

    def __post_init__(self):
        super().__init__()

    async def read(self, name, start, stop):
        if self.away:
            raise BlobStoreUnavailable
        return await super().read(name, start, stop)

    async def stream(self, name, start, stop):
        if self.away:
            raise BlobStoreUnavailable
        async for piece in super().stream(name, start, stop):
            yield piece


@dataclass
class Listener:
    """Somebody who was let in, and hears a recording."""

    exchange: object
    call: object
    recording: str

    @property
    def heard(self):
        return self.exchange.sound[self.recording]


@asynccontextmanager
async def listening(directory) -> AsyncIterator[Listener]:
    async with an_exchange(directory) as exchange:
        exchange.blobs = Wavering()
        exchange.restart()
        letter = await exchange.letter(seconds=SECONDS)
        async with exchange.client() as client, exchange.call(client) as call:
            await let_in(call, letter)
            await reached(call, lambda: exchange.served != [])
            yield Listener(exchange, call, letter.recordings[0])


def words(*keys):
    return samples(prompts().say([Text(key) for key in keys], "de"))


# ---- a megabyte ----


@pytest.mark.parametrize("written", [0] if LONG else [WRITTEN_MAX - NEARLY])
async def test_a_call_ends_before_its_edge_is_told_too_much(tmp_path, written):
    async with listening(tmp_path) as listener:
        call, store = listener.call, listener.exchange.store
        standing = await store.get(CALLS, call_object(call.session_id))
        counted = standing.body["call"]["written"]
        assert counted == sum(map(len, call.documents))
        body = {**standing.body, "call": {**standing.body["call"], "written": counted + written}}
        await store.replace(CALLS, replace(standing, body=body))
        while call.ended is None:
            await call.press("2")
            await call.wait(1)
        assert (call.ended, call.apology, call.logged) == (End.SERVICE, None, [])
        assert WRITTEN_MAX < written + sum(map(len, call.documents)) < WRITTEN_MAX + 8_192
        assert call.pcm.endswith(words("session_over", "goodbye"))


# ---- silence ----


@pytest.mark.parametrize("swept", [False, True])
async def test_an_edge_that_was_silent_for_too_long_is_told_to_hang_up(tmp_path, swept):
    async with listening(tmp_path) as listener:
        exchange, call = listener.exchange, listener.call
        exchange.world.clock.s += exchange.settings.call_idle_s + 1
        if swept:
            await exchange.swept()
        answered = await exchange.deeds("CALL_ANSWERED")
        await call.press("5")
        await reached(call, lambda: call.ended is not None)
        assert (call.ended, call.apology) == (End.SERVICE, None)
        assert await exchange.deeds("CALL_ANSWERED") == answered


# ---- chunks ----


@pytest.mark.parametrize("seconds", [0.5, 4.5])
async def test_what_is_away_for_a_moment_is_heard_to_its_end(tmp_path, seconds):
    async with listening(tmp_path) as listener:
        await away(listener, seconds)
        await reached(listener.call, lambda: listener.heard in listener.call.pcm)
        assert listener.heard in listener.call.pcm


async def test_what_stays_away_is_apologised_for(tmp_path):
    async with listening(tmp_path) as listener:
        await away(listener, 10)
        await reached(listener.call, lambda: listener.call.ended is not None)
        assert (listener.call.ended, listener.call.apology) == (End.SERVICE, None)
        assert listener.heard not in listener.call.pcm
        assert listener.call.pcm.endswith(words("apology", "goodbye"))


async def test_a_key_in_the_moment_counts(tmp_path):
    async with listening(tmp_path) as listener:
        await away(listener, 0.5)
        await listener.call.press("#")
        await reached(listener.call, lambda: listener.call.ended is not None, within_s=3)
        assert listener.call.pcm.endswith(words("goodbye"))


async def away(listener, seconds):
    """From the next chunk on, for so long as its first try is followed by."""
    asked = len(listener.call.posts)
    listener.exchange.blobs.away = True
    await reached(listener.call, lambda: len(listener.call.posts) >= asked + 2)
    await listener.call.wait(seconds)
    listener.exchange.blobs.away = False
