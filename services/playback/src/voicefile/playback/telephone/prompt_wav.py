"""The files that hold prompts: WAV as a telephone plays it, with a mark of what is spoken.

    RIFF · fmt: 8 kHz, mono, 16 bit, linear · LIST INFO ICMT: the mark · data

The mark stands in front of the sound and in the same file, so the two can't disagree, whenever
the making was interrupted. A file without one was made by somebody else.
"""

import io
import re
import struct
import wave
from typing import Final

RATE_HZ: Final = 8_000
SAMPLE_BYTES: Final = 2
BYTES_PER_MS: Final = RATE_HZ * SAMPLE_BYTES // 1_000
FRAGMENT_MS_MIN: Final = 100
FRAGMENT_MS_MAX: Final = 15_000
"""Nobody can speak in between while a prompt is played; longer ones have to be two."""
FILE_BYTES_MAX: Final = FRAGMENT_MS_MAX * BYTES_PER_MS + 65_536
"""The sound, and what editors of sound put beside it."""
_MARK: Final = re.compile(rb"LIST....INFOICMT....voicefile ([0-9a-f]{64})\0\0", re.DOTALL)
_MARK_WITHIN_BYTES: Final = 256


class NotForTelephone(Exception):
    """These bytes are no WAV that can be joined with others and played; says why not."""


def wav_of(pcm: bytes, *, mark: str = "") -> bytes:
    """A whole file, with true sizes."""
    return _head(len(pcm), mark) + pcm


def header(pcm_bytes: int) -> bytes:
    """What stands before so many bytes of sound in a file without a mark."""
    return _head(pcm_bytes, "")


def _head(pcm_bytes: int, mark: str) -> bytes:
    rates = (RATE_HZ, RATE_HZ * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, *rates))
    # An even number of bytes with its final nought, so nothing has to be padded.
    said = f"voicefile {mark}\0\0".encode("ascii")
    note = _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", said)) if mark else b""
    rest = b"WAVE" + form + note + struct.pack("<4sI", b"data", pcm_bytes)
    return struct.pack("<4sI", b"RIFF", len(rest) + pcm_bytes) + rest


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


def mark_of(file: bytes) -> str | None:
    """The mark, also of a file that was cut off; None if somebody else made it."""
    found = _MARK.search(file[:_MARK_WITHIN_BYTES])
    return found.group(1).decode("ascii") if found else None


def pcm_of(file: bytes) -> bytes:
    """The sound. Raises NotForTelephone."""
    try:
        with wave.open(io.BytesIO(file)) as opened:
            form = (opened.getframerate(), opened.getnchannels(), opened.getsampwidth())
            count = opened.getnframes()
            pcm = opened.readframes(count) if form == (RATE_HZ, 1, SAMPLE_BYTES) else b""
    except (wave.Error, EOFError) as error:
        raise NotForTelephone(f"it is no WAV file: {error or 'it ends too soon'}") from None
    if form != (RATE_HZ, 1, SAMPLE_BYTES):
        said = f"{form[0]} Hz, {form[1]} channels, {8 * form[2]} bit"
        raise NotForTelephone(f"it has {said}; 8000 Hz, 1 channel, 16 bit are needed")
    if len(pcm) != count * SAMPLE_BYTES:
        raise NotForTelephone("it is cut off")
    if not FRAGMENT_MS_MIN <= len(pcm) // BYTES_PER_MS <= FRAGMENT_MS_MAX:
        raise NotForTelephone(f"it lasts {len(pcm) // BYTES_PER_MS} ms, not 100 to 15000")
    return pcm
