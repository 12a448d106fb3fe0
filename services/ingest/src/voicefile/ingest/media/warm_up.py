"""Decodes a breath of made-up sound once, so that everything lazy is loaded before forking."""

from functools import partial

from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.decoder_protocol import DecodeLimits
from voicefile.ingest.media.decoding import decode_sound
from voicefile.ingest.media.recognise import recognise
from voicefile.ingest.media.telephone_wav import wav_header

RATES_HZ = (8_000, 16_000, 44_100, 48_000)
SAMPLES = 4_800


def warm_up() -> None:
    """Takes the whole way of an upload, with and without resampling."""
    for rate in RATES_HZ:
        sound = bytes(range(256)) * (SAMPLES * 2 // 256)
        wav = wav_header(rate, len(sound)) + sound
        source = Source(partial(_slice, wav), len(wav))
        limits = DecodeLimits()
        recognised = recognise(source, duration_max_s=limits.duration_max_s)
        decode_sound(source, recognised, limits)


def _slice(wav: bytes, start: int, stop: int) -> bytes:
    return wav[start:stop]
