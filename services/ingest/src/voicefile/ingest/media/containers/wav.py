"""RIFF WAVE: PCM and G.711, a short list of chunks, sizes that are true."""

import struct

from voicefile.ingest.media.containers.margins import Margins, accept, expect
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import BrokenAudio, Reason, UnrecognisedAudio

CHUNKS_MAX = 64
UNSTATED = (0, 0xFFFFFFFF)
EXTENSIBLE = 0xFFFE
FMT_EXTENSIBLE_BYTES = 40
FMT_BYTES = (16, 18, FMT_EXTENSIBLE_BYTES)
SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")

CODECS = {
    (1, 8): Codec.PCM_U8,
    (1, 16): Codec.PCM_S16,
    (1, 24): Codec.PCM_S24,
    (1, 32): Codec.PCM_S32,
    (6, 8): Codec.ALAW,
    (7, 8): Codec.MULAW,
}

# Written by sound programs and recorders: tags, marks, padding. They may well hold names of
# people; so they stay in the sealed original and never reach the telephone rendition.
BESIDE = frozenset(
    (b"fact", b"LIST", b"bext", b"cue ", b"smpl", b"PEAK", b"JUNK", b"PAD ", b"FLLR", b"id3 ")
)


def read_wav(source: Source) -> Recognised:
    """Checks every chunk. Raises BrokenAudio, UnrecognisedAudio."""
    end = _riff_end(source)
    margins = Margins()
    layout: tuple[Codec, int, int, int] | None = None
    sound_bytes: int | None = None
    position = 12
    for _ in range(CHUNKS_MAX):
        if position == end:
            break
        expect(position + 8 <= end)
        name, length = struct.unpack("<4sI", source.read(position, position + 8))
        start, stop = position + 8, position + 8 + length
        expect(stop <= end, Reason.STATED_SIZE_EXCEEDS_FILE)
        if name == b"fmt ":
            expect(layout is None and length in FMT_BYTES)
            layout = _layout(source.read(start, stop))
        elif name == b"data":
            expect(layout is not None and sound_bytes is None)
            sound_bytes = length
        else:
            accept(name in BESIDE, Reason.UNKNOWN_PART)
            margins.take(source, start, stop)
        # A chunk of odd length is padded, though some writers leave it out at the end.
        position = min(stop + length % 2, end)
    expect(position == end)
    if layout is None or sound_bytes is None:
        raise BrokenAudio
    codec, rate, channels, block = layout
    expect(sound_bytes % block == 0, Reason.LENGTH_DIFFERS_FROM_STATED)
    return Recognised(Container.WAV, codec, rate, channels, sound_bytes // block, 0, sound_bytes)


def _riff_end(source: Source) -> int:
    stated = int.from_bytes(source.read(4, 8), "little")
    expect(stated not in UNSTATED, Reason.LENGTH_NOT_STATED)
    end = stated + 8
    expect(end <= source.size, Reason.STATED_SIZE_EXCEEDS_FILE)
    padded = end % 2 == 1 and source.size == end + 1 and source.read(end, end + 1) == b"\0"
    expect(end == source.size or padded, Reason.BYTES_BEYOND_THE_END)
    return end


def _layout(body: bytes) -> tuple[Codec, int, int, int]:
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE:
        expect(len(body) == FMT_EXTENSIBLE_BYTES)
        tag = int.from_bytes(body[24:26], "little")
        accept(body[26:] == SUBFORMAT_TAIL, Reason.UNKNOWN_CODEC)
    codec = CODECS.get((tag, bits))
    if codec is None:
        raise UnrecognisedAudio(Reason.UNKNOWN_CODEC)
    expect(channels > 0 and block == channels * bits // 8)
    return codec, rate, channels, block
