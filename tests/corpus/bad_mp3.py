"""Bad MP3 files."""

from tests.corpus.archives import small_zip
from tests.corpus.containers import SILENT_MP3_FRAME, SILENT_MP3_FRAME_S, id3_frame, id3v2
from tests.corpus.make_long import make_long
from tests.corpus.spoken_files import spoken

from voicefile.ingest.media.errors import (
    AudioTooLong,
    BrokenAudio,
    MediaRefused,
    UnrecognisedAudio,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
HOURS_2_5 = round(9_000 / SILENT_MP3_FRAME_S)


def cases() -> list[tuple[str, bytes, type[MediaRefused]]]:
    """By name."""
    good = spoken("mp3-8k.mp3")
    frames = SILENT_MP3_FRAME * 100
    picture = id3_frame(b"APIC", b"\0image/png\0\x03\0" + PNG)
    attachment = id3_frame(b"GEOB", b"\0application/zip\0x\0x\0" + small_zip())
    script = id3_frame(b"TIT2", b"\x03<script>alert(1)</script>")
    other_rate = bytes.fromhex("ffe314c0") + bytes(48 - 4)
    return [
        ("mp3-truncated", good[:-20], BrokenAudio),
        ("mp3-truncated-at-a-frame", good[: 72 * (len(good) // 144)], BrokenAudio),
        ("mp3-truncated-without-info", frames[:-10], BrokenAudio),
        ("mp3-two-bytes-left", frames + b"\xff\xe3", BrokenAudio),
        ("mp3-info-states-more-frames", _stating(spoken("mp3-44k1.mp3"), 10_000), BrokenAudio),
        ("mp3-info-states-fewer-frames", _stating(spoken("mp3-44k1.mp3"), 10), BrokenAudio),
        ("mp3-then-zip", good + small_zip(), BrokenAudio),
        ("mp3-then-html", frames + b"<html><script>alert(1)</script>", BrokenAudio),
        ("mp3-junk-between-frames", frames + b"junk" * 20 + frames, BrokenAudio),
        ("mp3-changes-its-rate", frames + other_rate * 50, BrokenAudio),
        ("mp3-zip-in-a-frame", frames + SILENT_MP3_FRAME[:20] + _zip_tail(52), UnrecognisedAudio),
        ("mp3-id3-only", id3v2(id3_frame(b"TIT2", b"\x03nothing")), BrokenAudio),
        ("mp3-id3-of-1-gb", id3v2(b"", size_field=b"\x3f\xff\xff\xff") + frames, BrokenAudio),
        ("mp3-id3-of-256-mb", id3v2(b"", size_field=b"\x7f\x7f\x7f\x7f") + frames, BrokenAudio),
        ("mp3-id3-of-1-mb", id3v2(bytes(1 << 20)) + frames, UnrecognisedAudio),
        ("mp3-id3-with-picture", id3v2(picture) + frames, UnrecognisedAudio),
        ("mp3-id3-with-attachment", id3v2(attachment) + frames, UnrecognisedAudio),
        ("mp3-id3-with-script", id3v2(script) + frames, UnrecognisedAudio),
        ("mp3-two-id3", id3v2(b"") + id3v2(b"") + frames, UnrecognisedAudio),
        ("mp3-then-ape-tag", frames + b"APETAGEX" + bytes(24), BrokenAudio),
        ("mp3-free-format", bytes.fromhex("ffe308c0") + bytes(1_000), UnrecognisedAudio),
        ("mp3-reserved-rate", bytes.fromhex("ffe31cc0") + bytes(1_000), UnrecognisedAudio),
        ("mp2", make_long("mp2", 1, rate=48_000), UnrecognisedAudio),
        ("mp3-2.5-hours-of-silence", SILENT_MP3_FRAME * HOURS_2_5, AudioTooLong),
    ]


def _stating(mp3: bytes, frames: int) -> bytes:
    at = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    return mp3[:at] + frames.to_bytes(4, "big") + mp3[at + 4 :]


def _zip_tail(length: int) -> bytes:
    """The end of an archive without files, in bytes that a frame carries along unread."""
    return bytes(length - 22) + b"PK\x05\x06" + bytes(18)
