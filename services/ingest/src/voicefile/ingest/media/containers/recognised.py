"""What a container says of itself, checked against its own bytes."""

from dataclasses import dataclass
from enum import StrEnum


class Container(StrEnum):
    """The accepted kinds, by the type they are served as. New ones go to the end."""

    WAV = "audio/wav"
    MP3 = "audio/mpeg"
    OGG = "audio/ogg"
    FLAC = "audio/flac"
    M4A = "audio/mp4"


class Codec(StrEnum):
    """The accepted encodings of sound. New ones go to the end."""

    PCM_U8 = "pcm_u8"
    PCM_S16 = "pcm_s16le"
    PCM_S24 = "pcm_s24le"
    PCM_S32 = "pcm_s32le"
    ALAW = "pcm_alaw"
    MULAW = "pcm_mulaw"
    MP3 = "mp3"
    OPUS = "opus"
    FLAC = "flac"
    AAC = "aac"


@dataclass(frozen=True)
class Recognised:
    """A well-formed upload whose sound is yet to be decoded."""

    container: Container
    codec: Codec
    sample_rate_hz: int
    """As the container states it; also the clock of `stated_samples`."""

    channels: int
    stated_samples: int
    """Samples per channel that decoding must yield, within `slack_samples`."""

    slack_samples: int
    sound_bytes: int
    """Length of all coded sound; the demuxer must deliver exactly so much."""

    @property
    def stated_s(self) -> float:
        return self.stated_samples / self.sample_rate_hz
