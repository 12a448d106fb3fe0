"""MPEG-4 with one AAC track: known boxes, and samples that fill the media data to the byte."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voicefile.ingest.media.containers.margins import Margins, accept, expect
from voicefile.ingest.media.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import BrokenAudio, Reason

BRANDS = frozenset(
    (b"M4A ", b"M4B ", b"mp41", b"mp42", b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"3gp4",
     b"3gp5", b"3gp6")
)  # fmt: skip
MOOV_MAX_BYTES = 8_388_608
TABLE_ROWS_MAX = 2_000_000
BOXES_MAX = 512
DEPTH_MAX = 8

PARENTS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts"))
TABLES = frozenset((b"stts", b"stsc", b"stsz", b"stco", b"co64"))
BESIDE = frozenset(
    (b"mvhd", b"tkhd", b"mdhd", b"hdlr", b"smhd", b"dref", b"elst", b"stsd", b"iods", b"udta",
     b"sgpd", b"sbgp", b"free", b"skip", b"wide")
)  # fmt: skip
TOP = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"))
ONCE = frozenset((b"trak", b"mdia", b"minf", b"stbl", b"mdhd", b"hdlr", b"stsd", b"dref")) | TABLES

UNSTATED = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
ONE_ENTRY = b"\0\0\0\1"
IN_THIS_FILE = b"\0\0\0\x0curl \0\0\0\1"
STSD_MIN_BYTES = 44
STSZ_BYTES = 12
MDHD_MIN_BYTES = 20
SLACK_S = 0.25
"""Priming and padding of the coder, and edit lists that cut them."""

Numbers = NDArray[np.int64]


@dataclass
class Boxes:
    """What was seen of the file so far."""

    margins: Margins = field(default_factory=Margins)
    seen: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    media: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0


def read_m4a(source: Source) -> Recognised:
    """Walks every box. Raises BrokenAudio, UnrecognisedAudio."""
    boxes = Boxes()
    for name, start, stop in _boxes(source, 0, source.size, boxes):
        accept(name in TOP, Reason.UNKNOWN_PART)
        if name == b"mdat":
            boxes.media.append((start, stop))
        elif name == b"moov":
            expect(name not in boxes.seen and stop - start <= MOOV_MAX_BYTES)
            boxes.seen[name] = (start, stop)
            _descend(source, start, stop, boxes, depth=1)
        else:
            part = boxes.margins.take(source, start, stop)
            accept(name != b"ftyp" or part[:4] in BRANDS, Reason.UNKNOWN_CONTAINER)
    expect(b"moov" in boxes.seen, Reason.STATED_SIZE_EXCEEDS_FILE)
    accept(b"trak" in boxes.seen, Reason.NOT_ONE_AUDIO_STREAM)
    rate, channels = _one_aac_track(source, boxes)
    sizes = _sizes(source, boxes)
    _expect_filled(source, boxes, sizes)
    timescale, duration = _duration(source, boxes)
    samples = duration * rate // timescale if sizes.size else 0
    return Recognised(
        container=Container.M4A,
        codec=Codec.AAC,
        sample_rate_hz=rate,
        channels=channels,
        stated_samples=samples,
        slack_samples=int(SLACK_S * rate),
        sound_bytes=int(sizes.sum()),
    )


def _boxes(source: Source, start: int, stop: int, boxes: Boxes) -> list[tuple[bytes, int, int]]:
    found = []
    while start < stop:
        boxes.count += 1
        expect(boxes.count <= BOXES_MAX)
        expect(start + 8 <= stop, Reason.BYTES_BEYOND_THE_END)
        length, name = struct.unpack(">I4s", source.read(start, start + 8))
        body = start + 8
        if length == 1:
            expect(start + 16 <= stop)
            length, body = int.from_bytes(source.read(body, body + 8), "big"), start + 16
        expect(length != 0, Reason.LENGTH_NOT_STATED)
        end = start + length
        expect(end >= body)
        expect(end <= stop, Reason.STATED_SIZE_EXCEEDS_FILE)
        found.append((name, body, end))
        start = end
    return found


def _descend(source: Source, start: int, stop: int, boxes: Boxes, *, depth: int) -> None:
    expect(depth <= DEPTH_MAX)
    for name, body, end in _boxes(source, start, stop, boxes):
        accept(name != b"trak" or name not in boxes.seen, Reason.NOT_ONE_AUDIO_STREAM)
        # minf may hold a handler of its own, without a say; the first one seen is the track's.
        expect(name not in ONCE or name not in boxes.seen or name == b"hdlr")
        boxes.seen.setdefault(name, (body, end))
        if name in PARENTS:
            _descend(source, body, end, boxes, depth=depth + 1)
        elif name not in TABLES:
            accept(name in BESIDE, Reason.UNKNOWN_PART)
            boxes.margins.take(source, body, end)


def _one_aac_track(source: Source, boxes: Boxes) -> tuple[int, int]:
    """Sample rate and channels as stated; the decoder has the last word on channels."""
    accept(_body(source, boxes, b"hdlr", 12)[8:12] == b"soun", Reason.NOT_ONE_AUDIO_STREAM)
    # One data reference, and it says "in this file": a reader never follows an address.
    references = _body(source, boxes, b"dref", 8)
    accept(references[4:] == ONE_ENTRY + IN_THIS_FILE, Reason.UNKNOWN_PART)
    entries = _body(source, boxes, b"stsd", STSD_MIN_BYTES)
    accept(entries[4:8] == ONE_ENTRY, Reason.NOT_ONE_AUDIO_STREAM)
    accept(entries[12:16] == b"mp4a", Reason.UNKNOWN_CODEC)
    channels, rate = int.from_bytes(entries[32:34], "big"), int.from_bytes(entries[40:42], "big")
    expect(channels and rate)
    return rate, channels


def _body(source: Source, boxes: Boxes, name: bytes, least: int) -> bytes:
    if name not in boxes.seen:
        raise BrokenAudio
    body = source.read(*boxes.seen[name])
    expect(len(body) >= least)
    return body


def _rows(source: Source, boxes: Boxes, name: bytes, kind: str, columns: int) -> Numbers:
    body = _body(source, boxes, name, 8)
    count = int.from_bytes(body[4:8], "big")
    row_bytes = columns * np.dtype(kind).itemsize
    expect(count <= TABLE_ROWS_MAX and len(body) == 8 + count * row_bytes)
    return np.frombuffer(body, kind, offset=8).astype(np.int64).reshape(-1, columns)


def _sizes(source: Source, boxes: Boxes) -> Numbers:
    body = _body(source, boxes, b"stsz", STSZ_BYTES)
    size, count = struct.unpack(">II", body[4:STSZ_BYTES])
    expect(count <= TABLE_ROWS_MAX)
    if size:
        return np.full(count, size, np.int64)
    expect(len(body) == STSZ_BYTES + 4 * count)
    return np.frombuffer(body, ">u4", offset=STSZ_BYTES).astype(np.int64)


def _expect_filled(source: Source, boxes: Boxes, sizes: Numbers) -> None:
    """Each byte of the media data belongs to exactly one sample."""
    media_bytes = sum(stop - start for start, stop in boxes.media)
    expect(int(sizes.sum()) == media_bytes, Reason.BYTES_BEYOND_THE_END)
    if sizes.size == 0:
        return
    starts = _chunk_starts(source, boxes)
    bytes_before = np.append(0, np.cumsum(sizes))
    samples_before = np.append(0, np.cumsum(_samples_per_chunk(source, boxes, starts.size)))
    expect(samples_before[-1] == sizes.size)
    stops = starts + np.diff(bytes_before[samples_before])
    inside = np.zeros(starts.size, bool)
    for media_start, media_stop in boxes.media:
        inside |= (starts >= media_start) & (stops <= media_stop)
    expect(inside.all(), Reason.STATED_SIZE_EXCEEDS_FILE)
    order = np.argsort(starts, kind="stable")
    expect((starts[order][1:] >= stops[order][:-1]).all())


def _chunk_starts(source: Source, boxes: Boxes) -> Numbers:
    wide = b"co64" in boxes.seen
    name, kind = (b"co64", ">u8") if wide else (b"stco", ">u4")
    return _rows(source, boxes, name, kind, 1)[:, 0]


def _samples_per_chunk(source: Source, boxes: Boxes, chunks: int) -> Numbers:
    runs = _rows(source, boxes, b"stsc", ">u4", 3)
    # Each row holds from its first chunk (counted from 1) up to the next row's.
    lengths = np.diff(np.append(runs[:, 0], chunks + 1))
    expect(len(runs) > 0 and runs[0, 0] == 1 and (lengths > 0).all())
    expect((runs[:, 1] <= TABLE_ROWS_MAX).all())
    return np.repeat(runs[:, 1], lengths)


def _duration(source: Source, boxes: Boxes) -> tuple[int, int]:
    version = _body(source, boxes, b"mdhd", MDHD_MIN_BYTES)[:1]
    layout, offset, least = (">IQ", 20, 32) if version == b"\1" else (">II", 12, MDHD_MIN_BYTES)
    timescale, duration = struct.unpack_from(layout, _body(source, boxes, b"mdhd", least), offset)
    expect(timescale)
    expect(duration not in UNSTATED, Reason.LENGTH_NOT_STATED)
    return timescale, duration
