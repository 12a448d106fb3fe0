"""A dump on its way: heads in clear, of which each says how many sealed bytes follow it.

    u32 length of the head ‖ head (JSON) ‖ as many sealed bytes as the head says

The first head names the dump and brings its boxes, the last one says that this was all. Nothing in
a head is secret, and nothing in it is believed by whoever opens the dump.
"""

import base64
import struct
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from voicefile.crypto.envelope import MAGIC, Kind
from voicefile.dumps.errors import FrameInvalid

HEAD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Counts of some ten thousand tenants."""
SEALED_BYTES_MAX: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")


class Begin(Struct, frozen=True, tag="begin"):
    """The first head: whose dump this is, and its key for each recipient, in base64."""

    dump: str
    service: str
    boxes: dict[str, str]
    since: str = ""
    """The mark of the dump whose changes it holds; empty: it holds all there is."""
    mark: str = ""
    """What a later one may be asked to begin at."""


class SegmentHead(Struct, frozen=True, tag="segment"):
    """Before each segment."""

    number: int
    kind: str
    items: int
    sealed_bytes: int


class End(Struct, frozen=True, tag="end"):
    """The last head. A dump without it broke off."""

    segments: int
    documents: dict[str, int]
    """By tenant."""
    recordings: dict[str, int]
    left_out: int


Head = Begin | SegmentHead | End
_encode = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Head)


@dataclass(frozen=True)
class Frame:
    """A head, and the sealed segment behind it if it has one."""

    head: Head
    sealed: bytes = b""

    def encode(self) -> bytes:
        head = _encode(self.head)
        return _LENGTH.pack(len(head)) + head + self.sealed


def boxes_text(boxes: dict[str, bytes]) -> dict[str, str]:
    """Boxes as heads and manifests hold them."""
    return {name: base64.b64encode(box).decode() for name, box in boxes.items()}


def looks_sealed(sealed: bytes) -> bool:
    """Whether it begins like a backup segment: whoever has no key can tell no more than that."""
    return sealed[:4] == MAGIC and sealed[5:6] == bytes((Kind.BACKUP_SEGMENT,))


async def frames(stream: AsyncIterable[bytes]) -> AsyncIterator[Frame]:
    """The frames as they arrive, one in memory at a time. Raises FrameInvalid."""
    taken = _Taken(stream)
    while True:
        (length,) = _LENGTH.unpack(await taken.exactly(_LENGTH.size))
        if length > HEAD_BYTES_MAX:
            raise FrameInvalid("a head is too long")
        try:
            head = _decode.decode(await taken.exactly(length))
        except msgspec.MsgspecError:
            raise FrameInvalid("a head can't be read") from None
        sealed = b""
        if isinstance(head, SegmentHead):
            if not 0 < head.sealed_bytes <= SEALED_BYTES_MAX:
                raise FrameInvalid("a segment is too long")
            sealed = await taken.exactly(head.sealed_bytes)
        if isinstance(head, End):
            await taken.nothing_more()
        yield Frame(head, sealed)
        if isinstance(head, End):
            return


class _Taken:
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = aiter(stream)
        self._held = bytearray()

    async def nothing_more(self) -> None:
        """Reads the stream to its own end, or whoever sends it sees us leave."""
        rest: bytes = await anext(self._stream, b"")
        if self._held or rest:
            raise FrameInvalid("something follows the end")

    async def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            piece = await anext(self._stream, b"")
            if not piece:
                raise FrameInvalid("the dump broke off")
            self._held += piece
        found = bytes(self._held[:count])
        del self._held[:count]
        return found
