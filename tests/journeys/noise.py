"""A known block of noise as audio, and every form its samples could lie around in."""

import random
from collections.abc import Iterator

import numpy as np
from tests.corpus.containers import chunk, fmt, riff
from tests.corpus.make_long import encode

RATE = 8_000
AMPLITUDE = 9_000
WINDOW_BYTES = 24
STEP_BYTES = 997
DISTINCT_BYTES_MIN = 10


def noise(seconds: float, *, seed: int = 1) -> np.ndarray:
    """Samples nobody else has."""
    drawn = random.Random(seed)
    count = round(seconds * RATE)
    return np.array([drawn.randint(-AMPLITUDE, AMPLITUDE) for _ in range(count)], "<i2")


def wav_of(samples: np.ndarray) -> bytes:
    return riff(fmt(), chunk(b"data", samples.astype("<i2").tobytes()))


def forms(samples: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The samples as a decoder, a telephone or a tool might have written them down."""
    wide = samples.astype(np.int32)
    yield "pcm16-le", samples.astype("<i2").tobytes()
    yield "pcm16-be", samples.astype(">i2").tobytes()
    yield "pcm8", ((wide >> 8) + 128).astype(np.uint8).tobytes()
    yield "pcm24-le", (wide << 8).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    yield "pcm32-le", (wide << 16).astype("<i4").tobytes()
    yield "float32-le", (samples.astype("<f4") / 32_768).tobytes()
    for form in ("alaw", "mulaw"):
        coded = encode(form, samples, rate=RATE)
        yield form, coded[coded.index(b"data") + 8 :]


def windows(data: bytes) -> Iterator[bytes]:
    """Short pieces of it, some in each kilobyte; silence gives nobody away."""
    for start in range(0, len(data) - WINDOW_BYTES, STEP_BYTES):
        piece = data[start : start + WINDOW_BYTES]
        if len(set(piece)) >= DISTINCT_BYTES_MIN:
            yield piece
