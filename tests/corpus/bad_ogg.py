"""Bad Ogg files."""

import struct

from tests.corpus.archives import small_zip
from tests.corpus.containers import (
    OPUS_TAGS,
    SILENT_OPUS_PACKET,
    ogg_page,
    ogg_pages,
    opus_head,
    silent_opus,
)
from tests.corpus.make_long import encode, looped_speech, make_long
from tests.corpus.spoken_files import spoken

from voicefile.ingest.media.errors import (
    AudioTooLong,
    BrokenAudio,
    DecodeLimitExceeded,
    EmptyAudio,
    MediaRefused,
    TooManyChannels,
    UnrecognisedAudio,
)

Cases = list[tuple[str, bytes, type[MediaRefused]]]


def cases() -> Cases:
    """By name."""
    return [*_streams(), *_pages(), *_lengths()]


def _streams() -> Cases:
    good = spoken("opus-voice.opus")
    pages = ogg_pages(good)
    head, tags = pages[:2]
    other_head = ogg_page([opus_head()], number=0, granule=0, flags=2, serial=8)
    vorbis = encode("vorbis", looped_speech(1, 44_100), rate=44_100, channels=2)
    theora = ogg_page([b"\x80theora" + bytes(35)], number=0, granule=0, flags=2)
    speex = ogg_page([b"Speex   1.2" + bytes(69)], number=0, granule=0, flags=2)
    return [
        ("ogg-chained", good + good, UnrecognisedAudio),
        ("ogg-chained-other-serial", good + spoken("opus-stereo.opus"), UnrecognisedAudio),
        ("ogg-two-streams-side-by-side", head + other_head + tags + good, UnrecognisedAudio),
        ("ogg-vorbis", vorbis, UnrecognisedAudio),
        ("ogg-flac", make_long("oggflac", 1), UnrecognisedAudio),
        ("ogg-speex", speex, UnrecognisedAudio),
        ("ogg-theora", theora, UnrecognisedAudio),
        ("opus-6-channels", _with_head(opus_head(6, family=1)), TooManyChannels),
        ("opus-3-channels", _with_head(opus_head(3)), TooManyChannels),
        ("opus-no-channels", _with_head(opus_head(0)), BrokenAudio),
        ("opus-mapping-255", _with_head(opus_head(1)[:-1] + b"\xff"), UnrecognisedAudio),
        (
            "opus-of-another-version",
            _with_head(b"OpusHead\x10" + opus_head()[9:]),
            UnrecognisedAudio,
        ),
    ]


def _pages() -> Cases:
    good = spoken("opus-voice.opus")
    pages = ogg_pages(good)
    flipped = bytearray(good)
    flipped[-100] ^= 1
    script = OPUS_TAGS[:12] + struct.pack("<I", 24) + b"<script>alert(1)</script"
    big = OPUS_TAGS + bytes(70_000)
    big_tags = _spread(big)
    return [
        ("ogg-truncated", good[:-50], BrokenAudio),
        ("ogg-truncated-at-a-page", b"".join(pages[:-1]), BrokenAudio),
        ("ogg-page-missing", b"".join(pages[:2] + pages[3:]), BrokenAudio),
        ("ogg-page-twice", b"".join([*pages[:3], pages[2], *pages[3:]]), BrokenAudio),
        ("ogg-checksum-wrong", bytes(flipped), BrokenAudio),
        ("ogg-then-zip", good + small_zip(), BrokenAudio),
        ("ogg-then-html", good + b"<html><script>alert(1)</script>", BrokenAudio),
        ("ogg-junk-between-pages", pages[0] + b"junk" * 10 + b"".join(pages[1:]), BrokenAudio),
        (
            "opus-script-in-tags",
            _with_tags([ogg_page([script], number=1, granule=0)]),
            UnrecognisedAudio,
        ),
        (
            "opus-zip-in-tags",
            _with_tags([ogg_page([OPUS_TAGS + small_zip()], number=1, granule=0)]),
            UnrecognisedAudio,
        ),
        ("opus-tags-of-70-kb", _with_tags(big_tags), UnrecognisedAudio),
        ("opus-without-tags", pages[0] + b"".join(pages[2:]), BrokenAudio),
        ("opus-head-only", pages[0], BrokenAudio),
        (
            "opus-packet-of-nonsense",
            _with_tags([ogg_page([OPUS_TAGS], number=1, granule=0)], packet=b"\xff\xff\xff\xff"),
            BrokenAudio,
        ),
    ]


def _lengths() -> Cases:
    return [
        (
            "opus-no-sound",
            _with_tags([ogg_page([OPUS_TAGS], number=1, granule=0)], granule=312),
            EmptyAudio,
        ),
        ("opus-10-hours-of-silence", silent_opus(36_000), AudioTooLong),
        ("opus-1-hour-told-as-1-minute", silent_opus(3_600, stated_s=60), BrokenAudio),
        ("opus-bomb", silent_opus(7_000), DecodeLimitExceeded),
        ("opus-states-more-than-it-has", silent_opus(60, stated_s=120), BrokenAudio),
    ]


def _with_head(head: bytes) -> bytes:
    pages = ogg_pages(spoken("opus-voice.opus"))
    serial = struct.unpack_from("<I", pages[0], 14)[0]
    return ogg_page([head], number=0, granule=0, flags=2, serial=serial) + b"".join(pages[1:])


def _with_tags(
    tags: list[bytes], *, packet: bytes = SILENT_OPUS_PACKET, granule: int = 312 + 5_760
) -> bytes:
    first = ogg_page([opus_head()], number=0, granule=0, flags=2)
    last = ogg_page([packet], number=1 + len(tags), granule=granule, flags=4)
    return first + b"".join(tags) + last


def _spread(packet: bytes) -> list[bytes]:
    """One packet over as many pages as it takes."""
    page_bytes = 255 * 255
    starts = range(0, len(packet), page_bytes)
    return [
        ogg_page(
            [packet[start : start + page_bytes]],
            number=number,
            granule=0,
            flags=int(number > 1),
            unfinished=number < len(starts),
        )
        for number, start in enumerate(starts, start=1)
    ]
