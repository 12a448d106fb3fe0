"""Every accepted format comes out bit for bit, and as a telephone hears it, from any byte on."""

import hashlib
import os
import random
from io import BytesIO

import av
import numpy as np
import pytest
import pytest_asyncio
from tests.corpus.make_long import make_long
from tests.corpus.spoken_files import spoken_files
from tests.stand import stand

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHUNK = 65_536
WAV_HEADER = 44
LONG_S = 3_600 if os.environ.get("VOICEFILE_LONG") == "1" else 600
RANDOM_RANGES = 12
DURATION_OFF_MS_MAX = 65
"""Coded frames are of fixed length, so the last one is filled up."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def company(tmp_path_factory):
    async with stand(tmp_path_factory.mktemp("formats"), companies=1) as vault:
        yield vault.companies[0]


class Listener:
    """A customer who has just signed in."""

    def __init__(self, client, session, filed):
        self._client = client
        self._session = session
        self._path = f"/playback/v1/recordings/{filed['recording_id']}"

    async def get(self, part="audio", *, wanted=None):
        headers = self._session | ({"Range": wanted} if wanted else {})
        return await self._client.get(f"{self._path}/{part}", headers=headers)


async def filed_and_heard(company, audio, **changes):
    filed = (await company.upload(audio, **changes)).raise_for_status().json()
    session = await company.session(filed["access_id"], filed["pin"])
    return filed, Listener(company.client, session, filed)


@pytest.mark.parametrize("file", spoken_files(), ids=lambda file: file.name)
async def test_what_goes_in_comes_out_bit_for_bit_and_for_the_telephone(company, file):
    audio = file.read()
    filed, listener = await filed_and_heard(company, audio)
    assert filed["state"] == "playable"
    assert abs(filed["duration_ms"] - file.duration_ms) <= DURATION_OFF_MS_MAX
    heard = await listener.get()
    assert heard.headers["content-type"] == file.media_type
    assert hashlib.sha256(heard.content).hexdigest() == file.sha256 == filed["sha256"]
    telephone = (await listener.get("audio?rendition=telephone")).content
    assert_a_telephone_takes_it(telephone, file.duration_ms)
    peaks = (await listener.get("peaks")).json()
    assert len(peaks["peaks"]) == pytest.approx(file.duration_ms / 50, abs=2)
    assert max(peaks["peaks"]) > 10


def assert_a_telephone_takes_it(wav, duration_ms):
    """A WAV of 8 kHz, 16 bit, mono, whose header tells its true size; speech, not silence."""
    assert (wav[:4], wav[8:16]) == (b"RIFF", b"WAVEfmt ")
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8
    assert int.from_bytes(wav[40:44], "little") == len(wav) - WAV_HEADER
    samples = np.frombuffer(wav[WAV_HEADER:], "<i2")
    assert abs(samples.size / 8 - duration_ms) <= DURATION_OFF_MS_MAX
    assert np.abs(samples.astype(int)).max() > 2_000


async def test_any_range_of_it_is_the_same_bytes(company):
    audio = make_long("wav", 40)
    _, listener = await filed_and_heard(company, audio)
    total = len(audio)
    telephone = (await listener.get("audio?rendition=telephone")).content
    for part, whole in (("audio", audio), ("audio?rendition=telephone", telephone)):
        for first, last in ranges(len(whole)):
            answer = await listener.get(part, wanted=f"bytes={first}-{last}")
            assert answer.status_code == 206
            assert answer.content == whole[first : last + 1], (first, last)
            end = min(last, len(whole) - 1)
            assert answer.headers["content-range"] == f"bytes {first}-{end}/{len(whole)}"
    for suffix in (1, CHUNK, total - 1):
        assert (await listener.get(wanted=f"bytes=-{suffix}")).content == audio[-suffix:]
    assert (await listener.get(wanted=f"bytes={total}-")).status_code == 416
    assert (await listener.get(wanted=f"bytes={total - 1}-")).content == audio[-1:]


def ranges(total):
    """Around every boundary of the sealed chunks, and anywhere."""
    borders = range(CHUNK, total, CHUNK)
    yield from ((at + by, at + by + 1) for at in borders for by in (-2, -1, 0))
    yield from ((at - CHUNK, at - 1) for at in borders)
    yield (0, total + 1_000)
    drawn = random.Random(7)
    for _ in range(RANDOM_RANGES):
        first, last = sorted(drawn.sample(range(total), 2))
        yield first, last


@pytest.mark.parametrize("form", ["opus", "m4a"])
async def test_a_long_recording_is_taken_and_sought_in(company, form):
    audio = make_long(form, LONG_S, rate=48_000 if form == "opus" else 16_000)
    filed, listener = await filed_and_heard(company, audio)
    assert filed["duration_ms"] == pytest.approx(LONG_S * 1_000, rel=0.001)
    assert (await listener.get()).content == audio
    whole = LONG_S * 16_000 + WAV_HEADER
    middle = whole // 2 // 2 * 2
    part = await listener.get("audio?rendition=telephone", wanted=f"bytes={middle}-{middle + 159}")
    assert part.status_code == 206
    assert len(part.content) == 160
    size = int(part.headers["content-range"].rpartition("/")[2])
    assert size == pytest.approx(whole, rel=0.001)


async def test_a_browser_can_decode_what_it_gets(company):
    """Not only the same bytes: what playback says they are, they are."""
    for file in spoken_files()[::5]:
        _, listener = await filed_and_heard(company, file.read())
        heard = await listener.get()
        with av.open(BytesIO(heard.content)) as container:
            assert container.streams.audio[0].codec_context.name.startswith(file.codec)
