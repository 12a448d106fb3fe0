"""The header that makes 16-bit mono samples a WAV file."""

import struct

HEADER_BYTES = 44


def wav_header(rate_hz: int, pcm_bytes: int) -> bytes:
    """44 bytes with true sizes."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        HEADER_BYTES - 8 + pcm_bytes,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate_hz,
        2 * rate_hz,
        2,
        16,
        b"data",
        pcm_bytes,
    )
