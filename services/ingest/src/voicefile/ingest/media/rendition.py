"""The telephone form of a recording, its peaks, and what can be heard to be wrong with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicefile.ingest.media.decoder_protocol import (
    BYTES_PER_SAMPLE,
    PEAK_MAX,
    PIECE_BYTES,
    SAMPLES_PER_PEAK,
    TELEPHONE_RATE_HZ,
)
from voicefile.ingest.media.findings import (
    CLIPPED_RUN,
    CLIPPED_SHARE,
    FULL_SCALE,
    MOSTLY_SILENT_SHARE,
    SHORT_S,
    SILENCE_DBFS,
    Finding,
)

Samples = NDArray[np.float32]
Pcm = NDArray[np.int16]

INT16_FULL_SCALE = 32_768
SILENT_SQUARES = SAMPLES_PER_PEAK * (INT16_FULL_SCALE * 10 ** (SILENCE_DBFS / 20)) ** 2
"""Sum of the squared samples of one frame of 50 ms at the border of silence."""


class ClippingMeter:
    """Counts samples at full scale in runs, as they were before any resampling."""

    def __init__(self) -> None:
        self._samples = 0
        self._clipped = 0

    def hear(self, sound: Samples) -> None:
        """Takes channels x samples. A run across two blocks counts as two."""
        self._samples += sound.size
        if sound.max() < FULL_SCALE and sound.min() > -FULL_SCALE:
            return
        full = np.abs(sound) >= FULL_SCALE
        length = max(0, full.shape[1] - CLIPPED_RUN + 1)
        starts = np.ones((full.shape[0], length), bool)
        for offset in range(CLIPPED_RUN):
            starts &= full[:, offset : offset + length]
        in_run = np.zeros_like(full)
        for offset in range(CLIPPED_RUN):
            in_run[:, offset : offset + length] |= starts
        self._clipped += int(in_run.sum())

    @property
    def clipped(self) -> bool:
        return self._clipped > CLIPPED_SHARE * self._samples


class Telephone:
    """Collects 16-bit samples of 8 kHz mono, and measures them frame by frame."""

    def __init__(self) -> None:
        self.pieces: list[bytearray] = []
        """All of PIECE_BYTES but the last: many small ones would scatter over memory."""
        self.samples = 0
        self._peaks: list[bytes] = []
        self._rest: Pcm = np.zeros(0, np.int16)
        self._frames = 0
        self._silent_frames = 0

    @property
    def pcm_bytes(self) -> int:
        return self.samples * BYTES_PER_SAMPLE

    def hear(self, mono: Samples) -> None:
        """Takes mono samples of 8 kHz, full scale being 1."""
        scaled = np.rint(mono * np.float32(INT16_FULL_SCALE))
        pcm = scaled.clip(-INT16_FULL_SCALE, INT16_FULL_SCALE - 1).astype("<i2")
        self._keep(pcm.tobytes())
        self.samples += pcm.size
        joined = np.concatenate((self._rest, pcm))
        whole = joined.size - joined.size % SAMPLES_PER_PEAK
        self._measure(joined[:whole].reshape(-1, SAMPLES_PER_PEAK), SAMPLES_PER_PEAK)
        self._rest = joined[whole:]

    def _keep(self, pcm: bytes) -> None:
        while pcm:
            if not self.pieces or len(self.pieces[-1]) == PIECE_BYTES:
                self.pieces.append(bytearray())
            room = PIECE_BYTES - len(self.pieces[-1])
            self.pieces[-1] += pcm[:room]
            pcm = pcm[room:]

    def finish(self) -> None:
        """Measures the last frame, which may be shorter."""
        if self._rest.size:
            self._measure(self._rest.reshape(1, -1), self._rest.size)
            self._rest = self._rest[:0]

    def peaks(self) -> bytes:
        """One byte of 0..127 for each 50 ms begun."""
        return b"".join(self._peaks)

    def findings(self) -> list[Finding]:
        """What is wrong apart from clipping."""
        found = []
        if self._silent_frames == self._frames:
            found.append(Finding.SILENT)
        elif self._silent_frames > MOSTLY_SILENT_SHARE * self._frames:
            found.append(Finding.MOSTLY_SILENT)
        if self.samples < SHORT_S * TELEPHONE_RATE_HZ:
            found.append(Finding.TOO_SHORT)
        return found

    def _measure(self, frames: NDArray[Any], length: int) -> None:
        if not frames.size:
            return
        loudest = np.abs(frames.astype(np.int32)).max(axis=1)
        peaks = np.minimum(loudest * (PEAK_MAX + 1) // INT16_FULL_SCALE, PEAK_MAX)
        self._peaks.append(peaks.astype(np.uint8).tobytes())
        squares = np.square(frames, dtype=np.float32).sum(axis=1)
        border = SILENT_SQUARES * length / SAMPLES_PER_PEAK
        self._frames += len(frames)
        self._silent_frames += int((squares < border).sum())
