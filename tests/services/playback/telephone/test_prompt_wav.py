"""A prompt's file is one that a telephone plays, and knows what it says."""

import io
import wave

import numpy as np
import pytest
from tests.services.playback.telephone.fake_speaker import tone, wav

from voicefile.playback.telephone.prompt_wav import NotForTelephone, mark_of, pcm_of, wav_of

PCM = bytes(range(200)) * 16
MARK = "0123456789abcdef" * 4


@pytest.mark.parametrize("mark", ["", MARK])
def test_a_file_holds_its_sound_and_its_mark(mark):
    file = wav_of(PCM, mark=mark)
    assert pcm_of(file) == PCM
    assert mark_of(file) == (mark or None)
    assert len(file) == int.from_bytes(file[4:8], "little") + 8


@pytest.mark.parametrize("mark", ["", MARK])
def test_anybody_can_read_it(mark):
    with wave.open(io.BytesIO(wav_of(PCM, mark=mark))) as opened:
        form = (opened.getframerate(), opened.getnchannels(), opened.getsampwidth())
        assert form == (8_000, 1, 2)
        assert opened.readframes(opened.getnframes()) == PCM


def test_the_mark_of_a_cut_file_is_still_read():
    assert mark_of(wav_of(PCM, mark=MARK)[:150]) == MARK


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no WAV"),
        (b"RIFF", "no WAV"),
        (b"nothing of that kind" * 10, "no WAV"),
        (wav_of(PCM)[:-2], "cut off"),
        (wav_of(PCM)[:-1], "cut off"),
        (wav_of(PCM)[:40], "no WAV"),
        (wav(tone(400, rate_hz=16_000), rate_hz=16_000), "16000 Hz"),
        (wav(np.zeros(8_000), rate_hz=8_000, channels=2), "2 channels"),
        (wav(np.zeros(8_000), rate_hz=8_000, sample_bytes=4), "32 bit"),
        (wav_of(bytes(1_598)), "99 ms"),
        (wav_of(bytes(15_001 * 16)), "15001 ms"),
    ],
)
def test_what_no_telephone_plays_is_refused_with_the_reason(file, why):
    with pytest.raises(NotForTelephone, match=why):
        pcm_of(file)


def test_what_an_editor_of_sound_adds_is_no_harm():
    file = wav_of(PCM)
    note = b"LIST\x0c\0\0\0INFOISFT\0\0\0\0"
    size = (len(file) + len(note) - 8).to_bytes(4, "little")
    edited = file[:4] + size + file[8:36] + note + file[36:]
    assert pcm_of(edited) == PCM
    assert mark_of(edited) is None
