"""MPEG layer III: nothing but frames between an optional ID3v2 tag and an optional ID3v1 tag."""

from dataclasses import dataclass
from functools import cache

from voicefile.ingest.media.containers.margins import Margins, expect
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import BrokenAudio, Reason, UnrecognisedAudio

ID3V1_BYTES = 128
ID3V2_HEADER_BYTES = 10
HEADER_BYTES = 4
SYNC = 0xFF
WINDOW_BYTES = 262_144

KBITS_V1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_V2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES_V1 = (44_100, 48_000, 32_000)
DIVISORS = {3: 1, 2: 2, 0: 4}
"""Version bits of the header (MPEG 1, 2 and 2.5) to what its sample rates are divided by."""

MONO = 3
STATED_SLACK_FRAMES = 1
DELAYS_SLACK = 2 * 4_095 + 3 * 1_152
"""Samples of encoder delay and padding, which decoders may drop at both ends."""


@dataclass(frozen=True)
class Frame:
    """What bytes 1 and 2 of a frame's header say."""

    length: int
    samples: int
    rate_hz: int
    divisor: int
    has_crc: bool


@cache
def frames_by_header() -> dict[int, Frame]:
    """Bytes 1 and 2 of every allowed frame header: layer III, no free format."""
    frames = {}
    for version, divisor in DIVISORS.items():
        samples, kbits = (1_152, KBITS_V1) if divisor == 1 else (576, KBITS_V2)
        for crc_bit, number, rate_number in _combinations(len(kbits), len(RATES_V1)):
            rate = RATES_V1[rate_number] // divisor
            for padding in (0, 1):
                length = samples // 8 * kbits[number] * 1_000 // rate + padding
                high = 0xE0 | version << 3 | 1 << 1 | crc_bit
                low = (number + 1) << 4 | rate_number << 2 | padding << 1
                frame = Frame(length, samples, rate, divisor, has_crc=crc_bit == 0)
                frames[high << 8 | low] = frames[high << 8 | low | 1] = frame
    return frames


def _combinations(kbits: int, rates: int) -> list[tuple[int, int, int]]:
    return [(crc, kbit, rate) for crc in (0, 1) for kbit in range(kbits) for rate in range(rates)]


def read_mp3(source: Source) -> Recognised:
    """Walks every frame. Raises BrokenAudio, UnrecognisedAudio."""
    margins = Margins()
    start = _after_id3v2(source, margins)
    end = _before_id3v1(source, margins, start)
    expect(start + HEADER_BYTES <= end)
    header = source.read(start, start + HEADER_BYTES)
    first = frames_by_header().get(header[1] << 8 | header[2])
    if header[0] != SYNC or first is None:
        raise UnrecognisedAudio(Reason.UNKNOWN_CODEC)
    mono = header[3] >> 6 == MONO
    count = _count_frames(source, start, end, first, mono=mono)
    told = _told(source.read(start, start + first.length), first, mono=mono)
    if told is not None:
        start += first.length
        count -= 1
        expect(abs(told - count) <= STATED_SLACK_FRAMES, Reason.LENGTH_DIFFERS_FROM_STATED)
    channels = 1 if mono else 2
    samples = count * first.samples
    return Recognised(
        Container.MP3, Codec.MP3, first.rate_hz, channels, samples, DELAYS_SLACK, end - start
    )


def _after_id3v2(source: Source, margins: Margins) -> int:
    head = source.read(0, min(ID3V2_HEADER_BYTES, source.size))
    if not head.startswith(b"ID3"):
        return 0
    expect(len(head) == ID3V2_HEADER_BYTES and max(head[6:10]) < 1 << 7)
    length = 0
    for septet in head[6:10]:
        length = length << 7 | septet
    end = ID3V2_HEADER_BYTES + length
    expect(end <= source.size, Reason.STATED_SIZE_EXCEEDS_FILE)
    margins.take(source, 0, end)
    return end


def _before_id3v1(source: Source, margins: Margins, start: int) -> int:
    tag = source.size - ID3V1_BYTES
    if tag < start or source.read(tag, tag + 3) != b"TAG":
        return source.size
    margins.take(source, tag, source.size)
    return tag


def _count_frames(source: Source, start: int, end: int, first: Frame, *, mono: bool) -> int:
    lengths = {
        header: frame.length
        for header, frame in frames_by_header().items()
        if (frame.rate_hz, frame.divisor) == (first.rate_hz, first.divisor)
    }
    count, position = 0, start
    while position < end:
        window = source.read(position, min(position + WINDOW_BYTES, end))
        # Fewer bytes than a header are left over: the rest of a frame that was cut off.
        expect(len(window) >= HEADER_BYTES, Reason.STATED_SIZE_EXCEEDS_FILE)
        at, last = 0, len(window) - HEADER_BYTES
        while at <= last:
            length = lengths.get(window[at + 1] << 8 | window[at + 2])
            if length is None or window[at] != SYNC or (window[at + 3] >> 6 == MONO) != mono:
                raise BrokenAudio(Reason.BYTES_BEYOND_THE_END)
            at += length
            count += 1
        position += at
    expect(position == end, Reason.STATED_SIZE_EXCEEDS_FILE)
    return count


def _told(frame: bytes, first: Frame, *, mono: bool) -> int | None:
    """Frames that follow, if `frame` holds no sound but an encoder's Xing, Info or VBRI header."""
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    side_info = (17 if mono else 32) if first.divisor == 1 else (9 if mono else 17)
    # Some writers put the header where it would be without a CRC, whether or not there is one.
    for at in (HEADER_BYTES + side_info, HEADER_BYTES + 2 * first.has_crc + side_info):
        if frame[at : at + 4] in {b"Xing", b"Info"}:
            expect(frame[at + 7] & 1, Reason.LENGTH_NOT_STATED)
            return int.from_bytes(frame[at + 8 : at + 12], "big")
    return None
