"""Long recordings decode within their limits, and too long ones are not begun."""

import numpy as np
import pytest
from tests.corpus.containers import chunk, fmt, riff
from tests.corpus.make_long import encode, make_long
from tests.services.ingest.media.hearing import hear
from tests.services.ingest.media.processes import children_of, peak_memory_mib, zygotes

from voicefile.ingest.media.decoder import DecodeLimits
from voicefile.ingest.media.errors import AudioTooLong, DecodeLimitExceeded, Reason

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEN_MINUTES = 600
TOLERANCE_MS = 150


@pytest.mark.parametrize("form", ["wav", "alaw", "mp3", "opus", "flac", "m4a"])
async def test_ten_minutes_decode_in_every_form(decoders, form):
    rate = 48_000 if form == "opus" else 8_000 if form in {"wav", "alaw"} else 16_000
    heard = await hear(decoders, make_long(form, TEN_MINUTES, rate=rate))
    assert abs(heard.decoded.duration_ms - TEN_MINUTES * 1_000) <= TOLERANCE_MS
    assert abs(heard.pcm.size - TEN_MINUTES * 8_000) < 1_200
    assert len(heard.peaks) == -(-heard.pcm.size // 400)


async def test_an_hour_of_mp3_decodes_within_its_limits(decoders):
    heard = await hear(decoders, make_long("mp3", 3_600, rate=44_100))
    assert abs(heard.decoded.duration_ms - 3_600_000) <= TOLERANCE_MS
    assert heard.decoded.findings == ()


async def test_two_hours_need_no_more_memory_than_a_decoder_may_have(decoders):
    law = np.resize(np.frombuffer(make_long("alaw", 10)[-80_000:], np.uint8), 7_200 * 8_000)
    body = riff(fmt(tag=6, bits=8), chunk(b"data", law.tobytes()))
    peaks_mib = []

    async def read_plain(start, stop):
        return body[start:stop]

    async def telephone(piece):
        if not peaks_mib:
            ours = (decoder for zygote in zygotes() for decoder in children_of(zygote))
            peaks_mib.extend(peak_memory_mib(pid) for pid in ours)

    decoded = await decoders.decode(
        read_plain, len(body), telephone=telephone, limits=DecodeLimits()
    )
    assert decoded.duration_ms == 7_200_000
    assert 100 < max(peaks_mib) <= 256


async def test_one_second_more_is_refused_before_it_is_decoded(decoders):
    body = riff(fmt(tag=6, bits=8), chunk(b"data", bytes(7_201 * 8_000)))
    with pytest.raises(AudioTooLong):
        await hear(decoders, body)


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "flac", "m4a"])
async def test_the_longest_duration_is_a_setting(decoders, form):
    rate = 48_000 if form == "opus" else 16_000
    body = make_long(form, 5, rate=rate)
    assert (await hear(decoders, body, duration_max_s=6)).decoded.findings == ()
    with pytest.raises(AudioTooLong):
        await hear(decoders, body, duration_max_s=4)


async def test_a_decoder_without_memory_says_so(decoders):
    law = bytes(range(256)) * (3_600 * 8_000 // 256)
    body = riff(fmt(tag=6, bits=8), chunk(b"data", law))
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await hear(decoders, body, memory_max_mib=70)
    assert refusal.value.reason is Reason.MEMORY


async def test_silence_may_grow_to_a_few_minutes_and_no_more(decoders):
    short = encode("flac", np.zeros(240 * 8_000, np.int16), rate=8_000)
    assert "silent" in (await hear(decoders, short)).decoded.findings
    long = encode("flac", np.zeros(1_800 * 8_000, np.int16), rate=8_000)
    with pytest.raises(DecodeLimitExceeded) as refusal:
        await hear(decoders, long)
    assert refusal.value.reason is Reason.RATIO
