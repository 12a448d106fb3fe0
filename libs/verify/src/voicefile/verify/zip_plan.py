"""How a bundle's bytes lie: a ZIP of stored entries in which nothing is left to the writer.

Every byte that is not content follows from the names, sizes and checksums. So the same evidence
is the same bytes, whoever writes it, and a reader can hold each byte against what it must be.
Of the last entry the writer learns size and checksum while it streams: they follow in a data
descriptor (flag bit 3). Without ZIP64; a bundle is smaller than 4 GiB.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

VERSION: Final = 20
STREAMED: Final = 0x0008
DATE: Final = 0x0021
"""1980-01-01, the first day ZIP knows: when a bundle was written is nobody's business."""
SIZE_MAX: Final = 2**32 - 2
LOCAL, CENTRAL, DESCRIPTOR, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08", b"PK\x05\x06"
LOCAL_BYTES: Final = 30
CENTRAL_BYTES: Final = 46
DESCRIPTOR_BYTES: Final = 16
END_BYTES: Final = 22


@dataclass(frozen=True)
class Packed:
    """One entry, as the directory lists it."""

    name: str
    crc: int
    size: int
    offset: int
    """Of its local header."""
    streamed: bool

    @property
    def content_at(self) -> int:
        """Where its content begins."""
        return self.offset + LOCAL_BYTES + len(self.name)

    @property
    def end(self) -> int:
        """Where the next thing begins."""
        return self.content_at + self.size + (DESCRIPTOR_BYTES if self.streamed else 0)

    def local_header(self) -> bytes:
        """What stands before the content."""
        flags = STREAMED if self.streamed else 0
        sizes = (0, 0, 0) if self.streamed else (self.crc, self.size, self.size)
        fixed = struct.pack("<HHHHHIIIHH", VERSION, flags, 0, 0, DATE, *sizes, len(self.name), 0)
        return LOCAL + fixed + self.name.encode("ascii")

    def descriptor(self) -> bytes:
        """What stands behind the content of a streamed entry."""
        if not self.streamed:
            return b""
        return DESCRIPTOR + struct.pack("<III", self.crc, self.size, self.size)

    def central_header(self) -> bytes:
        """Its line in the directory."""
        flags = STREAMED if self.streamed else 0
        before = (VERSION, VERSION, flags, 0, 0, DATE, self.crc, self.size, self.size)
        after = (len(self.name), 0, 0, 0, 0, 0, self.offset)
        return CENTRAL + struct.pack("<HHHHHHIIIHHHHHII", *before, *after) + self.name.encode()


def directory(entries: Sequence[Packed]) -> bytes:
    """The directory and the end of the file. Raises ValueError if that is too far away."""
    lines = b"".join(entry.central_header() for entry in entries)
    offset = entries[-1].end if entries else 0
    if offset + len(lines) > SIZE_MAX:
        raise ValueError("a bundle is smaller than 4 GiB")
    count = len(entries)
    return lines + END + struct.pack("<HHHHIIH", 0, 0, count, count, len(lines), offset, 0)


def listed(raw: bytes, at: int) -> tuple[Packed, int]:
    """The directory's entry at `at`, and where the next begins. Raises ValueError.

    Only what the other bytes follow from is read; `central_header` says what they must be.
    """
    fixed = raw[at : at + CENTRAL_BYTES]
    if len(fixed) < CENTRAL_BYTES:
        raise ValueError("the directory ends too early")
    flags = struct.unpack_from("<H", fixed, 8)[0]
    crc, size, _, name_bytes = struct.unpack_from("<IIIH", fixed, 16)
    offset = struct.unpack_from("<I", fixed, 42)[0]
    name = raw[at + CENTRAL_BYTES : at + CENTRAL_BYTES + name_bytes].decode("ascii")
    return Packed(name, crc, size, offset, flags == STREAMED), at + CENTRAL_BYTES + name_bytes
