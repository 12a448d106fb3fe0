"""Speech becomes telephone sound: the right pitch, no echoes of what is too high, quiet edges."""

import numpy as np
import pytest
from tests.services.playback.telephone.fake_speaker import tone, wav

from voicefile.playback.telephone.prompt_wav import wav_of
from voicefile.playback.telephone.speak import NotSpoken
from voicefile.playback.telephone.telephone_sound import for_telephone, resampled

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000)


def samples(pcm):
    return np.frombuffer(pcm, "<i2") / 32_767


def spectrum(sound, hz):
    """How loud that one pitch is."""
    turning = np.exp(-2j * np.pi * hz * np.arange(len(sound)) / 8_000)
    return 2 * abs(np.mean(sound * turning))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("hz", [300, 1_000, 2_500, 3_300])
def test_what_a_telephone_carries_stays_as_it_is(rate_hz, hz):
    made = resampled(tone(hz, ms=1_000, rate_hz=rate_hz).astype(np.float32), rate_hz)
    assert len(made) == 8_000
    at = np.arange(8_000) / 8_000
    assert np.abs(made - 0.5 * np.sin(2 * np.pi * hz * at))[200:-200].max() < 0.005


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("hz", [4_500, 5_000, 6_500, 7_900])
def test_what_is_too_high_for_it_leaves_no_echo(rate_hz, hz):
    made = resampled(tone(hz, ms=1_000, rate_hz=rate_hz).astype(np.float32), rate_hz)
    assert np.abs(made)[200:-200].max() < 0.5 / 1_000


def test_silence_around_speech_is_cut_away():
    around = np.zeros(22_050)
    made = for_telephone(wav(np.concatenate([around, tone(800, ms=500), around])))
    assert 500 <= len(made) // 16 <= 545


def test_it_starts_and_ends_at_nought():
    sound = samples(for_telephone(wav(tone(1_000, ms=500))))
    assert sound[0] == 0
    assert sound[-1] == 0
    steps = np.abs(np.diff(np.concatenate([[0.0] * 20, sound, [0.0] * 20])))
    # The tone itself takes steps of 0.4; where it is joined with silence, hardly any.
    assert steps[:30].max() < 0.15
    assert steps[-30:].max() < 0.15


def test_too_loud_is_made_softer_and_not_clipped():
    sound = samples(for_telephone(wav(np.clip(tone(800, level=3), -1, 1))))
    assert 0.8 < np.abs(sound).max() <= 0.9 + 1e-4


def test_a_pitch_is_not_changed():
    sound = samples(for_telephone(wav(tone(700, ms=2_000))))[1_000:9_000]
    assert spectrum(sound, 700) > 0.49
    assert spectrum(sound, 710) < 0.01


def test_a_header_that_claims_hours_is_not_believed():
    """A program that writes into a pipe does not know yet how long it will speak."""
    piped = bytearray(wav(tone(500)))
    piped[4:8], piped[40:44] = b"\x24\xf0\xff\x7f", b"\x00\xf0\xff\x7f"
    assert for_telephone(bytes(piped)) == for_telephone(wav(tone(500)))


@pytest.mark.parametrize(
    ("speech", "why"),
    [
        (b"", "no WAV"),
        (b"RIFF....WAVE", "no WAV"),
        (wav([]), "nothing can be heard"),
        (wav(np.zeros(22_050)), "nothing can be heard"),
        (wav(tone(500, level=0.005)), "nothing can be heard"),
        (wav(tone(500, ms=30)), "ms"),
        (wav(tone(500, ms=15_100)), "ms"),
        (wav(np.zeros(8_000), channels=2), "one channel"),
        (wav(tone(500), rate_hz=4_000), "8 kHz at least"),
    ],
)
def test_what_would_not_be_understood_is_refused(speech, why):
    with pytest.raises(NotSpoken, match=why):
        for_telephone(speech)


def test_what_is_made_can_be_made_again_from_itself():
    pcm = for_telephone(wav(tone(500)))
    again = for_telephone(wav_of(pcm))
    assert abs(len(again) - len(pcm)) <= 16 * 50
