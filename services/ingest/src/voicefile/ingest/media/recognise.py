"""Recognises an upload by its content; a name, a stated type or an ending is never looked at.

Accepted are WAV (PCM of 8, 16, 24 and 32 bits, A-law, µ-law), MP3, Ogg with Opus, FLAC and M4A
with AAC; one stream, one or two channels, 8 to 96 kHz, at least one sample, at most
`duration_max_s`. The rules of each container stand in `containers`.
"""

from voicefile.ingest.media.containers.flac import read_flac
from voicefile.ingest.media.containers.m4a import read_m4a
from voicefile.ingest.media.containers.margins import accept, refuse_second_readers
from voicefile.ingest.media.containers.mp3 import read_mp3
from voicefile.ingest.media.containers.ogg import read_ogg
from voicefile.ingest.media.containers.recognised import Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.containers.wav import read_wav
from voicefile.ingest.media.errors import (
    AudioTooLong,
    EmptyAudio,
    Reason,
    TooManyChannels,
    UnrecognisedAudio,
)

SAMPLE_RATES_HZ = (8_000, 96_000)
CHANNELS_MAX = 2
MAGIC_BYTES = 12


def recognise(source: Source, *, duration_max_s: int) -> Recognised:
    """Reads all of the container and none of the sound. Raises MediaRefused."""
    if source.size == 0:
        raise EmptyAudio
    recognised = _read(source)
    refuse_second_readers(source)
    if recognised.channels > CHANNELS_MAX:
        raise TooManyChannels
    lowest, highest = SAMPLE_RATES_HZ
    accept(lowest <= recognised.sample_rate_hz <= highest, Reason.SAMPLE_RATE)
    if recognised.stated_samples == 0:
        raise EmptyAudio
    if recognised.stated_s > duration_max_s:
        raise AudioTooLong
    return recognised


def _read(source: Source) -> Recognised:
    magic = source.read(0, min(MAGIC_BYTES, source.size))
    if magic[:4] == b"RIFF" and magic[8:12] == b"WAVE":
        return read_wav(source)
    if magic[:4] == b"OggS":
        return read_ogg(source)
    if magic[:4] == b"fLaC":
        return read_flac(source)
    if magic[4:8] == b"ftyp":
        return read_m4a(source)
    # ID3, or the eleven set bits every frame of MPEG audio starts with.
    if magic[:3] == b"ID3" or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0"):
        return read_mp3(source)
    raise UnrecognisedAudio
