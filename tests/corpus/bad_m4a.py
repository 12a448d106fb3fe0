"""Bad MPEG-4 files."""

import io
import struct
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from tests.corpus.archives import small_zip
from tests.corpus.containers import Box, boxes, mp4
from tests.corpus.make_long import encode, looped_speech, make_long
from tests.corpus.spoken_files import spoken

from voicefile.ingest.media.errors import (
    AudioTooLong,
    BrokenAudio,
    EmptyAudio,
    MediaRefused,
    UnrecognisedAudio,
)

Cases = list[tuple[str, bytes, type[MediaRefused]]]

STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
MDHD = (b"moov", b"trak", b"mdia", b"mdhd")


def cases() -> Cases:
    """By name."""
    return [*_tracks(), *_sizes(), *_foreign(), *_tables()]


def _tracks() -> Cases:
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    speech = looped_speech(2, 16_000)
    fragmented = encode("fragmented", speech, rate=16_000, options=fragments)
    return [
        ("mp4-with-video", _with_video(sound=True), UnrecognisedAudio),
        ("mp4-only-video", _with_video(sound=False), UnrecognisedAudio),
        ("m4a-alac", make_long("alac", 1, rate=16_000), UnrecognisedAudio),
        ("m4a-fragmented", fragmented, UnrecognisedAudio),
        ("m4a-encrypted", _stsd_name(b"enca"), UnrecognisedAudio),
        ("m4a-two-tracks", _bent(_second_track), UnrecognisedAudio),
        ("m4a-no-track", _bent(lambda file: file.find(b"moov").boxes.clear()), UnrecognisedAudio),
        ("m4a-quicktime-brand", _brand(b"qt  "), UnrecognisedAudio),
        ("m4a-heic-brand", _brand(b"heic"), UnrecognisedAudio),
    ]


def _sizes() -> Cases:
    good, front = spoken("m4a-44k1.m4a"), spoken("m4a-16k-front.m4a")
    file = boxes(good)
    mdat = good.index(b"mdat") - 4
    return [
        ("m4a-truncated", good[:-100], BrokenAudio),
        ("m4a-truncated-sound-last", front[:-100], BrokenAudio),
        ("m4a-truncated-before-moov", good[: good.index(b"moov") - 4], BrokenAudio),
        ("m4a-box-to-the-end", good[:mdat] + bytes(4) + good[mdat + 4 :], BrokenAudio),
        (
            "m4a-box-beyond-the-end",
            good[:mdat] + b"\x7f\xff\xff\xff" + good[mdat + 4 :],
            BrokenAudio,
        ),
        ("m4a-box-of-4-bytes", good[:mdat] + b"\0\0\0\x04" + good[mdat + 4 :], BrokenAudio),
        ("m4a-then-html", good + b"<html><script>alert(1)</script></html>", BrokenAudio),
        ("m4a-then-zip", good + small_zip(), BrokenAudio),
        ("m4a-then-three-bytes", good + b"abc", BrokenAudio),
        ("m4a-mdat-has-more", _bent(lambda file: _grow(file, b"\0" * 500)), BrokenAudio),
        ("m4a-mdat-has-zip", _bent(lambda file: _grow(file, small_zip())), BrokenAudio),
        ("m4a-two-moovs", good + file.find(b"moov").encode(), BrokenAudio),
        ("m4a-ftyp-only", file.find(b"ftyp").encode(), BrokenAudio),
    ]


def _foreign() -> Cases:
    good = spoken("m4a-44k1.m4a")
    script = Box(b"udta", b"\0\0\0\x20\xa9cmt<script>alert(1)</scr>")
    return [
        ("m4a-zip-in-free", good + Box(b"free", small_zip()).encode(), UnrecognisedAudio),
        ("m4a-much-free", good + Box(b"free", bytes(70_000)).encode(), UnrecognisedAudio),
        ("m4a-uuid-box", good + Box(b"uuid", bytes(40)).encode(), UnrecognisedAudio),
        (
            "m4a-script-in-udta",
            _bent(lambda f: f.find(b"moov").boxes.append(script)),
            UnrecognisedAudio,
        ),
        ("m4a-names-another-file", _bent(_external), UnrecognisedAudio),
        ("m4a-many-boxes", good + Box(b"free").encode() * 600, BrokenAudio),
        ("m4a-deep-boxes", _bent(_deep), BrokenAudio),
    ]


