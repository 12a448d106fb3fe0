"""Bad FLAC files."""

from tests.corpus.archives import small_zip
from tests.corpus.containers import flac_blocks, join_flac, silent_flac
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

Blocks = list[tuple[int, bytes]]


def cases() -> list[tuple[str, bytes, type[MediaRefused]]]:
    """By name."""
    good = spoken("flac-8k.flac")
    blocks, frames = flac_blocks(good)
    info = blocks[0]
    flipped = bytearray(good)
    flipped[-1_000] ^= 1
    picture = b"\0\0\0\x03\0\0\0\timage/png" + bytes(20) + b"\x89PNG\r\n\x1a\n"
    script = b"\0\0\0\0\x01\0\0\0\x18\0\0\0T=<script>alert(1)</scri"
    second = spoken("flac-16k.flac")
    return [
        ("flac-truncated", good[:-500], BrokenAudio),
        ("flac-truncated-in-its-blocks", good[:50], BrokenAudio),
        ("flac-magic-only", b"fLaC", BrokenAudio),
        (
            "flac-length-not-stated",
            join_flac([_stating(info, 0), *blocks[1:]], frames),
            BrokenAudio,
        ),
        ("flac-states-more", join_flac([_stating(info, 64_000), *blocks[1:]], frames), BrokenAudio),
        ("flac-states-less", join_flac([_stating(info, 16_000), *blocks[1:]], frames), BrokenAudio),
        ("flac-no-samples", join_flac([_stating(info, 0)], b""), EmptyAudio),
        ("flac-no-frames", join_flac(blocks, b""), BrokenAudio),
        ("flac-frame-damaged", bytes(flipped), BrokenAudio),
        ("flac-then-zip", good + small_zip(), UnrecognisedAudio),
        ("flac-then-html", good + b"<html><script>alert(1)</script></html>", BrokenAudio),
        ("flac-then-id3v1", good + b"TAG" + bytes(125), BrokenAudio),
        ("flac-then-another", good + second, BrokenAudio),
        ("flac-id3-first", b"ID3\x03\0\0\0\0\0\0" + good, UnrecognisedAudio),
        ("flac-with-picture", join_flac([info, (6, picture)], frames), UnrecognisedAudio),
        (
            "flac-with-application",
            join_flac([info, (2, b"evil" + bytes(90))], frames),
            UnrecognisedAudio,
        ),
        ("flac-script-in-comment", join_flac([info, (4, script)], frames), UnrecognisedAudio),
        ("flac-zip-in-padding", join_flac([info, (1, small_zip())], frames), UnrecognisedAudio),
        ("flac-much-padding", join_flac([info, (1, bytes(70_000))], frames), UnrecognisedAudio),
        ("flac-many-blocks", join_flac([info, *[(1, b"")] * 50], frames), BrokenAudio),
        ("flac-two-infos", join_flac([info, info], frames), BrokenAudio),
        ("flac-8-channels", join_flac([_channels(info, 8)], frames), TooManyChannels),
        ("flac-claims-stereo", join_flac([_channels(info, 2)], frames), BrokenAudio),
        ("flac-10-hours-of-silence", silent_flac(36_000), AudioTooLong),
        ("flac-bomb", silent_flac(7_000), DecodeLimitExceeded),
        ("flac-2-hours-told-as-a-minute", silent_flac(7_000, stated_s=60), BrokenAudio),
    ]


def _stating(info: tuple[int, bytes], samples: int) -> tuple[int, bytes]:
    kind, body = info
    packed = int.from_bytes(body[10:18], "big") >> 36 << 36 | samples
    return kind, body[:10] + packed.to_bytes(8, "big") + body[18:]


def _channels(info: tuple[int, bytes], channels: int) -> tuple[int, bytes]:
    kind, body = info
    packed = int.from_bytes(body[10:18], "big") & ~(7 << 41) | channels - 1 << 41
    return kind, body[:10] + packed.to_bytes(8, "big") + body[18:]
