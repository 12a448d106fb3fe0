"""MPEG-4 with one AAC track: known boxes, and samples that fill the media data to the byte."""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicefile.ingest.containers.margins import Margins, accept, expect
from voicefile.ingest.containers.recognised import Codec, Container, Recognised
from voicefile.ingest.containers.source import Source
from voicefile.ingest.media_errors import BrokenAudio, Reason

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

UNSTATED = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
SELF_CONTAINED = bytes.fromhex("0000000c75726c2000000001")
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
    accept(b"stbl" in boxes.seen, Reason.NOT_ONE_AUDIO_STREAM)
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


def _body(source: Source, boxes: Boxes, name: bytes) -> bytes:
    if name not in boxes.seen:
        raise BrokenAudio
    return source.read(*boxes.seen[name])


def _one_aac_track(source: Source, boxes: Boxes) -> tuple[int, int]:
    accept(_body(source, boxes, b"hdlr")[8:12] == b"soun", Reason.NOT_ONE_AUDIO_STREAM)
    # One data reference, and it says "in this file": a reader never follows an address.
    references = _body(source, boxes, b"dref")
    accept(references[4:8] == b"\0\0\0\1", Reason.UNKNOWN_PART)
    accept(references[8:] == SELF_CONTAINED, Reason.UNKNOWN_PART)
    entries = _body(source, boxes, b"stsd")
    accept(entries[4:8] == b"\0\0\0\1", Reason.NOT_ONE_AUDIO_STREAM)
    accept(entries[12:16] == b"mp4a", Reason.UNKNOWN_CODEC)
    expect(len(entries) >= 44)
    channels, rate = int.from_bytes(entries[32:34], "big"), int.from_bytes(entries[40:42], "big")
    expect(channels and rate)
    return rate, channels


def _rows(source: Source, boxes: Boxes, name: bytes, kind: str, columns: int) -> Numbers:
    body = _body(source, boxes, name)
    count = int.from_bytes(body[4:8], "big")
    expect(count <= TABLE_ROWS_MAX)
    numbers: NDArray[Any] = np.frombuffer(body[8:], kind)
    expect(len(body) >= 8 and numbers.size == count * columns)
    return numbers.astype(np.int64).reshape(-1, columns)


def _sizes(source: Source, boxes: Boxes) -> Numbers:
    body = _body(source, boxes, b"stsz")
    expect(len(body) >= 12)
    size, count = struct.unpack(">II", body[4:12])
    expect(count <= TABLE_ROWS_MAX)
    if size:
        return np.full(count, size, np.int64)
    expect(len(body) == 12 + 4 * count)
    return np.frombuffer(body[12:], ">u4").astype(np.int64)


def _expect_filled(source: Source, boxes: Boxes, sizes: Numbers) -> None:
    """Each byte of the media data belongs to exactly one sample."""
    wide = b"co64" in boxes.seen
    name, kind = (b"co64", ">u8") if wide else (b"stco", ">u4")
    starts = _rows(source, boxes, name, kind, 1)[:, 0]
    runs = _rows(source, boxes, b"stsc", ">u4", 3)
    first = runs[:, 0]
    expect(starts.size == 0 or (first.size and first[0] == 1))
    lengths = np.diff(np.append(first, starts.size + 1))
    expect((lengths > 0).all() or starts.size == 0)
    expect(np.where(runs[:, 1] > sizes.size, 1, 0).sum() == 0 or starts.size == 0)
    per_chunk = np.repeat(runs[:, 1], lengths) if starts.size else np.zeros(0, np.int64)
    expect(per_chunk.sum() == sizes.size)
    ends_of_samples = np.concatenate(([0], np.cumsum(sizes)))
    chunk_bytes = np.diff(ends_of_samples[np.concatenate(([0], np.cumsum(per_chunk)))])
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], (starts + chunk_bytes)[order]
    expect((starts[1:] >= stops[:-1]).all())
    inside = np.zeros(starts.size, bool)
    for media_start, media_stop in boxes.media:
        inside |= (starts >= media_start) & (stops <= media_stop)
    expect(inside.all(), Reason.STATED_SIZE_EXCEEDS_FILE)
    media_bytes = sum(stop - start for start, stop in boxes.media)
    expect(int(sizes.sum()) == media_bytes, Reason.BYTES_BEYOND_THE_END)


def _duration(source: Source, boxes: Boxes) -> tuple[int, int]:
    body = _body(source, boxes, b"mdhd")
    layout, offset = (">IQ", 20) if body[:1] == b"\1" else (">II", 12)
    expect(len(body) >= offset + struct.calcsize(layout))
    timescale, duration = struct.unpack_from(layout, body, offset)
    expect(timescale)
    expect(duration not in UNSTATED[1:], Reason.LENGTH_NOT_STATED)
    return timescale, duration