def _tables() -> Cases:
    return [
        ("m4a-no-samples", _bent(_no_samples), EmptyAudio),
        (
            "m4a-2-billion-samples",
            _table(b"stsz", lambda b: b[:8] + b"\x7f\xff\xff\xff" + b[12:]),
            BrokenAudio,
        ),
        (
            "m4a-2-billion-equal-samples",
            _table(b"stsz", lambda b: b[:4] + b"\0\0\0\1\x7f\xff\xff\xff"),
            BrokenAudio,
        ),
        (
            "m4a-samples-swap-sizes",
            _table(b"stsz", lambda b: b[:-4] + b"\0\0\xff\xff"),
            BrokenAudio,
        ),
        (
            "m4a-chunk-elsewhere",
            _table(b"stco", lambda b: b[:8] + b"\0\0\0\0" + b[12:]),
            BrokenAudio,
        ),
        (
            "m4a-chunk-beyond",
            _table(b"stco", lambda b: b[:8] + b"\x7f\0\0\0" + b[12:]),
            BrokenAudio,
        ),
        ("m4a-no-stsc", _table(b"stsc", lambda b: b[:4] + bytes(4)), BrokenAudio),
        (
            "m4a-wild-stsc",
            _table(b"stsc", lambda b: b[:12] + b"\xff\xff\xff\xff" + b[16:]),
            BrokenAudio,
        ),
        ("m4a-states-10-hours", _bent(lambda f: _duration(f, 36_000)), AudioTooLong),
        ("m4a-states-a-minute", _bent(lambda f: _duration(f, 60)), BrokenAudio),
        ("m4a-states-a-second", _bent(lambda f: _duration(f, 1)), BrokenAudio),
        ("m4a-length-unknown", _bent(lambda f: _set(f.find(*MDHD), 16, b"\xff" * 4)), BrokenAudio),
        ("m4a-timescale-zero", _bent(lambda f: _set(f.find(*MDHD), 12, bytes(4))), BrokenAudio),
    ]


def _bent(bend: Callable[[Box], object], name: str = "m4a-44k1.m4a") -> bytes:
    file = boxes(spoken(name))
    bend(file)
    return mp4(file)


def _set(box: Box, at: int, value: bytes) -> None:
    box.body = box.body[:at] + value + box.body[at + len(value) :]


def _table(name: bytes, change: Callable[[bytes], bytes]) -> bytes:
    def bend(file: Box) -> None:
        table = file.find(*STBL, name)
        table.body = change(table.body)

    return _bent(bend)


def _stsd_name(name: bytes) -> bytes:
    return _bent(lambda file: _set(file.find(*STBL, b"stsd"), 12, name))


def _brand(name: bytes) -> bytes:
    return _bent(lambda file: _set(file.find(b"ftyp"), 0, name))


def _grow(file: Box, more: bytes) -> None:
    file.find(b"mdat").body += more


def _second_track(file: Box) -> None:
    moov = file.find(b"moov")
    moov.boxes.append(moov.find(b"trak"))


def _external(file: Box) -> None:
    url = b"http://127.0.0.1/x\0"
    entry = struct.pack(">I4sI", 12 + len(url), b"url ", 0) + url
    file.find(*STBL[:4], b"dinf", b"dref").body = bytes(4) + b"\0\0\0\1" + entry


def _deep(file: Box) -> None:
    box = Box(b"free")
    for _ in range(50):
        box = Box(b"dinf", boxes=[box])
    file.find(b"moov").boxes.append(box)


def _no_samples(file: Box) -> None:
    for name in (b"stts", b"stsc", b"stco"):
        file.find(*STBL, name).body = bytes(8)
    file.find(*STBL, b"stsz").body = bytes(12)
    file.find(b"mdat").body = b""


def _duration(file: Box, seconds: int) -> None:
    mdhd = file.find(*MDHD)
    timescale = int.from_bytes(mdhd.body[12:16], "big")
    _set(mdhd, 16, struct.pack(">I", seconds * timescale))


def _with_video(*, sound: bool) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 32
        picture.pix_fmt = "yuv420p"
        voice = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(
                np.full((32, 32, 3), number * 20, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if voice is not None:
            speech = looped_speech(1, 16_000).astype(np.float32)[None, :] / 32_768
            frame = av.AudioFrame.from_ndarray(speech, format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return out.getvalue()
