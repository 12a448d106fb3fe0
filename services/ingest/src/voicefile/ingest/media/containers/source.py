"""The upload as the decoder process sees it: bytes asked for by position, a few blocks kept."""

from collections import OrderedDict
from collections.abc import Callable

from voicefile.ingest.media.errors import BrokenAudio, Reason

BLOCK_BYTES = 262_144
BLOCKS_KEPT = 8


class Source:
    """Random access to `size` bytes through `fetch(start, stop)`, which costs a question each."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self.size = size
        self._fetch = fetch
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes start..stop-1. Raises BrokenAudio beyond the end."""
        if not 0 <= start <= stop <= self.size:
            raise BrokenAudio(Reason.STATED_SIZE_EXCEEDS_FILE)
        first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        if first == last:
            offset = first * BLOCK_BYTES
            return self._block(first)[start - offset : stop - offset]
        joined = b"".join(self._block(number) for number in range(first, last + 1))
        return joined[start - first * BLOCK_BYTES : stop - first * BLOCK_BYTES]

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            start = number * BLOCK_BYTES
            block = self._fetch(start, min(start + BLOCK_BYTES, self.size))
            self._blocks[number] = block
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block


class SourceFile:
    """The same as the file object libav reads from; it can read and seek, nothing else."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def read(self, length: int) -> bytes:
        stop = min(self._position + length, self._source.size)
        piece = self._source.read(self._position, stop) if stop > self._position else b""
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        origin = (0, self._position, self._source.size)[whence]
        if origin + offset < 0:
            raise BrokenAudio
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position
