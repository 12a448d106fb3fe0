"""Builds and bends containers byte by byte, for uploads that no honest program writes."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

SILENT_MP3_FRAME = bytes.fromhex("ffe318c0") + bytes(68)
"""72 ms of silence: MPEG-2.5 layer III, 8 kHz, mono, 8 kbit/s."""
SILENT_MP3_FRAME_S = 0.072


def chunk(name: bytes, body: bytes, *, stated: int | None = None) -> bytes:
    """A RIFF chunk, padded; `stated` is what it claims for its length."""
    length = len(body) if stated is None else stated
    return name + struct.pack("<I", length) + body + bytes(len(body) % 2)


def riff(*chunks: bytes, stated: int | None = None, magic: bytes = b"RIFF") -> bytes:
    """A WAVE file of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if stated is None else stated) + body


def fmt(
    tag: int = 1, channels: int = 1, rate: int = 8_000, bits: int = 16, block: int | None = None
) -> bytes:
    """A `fmt ` chunk of 16 bytes."""
    align = channels * bits // 8 if block is None else block
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align, align & 0xFFFF, bits)
    )


def id3v2(body: bytes, *, size_field: bytes | None = None) -> bytes:
    """An ID3v2.4 tag; `size_field` overrides the four bytes of its length."""
    septets = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + (size_field or septets) + body


def id3_frame(name: bytes, body: bytes) -> bytes:
    """One frame of an ID3v2.4 tag."""
    return name + bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\0\0" + body


@cache
def _ogg_crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
        table.append(crc)
    return table


def ogg_crc(page: bytes) -> int:
    """The checksum of RFC 3533, bit by bit in its table."""
    table, crc = _ogg_crc_table(), 0
    for byte in page:
        crc = crc << 8 & 0xFFFFFFFF ^ table[crc >> 24 ^ byte]
    return crc


def ogg_page(
    packets: Sequence[bytes],
    *,
    number: int,
    granule: int,
    flags: int = 0,
    serial: int = 7,
    unfinished: bool = False,
) -> bytes:
    """A page of these packets; the last goes on on the next page if `unfinished`."""
    segments = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    if unfinished:
        segments = segments[:-1]
    header = struct.pack("<4sBBQIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(segments))
    page = header + segments + b"".join(packets)
    return page[:22] + struct.pack("<I", ogg_crc(page)) + page[26:]


def ogg_pages(stream: bytes) -> list[bytes]:
    """The stream cut into its pages."""
    pages = []
    while stream:
        segments = stream[27 : 27 + stream[26]]
        length = 27 + len(segments) + sum(segments)
        pages.append(stream[:length])
        stream = stream[length:]
    return pages


def opus_head(channels: int = 1, family: int = 0, pre_skip: int = 312) -> bytes:
    """The first packet of an Opus stream."""
    head = b"OpusHead\x01" + struct.pack("<BHIhB", channels, pre_skip, 8_000, 0, family)
    return head if family == 0 else head + bytes([channels, 0]) + bytes(range(channels))


OPUS_TAGS = b"OpusTags\x04\0\0\0none\0\0\0\0"
SILENT_OPUS_PACKET = b"\x0b\x06"
"""120 ms of silence: SILK narrowband, six empty frames of 20 ms."""
SILENT_OPUS_SAMPLES = 5_760


def silent_opus(seconds: float, *, stated_s: float | None = None) -> bytes:
    """Hours of silence in few bytes."""
    pages = [
        ogg_page([opus_head()], number=0, granule=0, flags=2),
        ogg_page([OPUS_TAGS], number=1, granule=0),
    ]
    left = round(seconds * 48_000 / SILENT_OPUS_SAMPLES)
    told = 312 + round((seconds if stated_s is None else stated_s) * 48_000)
    granule = 0
    while left:
        count = min(left, 255)
        left -= count
        granule = min(granule + count * SILENT_OPUS_SAMPLES, told)
        packets = [SILENT_OPUS_PACKET] * count
        last = left == 0
        pages.append(
            ogg_page(
                packets,
                number=len(pages),
                granule=told if last else granule,
                flags=4 if last else 0,
            )
        )
    return b"".join(pages)


def _crc(data: bytes, *, polynomial: int, bits: int) -> int:
    crc, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        crc ^= byte << bits - 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
    return crc


def silent_flac(seconds: float, *, stated_s: float | None = None, rate: int = 8_000) -> bytes:
    """Hours of digital silence: 4 seconds a frame, 14 bytes each."""
    block = 32_768
    told = round((seconds if stated_s is None else stated_s) * rate)
    info = struct.pack(">HH6s", block, block, bytes(6))
    info += (rate << 44 | 15 << 36 | told).to_bytes(8, "big") + bytes(16)
    frames = b"".join(_silent_flac_frame(n, block) for n in range(round(seconds * rate / block)))
    return b"fLaC" + flac_block(0, info, last=True) + frames


def _silent_flac_frame(number: int, block: int) -> bytes:
    header = b"\xff\xf8\x70\x08" + chr(number).encode("utf-8", "surrogatepass")
    header += struct.pack(">H", block - 1)
    header += bytes([_crc(header, polynomial=0x07, bits=8)])
    frame = header + b"\0\0\0"
    return frame + struct.pack(">H", _crc(frame, polynomial=0x8005, bits=16))


def flac_block(kind: int, body: bytes, *, last: bool = False) -> bytes:
    """One metadata block."""
    return bytes([kind | 0x80 * last]) + len(body).to_bytes(3, "big") + body


def flac_blocks(stream: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Metadata blocks of a stream, and its frames."""
    blocks, at, last = [], 4, False
    while not last:
        last, kind = bool(stream[at] & 0x80), stream[at] & 0x7F
        length = int.from_bytes(stream[at + 1 : at + 4], "big")
        blocks.append((kind, stream[at + 4 : at + 4 + length]))
        at += 4 + length
    return blocks, stream[at:]


def join_flac(blocks: Iterable[tuple[int, bytes]], frames: bytes) -> bytes:
    """The other way round."""
    listed = list(blocks)
    joined = b"".join(
        flac_block(kind, body, last=number == len(listed))
        for number, (kind, body) in enumerate(listed, start=1)
    )
    return b"fLaC" + joined + frames


PARENT_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf"}


@dataclass
class Box:
    """A box of an MPEG-4 file: either a body or boxes of its own."""

    name: bytes
    body: bytes = b""
    boxes: list["Box"] | None = None

    def find(self, *path: bytes) -> "Box":
        """The box at this path below."""
        assert self.boxes is not None
        found = next(box for box in self.boxes if box.name == path[0])
        return found.find(*path[1:]) if path[1:] else found

    def encode(self) -> bytes:
        body = self.body if self.boxes is None else b"".join(b.encode() for b in self.boxes)
        return struct.pack(">I4s", 8 + len(body), self.name) + body


def boxes(data: bytes) -> Box:
    """A file as one box around its boxes."""
    return Box(b"file", boxes=_boxes(data))


def _boxes(data: bytes) -> list[Box]:
    found = []
    while data:
        length, name = struct.unpack_from(">I4s", data)
        body = data[8:length]
        parent = name in PARENT_BOXES
        found.append(Box(name, boxes=_boxes(body)) if parent else Box(name, body))
        data = data[length:]
    return found


def mp4(file: Box) -> bytes:
    """The file of these boxes."""
    assert file.boxes is not None
    return b"".join(box.encode() for box in file.boxes)
