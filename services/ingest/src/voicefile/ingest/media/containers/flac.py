"""FLAC: a stream of known length, with tags but without pictures or foreign blocks."""

from voicefile.ingest.media.containers.margins import Margins, accept, expect
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import Reason

BLOCK_HEADER_BYTES = 4
STREAMINFO, PADDING, SEEKTABLE, VORBIS_COMMENT = 0, 1, 3, 4
STREAMINFO_BYTES = 34
BLOCKS_MAX = 16
BITS = (8, 12, 16, 20, 24, 32)


def read_flac(source: Source) -> Recognised:
    """Checks the metadata blocks. Raises BrokenAudio, UnrecognisedAudio."""
    margins = Margins()
    position, info, last = 4, b"", False
    for number in range(BLOCKS_MAX):
        start = position + BLOCK_HEADER_BYTES
        header = source.read(position, start)
        last, kind = bool(header[0] & 0x80), header[0] & 0x7F
        position = start + int.from_bytes(header[1:], "big")
        expect(position <= source.size, Reason.STATED_SIZE_EXCEEDS_FILE)
        expect((kind == STREAMINFO) == (number == 0))
        accept(kind in {STREAMINFO, PADDING, SEEKTABLE, VORBIS_COMMENT}, Reason.UNKNOWN_PART)
        block = margins.take(source, start, position)
        info = info or block
        if last:
            break
    expect(last and len(info) == STREAMINFO_BYTES)
    packed = int.from_bytes(info[10:18], "big")
    rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    bits, samples = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    accept(bits in BITS, Reason.UNKNOWN_CODEC)
    # 0 samples means unknown: such a stream could have been cut off anywhere.
    expect(samples or position == source.size, Reason.LENGTH_NOT_STATED)
    expect(rate and (position < source.size or not samples))
    return Recognised(
        Container.FLAC, Codec.FLAC, rate, channels, samples, 0, source.size - position
    )
