"""Recordings that tell where one is in them: each sample of A-law at random, by the name given.

What an edge plays of such a recording arrives bit by bit as it was, so that 20 ms of it are found
in one place of one recording only.
"""

import random
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tests.telephony.real.phone import ALAW, PACKET_SAMPLES, Packet

from voicefile.playback.telephone.prompt_wav import wav_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

RATE: Final = 8_000
LOUD: Final = 64
WAV_HEADER_BYTES: Final = 44
ALIKE: Final = 0.9
PAUSE_S: Final = 0.5
"""Packets that come later than that after the last one are heard after a break."""


@dataclass(frozen=True)
class Recording:
    """So many seconds of noise that nobody else's is."""

    name: str
    seconds: int

    @cached_property
    def alaw(self) -> bytes:
        """As a caller hears it."""
        return random.Random(self.name).randbytes(self.seconds * RATE)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {}

    def place(self, sound: bytes) -> int:
        """Where that is in it, in samples; -1 if nowhere."""
        if sound not in self._places:
            self._places[sound] = self.alaw.find(sound)
        return self._places[sound]

    @cached_property
    def wav(self) -> bytes:
        """As a partner uploads it."""
        return wav_of(audioop.alaw2lin(self.alaw, 2))


def in_forms(recording: Recording) -> Iterable[tuple[str, bytes]]:
    """It as it could lie anywhere at an edge."""
    plain = audioop.alaw2lin(recording.alaw, 2)
    yield "alaw", recording.alaw
    yield "mulaw", audioop.lin2ulaw(plain, 2)
    yield "pcm16-le", plain
    yield "pcm16-be", audioop.byteswap(plain, 2)


@dataclass
class Stretch:
    """What was heard of a recording without a break, in samples, by its first and last packet."""

    recording: str
    at_s: float
    until_s: float
    start: int
    stop: int

    @property
    def start_s(self) -> float:
        return self.start / RATE

    @property
    def stop_s(self) -> float:
        return self.stop / RATE


def stretches(heard: Iterable[Packet], recordings: Iterable[Recording]) -> list[Stretch]:
    """All that was heard of these recordings, in order."""
    known = list(recordings)
    found: list[Stretch] = []
    for packet in heard:
        place = _place(packet, known)
        if place is None:
            continue
        name, at = place
        last = found[-1] if found else None
        goes_on = last and (last.recording, last.stop) == (name, at)
        if last and goes_on and packet.at_s - last.until_s < PAUSE_S:
            last.stop += PACKET_SAMPLES
            last.until_s = packet.at_s
        else:
            found.append(Stretch(name, packet.at_s, packet.at_s, at, at + PACKET_SAMPLES))
    return found


def _place(packet: Packet, recordings: list[Recording]) -> tuple[str, int] | None:
    if packet.kind != ALAW or len(packet.sound) != PACKET_SAMPLES:
        return None
    for recording in recordings:
        at = recording.place(packet.sound)
        if at >= 0:
            return recording.name, at
    return None


def loud(packet: Packet) -> bool:
    """Whether there is anything to hear."""
    return packet.kind == ALAW and audioop.rms(audioop.alaw2lin(packet.sound, 2), 2) > LOUD


def plays(heard: Iterable[Packet], wav: bytes, *, seconds: float = 1.0) -> bool:
    """Whether so much of a file of the edge's own was heard, from a start of a packet on."""
    wanted = audioop.lin2alaw(wav[WAV_HEADER_BYTES:], 2)[: round(seconds * RATE)]
    sound = [each.sound for each in heard if each.kind == ALAW]
    packets = len(wanted) // PACKET_SAMPLES
    runs = (b"".join(sound[n : n + packets]) for n in range(len(sound) - packets + 1))
    return any(_alike(run, wanted) for run in runs)


def _alike(one: bytes, other: bytes) -> bool:
    # Two ways to A-law differ in how they round.
    near = sum(abs(a - b) <= 1 for a, b in zip(_linear(one), _linear(other), strict=False))
    return near >= ALIKE * len(other)


def _linear(alaw: bytes) -> list[int]:
    """By steps of loudness, from the most negative on."""
    bare = [byte ^ 0x55 for byte in alaw]
    return [each - 0x80 if each & 0x80 else -1 - each for each in bare]
