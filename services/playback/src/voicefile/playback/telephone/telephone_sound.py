"""Makes telephone sound of speech when prompts are built: 8 kHz, trimmed, with quiet edges."""

import io
import math
import wave
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicefile.playback.telephone.prompt_wav import (
    FRAGMENT_MS_MAX,
    FRAGMENT_MS_MIN,
    RATE_HZ,
    SAMPLE_BYTES,
)
from voicefile.playback.telephone.speak import NotSpoken

Samples = NDArray[np.float32]

PASS_HZ: Final = 3_700.0
"""Where the filter is half way down; what a telephone carries ends at 3400 Hz."""
TRANSITION_HZ: Final = 800.0
KAISER_BETA: Final = 6.0
"""60 dB of damping: below the noise of a telephone's own coding."""
QUIET: Final = 0.004
"""-48 dB: what is softer at either end is not speech."""
MARGINS_MS: Final = (10, 30)
"""Kept before and after it: the breath of a consonant is softer than that."""
FADE_MS: Final = 5
FULL_SCALE: Final = 32_767
PEAK_MAX: Final = 0.9
LOUDNESS_MIN: Final = 0.01
"""Root mean square; anything less, -40 dB, can't be understood on a telephone."""
SECONDS_MAX: Final = 120


def for_telephone(speech: bytes) -> bytes:
    """Linear samples of 16 bits at 8 kHz from a WAV of one channel. Raises NotSpoken."""
    sound = _trimmed(resampled(*_read(speech)))
    peak = float(np.abs(sound).max(initial=0.0))
    if peak > PEAK_MAX:
        sound *= np.float32(PEAK_MAX / peak)
    if math.sqrt(float(np.mean(np.square(sound)) if len(sound) else 0.0)) < LOUDNESS_MIN:
        raise NotSpoken("nothing can be heard")
    ms = len(sound) * 1_000 // RATE_HZ
    if not FRAGMENT_MS_MIN <= ms <= FRAGMENT_MS_MAX:
        raise NotSpoken(f"it lasts {ms} ms, not {FRAGMENT_MS_MIN} to {FRAGMENT_MS_MAX}")
    return np.rint(_faded(sound) * FULL_SCALE).astype("<i2").tobytes()


def _read(speech: bytes) -> tuple[Samples, int]:
    try:
        with wave.open(io.BytesIO(speech)) as opened:
            rate_hz, form = opened.getframerate(), (opened.getnchannels(), opened.getsampwidth())
            # Written into a pipe, a WAV claims to last for hours: what counts is what is there.
            pcm = opened.readframes(rate_hz * SECONDS_MAX)
    except (wave.Error, EOFError):
        raise NotSpoken("what was spoken is no WAV file") from None
    if form != (1, SAMPLE_BYTES) or rate_hz < RATE_HZ:
        raise NotSpoken("what was spoken has not one channel of 16 bits and 8 kHz at least")
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(FULL_SCALE + 1), rate_hz


def resampled(sound: Samples, rate_hz: int) -> Samples:
    """The same at 8 kHz: at each new instant, a weighted sum of the old samples around it."""
    if rate_hz == RATE_HZ:
        return sound
    common = math.gcd(rate_hz, RATE_HZ)
    up, down = RATE_HZ // common, rate_hz // common
    half = _half(rate_hz)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(sound, (half - 1, half + down)), 2 * half
    )
    made = np.zeros(len(sound) * up // down, np.float32)
    weights = _weights(rate_hz, up)
    # New instants lie at `up` different places between two old ones, in turns.
    for turn in range(min(up, len(made))):
        first, part = divmod(turn * down, up)
        wanted = made[turn::up]
        wanted[:] = windows[first::down][: len(wanted)] @ weights[part]
    return made


def _half(rate_hz: int) -> int:
    """Old samples to either side: Kaiser's formula for 60 dB."""
    return math.ceil(1.82 * rate_hz / TRANSITION_HZ)


@lru_cache(maxsize=4)
def _weights(rate_hz: int, up: int) -> Samples:
    """For each place between two old samples a windowed sinc, whose sum is one."""
    half = _half(rate_hz)
    away = np.arange(1 - half, half + 1)[None, :] - np.arange(up)[:, None] / up
    shape = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (away / half) ** 2, 0, None)))
    weights = np.sinc(away * 2 * PASS_HZ / rate_hz) * shape
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights, np.float32)


def _trimmed(sound: Samples) -> Samples:
    heard = np.flatnonzero(np.abs(sound) > QUIET)
    if not len(heard):
        return sound[:0]
    before, after = (ms * RATE_HZ // 1_000 for ms in MARGINS_MS)
    return sound[max(int(heard[0]) - before, 0) : int(heard[-1]) + 1 + after]


def _faded(sound: Samples) -> Samples:
    """It starts and ends at nought, so that no joint clicks."""
    length = FADE_MS * RATE_HZ // 1_000
    slope = np.linspace(0, 1, length, dtype=np.float32)
    sound = sound.copy()
    sound[:length] *= slope
    sound[-length:] *= slope[::-1]
    return sound
