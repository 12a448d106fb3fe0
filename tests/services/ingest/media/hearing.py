"""Listens to what a decoder says about some bytes."""

import io
import json
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicefile.ingest.media.decoder import Decoded, DecodeLimits, Decoders


@dataclass(frozen=True)
class Heard:
    """The answer, and the rendition that came before it."""

    decoded: Decoded
    telephone: bytes

    @property
    def pcm(self) -> NDArray[np.int16]:
        """The rendition's samples; a WAV reader other than ours has to find them."""
        with wave.open(io.BytesIO(self.telephone)) as reader:
            assert reader.getparams()[:3] == (1, 2, 8_000)
            assert reader.getcomptype() == "NONE"
            frames = reader.readframes(reader.getnframes())
        assert len(self.telephone) == 44 + len(frames)
        return np.frombuffer(frames, "<i2")

    @property
    def peaks(self) -> list[int]:
        told = json.loads(self.decoded.peaks)
        assert (told["version"], told["peaks_per_second"]) == (1, 20)
        return told["peaks"]


async def hear(decoders: Decoders, body: bytes, **limits: int) -> Heard:
    """Decodes these bytes as an upload."""
    pieces: list[bytes] = []

    async def read_plain(start: int, stop: int) -> bytes:
        return body[start:stop]

    async def telephone(piece: bytes) -> None:
        pieces.append(piece)

    decoded = await decoders.decode(
        read_plain, len(body), telephone=telephone, limits=DecodeLimits(**limits)
    )
    return Heard(decoded, b"".join(pieces))


def envelope(pcm: NDArray[np.int16], frame: int = 160) -> NDArray[np.float64]:
    """Loudness every 20 ms."""
    whole = pcm[: pcm.size - pcm.size % frame].astype(np.float64)
    return np.sqrt(np.square(whole.reshape(-1, frame)).mean(axis=1))


def likeness(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Correlation of two recordings' loudness; 1 is the same."""
    length = min(one.size, other.size)
    first, second = envelope(one[:length]), envelope(other[:length])
    return float(np.corrcoef(first, second)[0, 1])
