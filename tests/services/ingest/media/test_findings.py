"""What is wrong with a recording that decodes is found, and not found where it is not."""

import numpy as np
import pytest
from tests.corpus.containers import chunk, fmt, riff
from tests.corpus.make_long import encode, looped_speech
from tests.services.ingest.media.hearing import hear

from voicefile.ingest.media.findings import QUARANTINE, Finding

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE = 8_000


def noise(seconds: float, dbfs: float) -> np.ndarray:
    sound = np.random.default_rng(1).standard_normal(round(seconds * RATE))
    return np.rint(sound * 32_768 * 10 ** (dbfs / 20)).clip(-32_768, 32_767).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.int16)


async def findings(decoders, pcm: np.ndarray, form: str = "wav") -> set[str]:
    return set((await hear(decoders, encode(form, pcm, rate=RATE))).decoded.findings)


@pytest.mark.parametrize("form", ["wav", "alaw", "mulaw", "flac", "mp3", "m4a", "opus"])
async def test_digital_silence_is_silent_in_every_form(decoders, form):
    assert await findings(decoders, silence(30), form) == {Finding.SILENT}


async def test_a_line_that_nobody_speaks_on_is_silent(decoders):
    assert await findings(decoders, noise(10, -66)) == {Finding.SILENT}


async def test_a_quiet_voice_is_no_silence(decoders):
    assert await findings(decoders, noise(10, -54)) == set()


async def test_one_word_in_a_minute_is_mostly_silent(decoders):
    pcm = np.concatenate((silence(30), looped_speech(2, RATE), silence(28)))
    assert await findings(decoders, pcm) == {Finding.MOSTLY_SILENT}


async def test_a_conversation_with_long_pauses_is_not(decoders):
    pcm = np.concatenate([silence(8), looped_speech(2, RATE)] * 6)
    assert await findings(decoders, pcm) == set()


async def test_cut_off_peaks_are_clipped(decoders):
    loud = (looped_speech(10, RATE).astype(int) * 20).clip(-32_768, 32_767).astype(np.int16)
    assert await findings(decoders, loud) == {Finding.CLIPPED}


@pytest.mark.parametrize("form", ["alaw", "mulaw", "flac"])
async def test_clipping_is_found_wherever_the_form_keeps_it(decoders, form):
    loud = (looped_speech(10, RATE).astype(int) * 40).clip(-32_768, 32_767).astype(np.int16)
    assert Finding.CLIPPED in await findings(decoders, loud, form)


async def test_single_samples_at_full_scale_are_not(decoders):
    pcm = noise(10, -30)
    pcm[::20] = 32_767
    assert await findings(decoders, pcm) == set()


async def test_clipping_on_one_side_of_a_call_is_found(decoders):
    loud = (looped_speech(10, RATE).astype(int) * 40).clip(-32_768, 32_767).astype("<i2")
    sides = np.stack((loud, np.zeros_like(loud)), axis=1)
    body = riff(fmt(channels=2), chunk(b"data", sides.tobytes()))
    assert Finding.CLIPPED in (await hear(decoders, body)).decoded.findings


async def test_a_recording_of_half_a_second_is_too_short(decoders):
    assert await findings(decoders, looped_speech(0.5, RATE)) == {Finding.TOO_SHORT}


async def test_one_sample_is_a_recording(decoders):
    body = riff(fmt(), chunk(b"data", b"\x00\x40"))
    heard = await hear(decoders, body)
    assert heard.decoded.findings == (Finding.TOO_SHORT,)
    assert heard.peaks == [64]


async def test_shortness_alone_is_no_reason_for_quarantine():
    assert Finding.TOO_SHORT not in QUARANTINE
    assert set(Finding) - {Finding.TOO_SHORT} == QUARANTINE


async def test_tags_are_accepted_and_do_not_reach_the_telephone(decoders):
    name = b"Erika Mustermann, 0301234567"
    speech = looped_speech(2, RATE).astype("<i2").tobytes()
    body = riff(
        chunk(b"bext", name.ljust(602, b"\0")),
        fmt(),
        chunk(b"LIST", b"INFO" + chunk(b"IART", name)),
        chunk(b"data", speech),
        chunk(b"JUNK", bytes(28)),
    )
    heard = await hear(decoders, body)
    assert heard.telephone[44:] == speech
