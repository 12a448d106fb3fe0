"""A speaker for tests: a tone for each text, in no time, and a list of what was asked of it."""

import hashlib
import io
import wave
from dataclasses import dataclass, field

import numpy as np

RATE_HZ = 22_050
MS = 300


def wav(sound, *, rate_hz=RATE_HZ, channels=1, sample_bytes=2):
    """Any WAV file; `sound` is between -1 and 1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(channels)
        opened.setsampwidth(sample_bytes)
        opened.setframerate(rate_hz)
        scale = 2 ** (8 * sample_bytes - 1) - 1
        opened.writeframes((np.asarray(sound) * scale).astype(f"<i{sample_bytes}").tobytes())
    return file.getvalue()


def tone(hz, *, ms=MS, rate_hz=RATE_HZ, level=0.5):
    """A sine."""
    return level * np.sin(2 * np.pi * hz * np.arange(rate_hz * ms // 1000) / rate_hz)


@dataclass
class FakeSpeaker:
    """Speaks in the way that `voice` names; `fails_after` so many texts it dies."""

    voice: str = "fake"
    fails_after: int = 10_000
    asked: list[str] = field(default_factory=list)

    def recipe(self, text, language):
        return f"{self.voice} {language}"

    def speak(self, text, language):
        if len(self.asked) >= self.fails_after:
            raise KeyboardInterrupt
        self.asked.append(text)
        hz = 300 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:2]) % 2_000
        return wav(tone(hz))
