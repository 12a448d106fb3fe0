"""Bad WAV files."""

import math
import struct

from tests.corpus.archives import small_zip
from tests.corpus.containers import chunk, fmt, riff
from tests.corpus.spoken_files import spoken

from voicefile.ingest.media.errors import (
    BrokenAudio,
    EmptyAudio,
    MediaRefused,
    TooManyChannels,
    UnrecognisedAudio,
)

Cases = list[tuple[str, bytes, type[MediaRefused]]]


HTML = b"<html><body><script>alert(1)</script></body></html>"
FLOAT_GUID = bytes.fromhex("0300000000001000800000aa00389b71")


def _pcm(samples: int = 8_000) -> bytes:
    return spoken("pcm16-8k.wav")[44 : 44 + 2 * samples]


def cases() -> Cases:
    """By name."""
    return [*_lying(), *_foreign(), *_layouts(), *_codecs()]


def _lying() -> Cases:
    data = chunk(b"data", _pcm())
    good = riff(fmt(), data)
    return [
        ("wav-truncated", good[:-1_000], BrokenAudio),
        ("wav-truncated-in-its-header", good[:30], BrokenAudio),
        ("wav-header-only", good[:12], BrokenAudio),
        ("wav-riff-longer-than-file", riff(fmt(), data, stated=1 << 20), BrokenAudio),
        ("wav-riff-shorter-than-file", riff(fmt(), data, stated=4_000), BrokenAudio),
        ("wav-riff-ffffffff", riff(fmt(), data, stated=0xFFFFFFFF), BrokenAudio),
        ("wav-riff-zero", riff(fmt(), data, stated=0), BrokenAudio),
        (
            "wav-data-longer-than-file",
            riff(fmt(), chunk(b"data", _pcm(), stated=1 << 20)),
            BrokenAudio,
        ),
        ("wav-data-ffffffff", riff(fmt(), chunk(b"data", _pcm(), stated=0xFFFFFFFF)), BrokenAudio),
        (
            "wav-both-ffffffff",
            riff(fmt(), chunk(b"data", _pcm(), stated=0xFFFFFFFF), stated=0xFFFFFFFF),
            BrokenAudio,
        ),
        (
            "wav-data-shorter-than-sound",
            riff(fmt(), chunk(b"data", _pcm(), stated=1_000)),
            BrokenAudio,
        ),
        ("wav-half-a-sample", riff(fmt(), chunk(b"data", _pcm()[:-1])), BrokenAudio),
        ("wav-no-samples", riff(fmt(), chunk(b"data", b"")), EmptyAudio),
    ]


def _foreign() -> Cases:
    data = chunk(b"data", _pcm())
    good = riff(fmt(), data)
    archive = small_zip()
    return [
        ("wav-then-zip", good + archive, BrokenAudio),
        ("wav-then-html", good + HTML, BrokenAudio),
        ("wav-then-a-second-wav", good + good, BrokenAudio),
        (
            "wav-zip-as-last-samples",
            riff(fmt(), chunk(b"data", _pcm() + archive + bytes(len(archive) % 2))),
            UnrecognisedAudio,
        ),
        (
            "wav-zip-in-list",
            riff(fmt(), chunk(b"LIST", b"INFOICMT" + archive), data),
            UnrecognisedAudio,
        ),
        ("wav-zip-in-padding", riff(fmt(), data, chunk(b"JUNK", archive)), UnrecognisedAudio),
        (
            "wav-html-in-list",
            riff(fmt(), chunk(b"LIST", b"INFOICMT" + HTML), data),
            UnrecognisedAudio,
        ),
        (
            "wav-html-in-bext",
            riff(fmt(), chunk(b"bext", HTML.upper() + bytes(600)), data),
            UnrecognisedAudio,
        ),
        (
            "wav-script-in-id3",
            riff(fmt(), data, chunk(b"id3 ", b"ID3\x03\0\0\0\0\0\x20" + b"<ScRiPt>alert(1)")),
            UnrecognisedAudio,
        ),
        (
            "wav-pdf-in-first-samples",
            riff(fmt(), chunk(b"data", b"%PDF-1.7\n1 0 obj\n" + b"\0" + _pcm())),
            UnrecognisedAudio,
        ),
        (
            "wav-html-in-first-samples",
            riff(fmt(), chunk(b"data", b"<script src=x></script> " + _pcm())),
            UnrecognisedAudio,
        ),
        ("wav-unknown-chunk", riff(fmt(), chunk(b"evil", b"payload!"), data), UnrecognisedAudio),
        (
            "wav-xmp-chunk",
            riff(fmt(), data, chunk(b"_PMX", b"<?xpacket begin=''?>")),
            UnrecognisedAudio,
        ),
        ("wav-much-padding", riff(fmt(), chunk(b"JUNK", bytes(70_000)), data), UnrecognisedAudio),
        ("wav-many-chunks", riff(fmt(), *[chunk(b"JUNK", b"")] * 100, data), BrokenAudio),
    ]


