"""What can be wrong with an upload's sound, named after what happened.

MediaError
├── MediaRefused             the upload's fault; the same bytes will be refused again
│   ├── UnrecognisedAudio    not one of the accepted kinds, or not only that
│   ├── BrokenAudio          truncated, lies about its sizes, or does not decode
│   ├── EmptyAudio           no sound at all
│   ├── AudioTooLong         longer than duration_max_s
│   ├── TooManyChannels      more than a telephone call has
│   └── DecodeLimitExceeded  costs more time, memory or reading than its length justifies
└── DecoderUnavailable       our fault; the same bytes may well be accepted later

Each refusal carries a `Reason`, one of a closed list, so that a partner can be told what to mend
without a byte of the upload in the answer.
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why, as a slug that may be shown to the partner. New ones go to the end."""

    UNKNOWN_CONTAINER = "unknown-container"
    UNKNOWN_CODEC = "unknown-codec"
    UNKNOWN_PART = "unknown-part"
    FOREIGN_CONTENT = "foreign-content"
    NOT_ONE_AUDIO_STREAM = "not-one-audio-stream"
    CHAINED_STREAM = "chained-stream"
    SAMPLE_RATE = "sample-rate"
    STATED_SIZE_EXCEEDS_FILE = "stated-size-exceeds-file"
    LENGTH_NOT_STATED = "length-not-stated"
    BYTES_BEYOND_THE_END = "bytes-beyond-the-end"
    MALFORMED = "malformed"
    TOO_MUCH_BESIDE_THE_AUDIO = "too-much-beside-the-audio"
    LENGTH_DIFFERS_FROM_STATED = "length-differs-from-stated"
    DOES_NOT_DECODE = "does-not-decode"
    DECODER_CRASHED = "decoder-crashed"
    NO_SAMPLES = "no-samples"
    TOO_LONG = "too-long"
    TOO_MANY_CHANNELS = "too-many-channels"
    TIME = "time"
    MEMORY = "memory"
    RATIO = "ratio"
    READS = "reads"


class MediaError(Exception):
    """What the media half of ingest raises on purpose."""


class DecoderUnavailable(MediaError):
    """No decoder process could be had; nothing is known about the upload."""


class MediaRefused(MediaError):
    """The upload is not taken in."""

    default_reason: ClassVar[Reason]

    def __init__(self, reason: Reason | None = None) -> None:
        self.reason = reason or self.default_reason
        super().__init__(self.reason.value)


class UnrecognisedAudio(MediaRefused):
    """Not one of the accepted kinds of audio, or not only that."""

    default_reason = Reason.UNKNOWN_CONTAINER


class BrokenAudio(MediaRefused):
    """Truncated, lying about its sizes, or not decodable."""

    default_reason = Reason.MALFORMED


class EmptyAudio(MediaRefused):
    """An accepted kind of audio without a single sample."""

    default_reason = Reason.NO_SAMPLES


class AudioTooLong(MediaRefused):
    """Longer than `duration_max_s`, by its own word or by decoding."""

    default_reason = Reason.TOO_LONG


class TooManyChannels(MediaRefused):
    """A call has one channel or, recorded side by side, two."""

    default_reason = Reason.TOO_MANY_CHANNELS


class DecodeLimitExceeded(MediaRefused):
    """Decoding took more time, memory, reading or space than is allowed."""

    default_reason = Reason.TIME


REFUSALS: tuple[type[MediaRefused], ...] = (
    UnrecognisedAudio,
    BrokenAudio,
    EmptyAudio,
    AudioTooLong,
    TooManyChannels,
    DecodeLimitExceeded,
)
"""In the order in which the decoder process numbers them."""
