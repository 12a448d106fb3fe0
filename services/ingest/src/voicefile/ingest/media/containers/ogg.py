"""Ogg with one Opus stream: every page in order, its checksum right, the last one marked."""

import zlib
from dataclasses import dataclass, field

from voicefile.ingest.media.containers.margins import Margins, accept, expect
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import Reason, TooManyChannels

PAGE_HEADER_BYTES = 27
CONTINUED, FIRST, LAST = 1, 2, 4
HEAD_PACKET_BYTES = 19
CHANNELS_MAX = 2
OPUS_RATE_HZ = 48_000
FULL_SEGMENT = 255
NO_PACKET_ENDS = (1 << 64) - 1
SLACK_SAMPLES = OPUS_RATE_HZ * 60 // 1_000
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """One page, its checksum verified."""

    flags: int
    granule: int
    serial: int
    number: int
    segments: bytes
    body_start: int
    stop: int


@dataclass
class Walk:
    """What was seen of the stream so far."""

    serial: int
    pages: int = 1
    granule: int = 0
    sound_bytes: int = 0
    tags: bytearray = field(default_factory=bytearray)
    tags_end: bool = False
    last: bool = False


def read_ogg(source: Source) -> Recognised:
    """Walks every page. Raises BrokenAudio, UnrecognisedAudio, TooManyChannels."""
    page = _page(source, 0)
    channels, pre_skip = _head(source, page)
    walk = Walk(page.serial)
    margins = Margins()
    while page.stop < source.size:
        expect(
            not walk.last or source.read(page.stop, page.stop + 4) == b"OggS",
            Reason.BYTES_BEYOND_THE_END,
        )
        page = _page(source, page.stop)
        # A second stream, beside the first or after it.
        accept(
            not page.flags & FIRST and page.serial == walk.serial and not walk.last,
            Reason.CHAINED_STREAM,
        )
        expect(page.number == walk.pages)
        walk.pages += 1
        walk.last = bool(page.flags & LAST)
        if walk.tags_end:
            _sound_page(page, walk)
        else:
            _tags_page(source, page, walk, margins)
    expect(walk.last and walk.tags_end, Reason.LENGTH_DIFFERS_FROM_STATED)
    samples = max(0, walk.granule - pre_skip)
    return Recognised(
        Container.OGG, Codec.OPUS, OPUS_RATE_HZ, channels, samples, SLACK_SAMPLES, walk.sound_bytes
    )


def _page(source: Source, start: int) -> Page:
    header_stop = start + PAGE_HEADER_BYTES
    expect(header_stop <= source.size, Reason.STATED_SIZE_EXCEEDS_FILE)
    header = source.read(start, header_stop)
    expect(header[:5] == b"OggS\0", Reason.BYTES_BEYOND_THE_END)
    body_start = header_stop + header[26]
    segments = source.read(header_stop, body_start)
    stop = body_start + sum(segments)
    whole = source.read(start, stop)
    expect(_checksum(whole[:22] + bytes(4) + whole[26:]) == header[22:26], Reason.DOES_NOT_DECODE)
    return Page(
        flags=header[5],
        granule=int.from_bytes(header[6:14], "little"),
        serial=int.from_bytes(header[14:18], "little"),
        number=int.from_bytes(header[18:22], "little"),
        segments=segments,
        body_start=body_start,
        stop=stop,
    )


def _checksum(page: bytes) -> bytes:
    """Ogg's CRC-32 has zlib's polynomial, but takes bits the other way round and starts at 0."""
    mirrored = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    # Mirroring the bits of a 32-bit number is mirroring its bytes and their order.
    return mirrored.to_bytes(4, "little").translate(REVERSED)[::-1]


def _head(source: Source, page: Page) -> tuple[int, int]:
    """Channels, and samples to drop at the start."""
    expect(page.flags == FIRST and page.number == 0)
    head = source.read(page.body_start, page.stop)
    accept(head[:8] == b"OpusHead", Reason.UNKNOWN_CODEC)
    expect(len(head) >= HEAD_PACKET_BYTES and head[9] > 0)
    if head[9] > CHANNELS_MAX:
        raise TooManyChannels
    # Version 0.x, and no mapping of channels to anything but mono and stereo.
    accept(head[8] >> 4 == 0 and head[18] == 0, Reason.UNKNOWN_CODEC)
    expect(page.segments == bytes([HEAD_PACKET_BYTES]))
    return head[9], int.from_bytes(head[10:12], "little")


def _tags_page(source: Source, page: Page, walk: Walk, margins: Margins) -> None:
    part = margins.take(source, page.body_start, page.stop)
    expect(bool(page.flags & CONTINUED) == bool(walk.tags))
    walk.tags += part
    expect(walk.tags.startswith(b"OpusTags"))
    walk.tags_end = page.segments[-1:] != bytes([FULL_SEGMENT])
    # The tags are one packet that ends with its page.
    expect(all(length == FULL_SEGMENT for length in page.segments[:-1]))


def _sound_page(page: Page, walk: Walk) -> None:
    walk.sound_bytes += sum(page.segments)
    if page.granule != NO_PACKET_ENDS:
        expect(page.granule >= walk.granule)
        walk.granule = page.granule
