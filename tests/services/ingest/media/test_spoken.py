"""Every accepted form of a recording becomes the same telephone sound."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.containers import boxes, mp4
from tests.corpus.make_long import FORMS, encode
from tests.corpus.spoken_files import spoken, spoken_files
from tests.services.ingest.media.hearing import hear, likeness

import voicefile.cli

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILES = spoken_files()
TOLERANCE_MS = 60
LIKE = 0.98


def said() -> np.ndarray:
    return np.frombuffer(spoken("pcm16-8k.wav")[44:], "<i2")


def said_on_both_sides() -> np.ndarray:
    return said() // 2 + said()[::-1] // 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_a_spoken_file_is_what_the_manifest_says(decoders, file):
    body = file.read()
    assert hashlib.sha256(body).hexdigest() == file.sha256
    decoded = (await hear(decoders, body)).decoded
    assert abs(decoded.duration_ms - file.duration_ms) <= TOLERANCE_MS
    assert (decoded.media_type, decoded.codec) == (file.media_type, file.codec)
    assert (decoded.sample_rate_hz, decoded.channels) == (file.sample_rate_hz, file.channels)
    assert decoded.findings == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_the_telephone_rendition_sounds_like_the_original(decoders, file):
    heard = await hear(decoders, file.read())
    original = said_on_both_sides() if file.channels == 2 else said()
    assert len(heard.telephone) == heard.decoded.telephone_bytes
    assert abs(heard.pcm.size / 8 - file.duration_ms) <= TOLERANCE_MS
    assert likeness(heard.pcm, original) > LIKE


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_the_peaks_are_those_of_the_rendition(decoders, file):
    heard = await hear(decoders, file.read())
    pcm = np.abs(heard.pcm.astype(np.int32))
    frames = [pcm[start : start + 400] for start in range(0, pcm.size, 400)]
    assert heard.peaks == [min(127, int(frame.max()) * 128 // 32_768) for frame in frames]


async def test_telephone_sound_passes_through_untouched(decoders):
    body = spoken("pcm16-8k.wav")
    assert (await hear(decoders, body)).telephone == body


async def test_g711_becomes_the_numbers_of_its_table(decoders):
    law = np.arange(256, dtype=np.uint8)
    mantissa, segment = law & 0x0F ^ 0x05, law >> 4 & 7 ^ 5
    mantissa, segment = (law ^ 0x55) & 0x0F, (law ^ 0x55) >> 4 & 7
    value = np.where(
        segment == 0,
        (mantissa.astype(int) << 4) + 8,
        ((mantissa.astype(int) << 4) + 0x108) << np.maximum(segment.astype(int) - 1, 0),
    )
    expected = np.where((law ^ 0x55) & 0x80, value, -value)
    header = encode("alaw", np.zeros(8_000, np.int16), rate=8_000)[:-8_000]
    heard = await hear(decoders, header + np.resize(law, 8_000).tobytes())
    assert (heard.pcm[:256] == expected).all()


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
async def test_a_tone_keeps_its_pitch_and_its_loudness(decoders, rate):
    tone = np.sin(2 * np.pi * 1_000 * np.arange(2 * rate) / rate) * 10_000
    heard = await hear(decoders, encode("wav", tone.astype(np.int16), rate=rate))
    middle = heard.pcm[4_000:12_000]
    spectrum = np.abs(np.fft.rfft(middle.astype(float)))
    assert spectrum.argmax() == 1_000
    assert abs(np.abs(middle).max() - 10_000) < 200


async def test_what_the_telephone_can_not_carry_does_not_come_back_as_another_tone(decoders):
    rate = 48_000
    tone = np.sin(2 * np.pi * 6_500 * np.arange(2 * rate) / rate) * 10_000
    heard = await hear(decoders, encode("wav", tone.astype(np.int16), rate=rate))
    assert np.abs(heard.pcm[4_000:12_000]).max() < 100


@pytest.mark.parametrize("form", ["wav", "alaw", "mulaw", "mp3", "opus", "flac", "m4a"])
async def test_libav_writes_nothing_we_refuse(decoders, form):
    assert form in FORMS
    rate = 48_000 if form == "opus" else 16_000
    pcm = np.resize(said(), 3 * rate)
    heard = await hear(decoders, encode(form, pcm, rate=rate))
    assert abs(heard.decoded.duration_ms - 3_000) <= TOLERANCE_MS


async def test_the_sample_recording_is_playable(decoders):
    sample = Path(voicefile.cli.__path__[0]) / "sample" / "summary-de.wav"
    heard = await hear(decoders, sample.read_bytes())
    assert heard.decoded.findings == ()
    assert 10_000 < heard.decoded.duration_ms < 16_000
    assert sample.stat().st_size <= 250_000


async def test_an_m4a_whose_boxes_state_half_the_rate_is_read_by_its_sound(decoders):
    file = boxes(spoken("m4a-44k1.m4a"))
    track = (b"moov", b"trak", b"mdia")
    stsd = file.find(*track, b"minf", b"stbl", b"stsd")
    stsd.body = stsd.body[:40] + (22_050).to_bytes(2, "big") + stsd.body[42:]
    heard = await hear(decoders, mp4(file))
    assert heard.decoded.sample_rate_hz == 44_100
    assert abs(heard.decoded.duration_ms - 4_000) <= TOLERANCE_MS