def _layouts() -> Cases:
    data = chunk(b"data", _pcm())
    return [
        ("wav-without-data", riff(fmt()), BrokenAudio),
        ("wav-without-fmt", riff(data), BrokenAudio),
        ("wav-data-before-fmt", riff(data, fmt()), BrokenAudio),
        ("wav-two-data", riff(fmt(), data, data), BrokenAudio),
        ("wav-two-fmt", riff(fmt(), fmt(rate=16_000), data), BrokenAudio),
        ("wav-fmt-of-3-bytes", riff(chunk(b"fmt ", b"\1\0\1"), data), BrokenAudio),
        ("wav-64-channels", riff(fmt(channels=64), chunk(b"data", _pcm(6_400))), TooManyChannels),
        ("wav-3-channels", riff(fmt(channels=3), chunk(b"data", _pcm(6_000))), TooManyChannels),
        ("wav-no-channels", riff(fmt(channels=0), data), BrokenAudio),
        ("wav-65535-channels", riff(fmt(channels=65_535), data), BrokenAudio),
        ("wav-wrong-block", riff(fmt(block=3), data), BrokenAudio),
        (
            "wav-one-sample-at-384-khz",
            riff(fmt(rate=384_000), chunk(b"data", b"\1\1")),
            UnrecognisedAudio,
        ),
        ("wav-4-khz", riff(fmt(rate=4_000), data), UnrecognisedAudio),
        ("wav-rate-zero", riff(fmt(rate=0), data), UnrecognisedAudio),
        ("wav-rate-4-ghz", riff(fmt(rate=0xFFFFFFFF // 2), data), UnrecognisedAudio),
    ]


def _codecs() -> Cases:
    data = chunk(b"data", _pcm())
    good = riff(fmt(), data)
    nan = chunk(b"data", struct.pack("<f", math.nan) * 4_000)
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8_000, 32_000, 4, 32, 22, 32, 4) + FLOAT_GUID
    return [
        ("wav-nan-floats", riff(fmt(tag=3, bits=32), nan), UnrecognisedAudio),
        ("wav-doubles", riff(fmt(tag=3, bits=64), data), UnrecognisedAudio),
        ("wav-extensible-nan-floats", riff(chunk(b"fmt ", extensible), nan), UnrecognisedAudio),
        (
            "wav-gsm",
            riff(fmt(tag=0x31, bits=0, block=65), chunk(b"data", bytes(650))),
            UnrecognisedAudio,
        ),
        (
            "wav-adpcm",
            riff(fmt(tag=2, bits=4, block=256), chunk(b"data", bytes(2_560))),
            UnrecognisedAudio,
        ),
        (
            "wav-with-mp3-inside",
            riff(fmt(tag=0x55, bits=0, block=1), chunk(b"data", spoken("mp3-8k.mp3"))),
            UnrecognisedAudio,
        ),
        ("wav-12-bits", riff(fmt(bits=12, block=2), data), UnrecognisedAudio),
        ("wav-64-bits", riff(fmt(bits=64), data), UnrecognisedAudio),
        (
            "wav-rf64",
            riff(chunk(b"ds64", bytes(28)), fmt(), data, magic=b"RF64", stated=0xFFFFFFFF),
            UnrecognisedAudio,
        ),
        (
            "wav-bw64",
            riff(chunk(b"ds64", bytes(28)), fmt(), data, magic=b"BW64", stated=0xFFFFFFFF),
            UnrecognisedAudio,
        ),
        ("wav-rifx", riff(fmt(), data, magic=b"RIFX"), UnrecognisedAudio),
        (
            "wav-wave64",
            b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + bytes(200),
            UnrecognisedAudio,
        ),
        ("avi", good.replace(b"WAVE", b"AVI ", 1), UnrecognisedAudio),
    ]
