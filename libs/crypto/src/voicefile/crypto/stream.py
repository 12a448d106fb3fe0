"""VFE1's body: sealed chunk by chunk while the bytes arrive, opened chunk by chunk in any order.

Every chunk but the last is full and the last never is, so a length has one shape only and a full
chunk can be sealed at once. The reader opens the last chunk first: until it opens, the length is
only a claim.
"""

from voicefile.crypto.envelope import (
    CHUNK,
    CHUNKS_MAX,
    HEADER,
    STREAMED,
    Context,
    Envelope,
    Suite,
    sealed_sizes,
)
from voicefile.crypto.errors import CryptoError, Malformed, OutOfOrder, Reason, Tampered
from voicefile.crypto.primitives import TAG
from voicefile.crypto.secret import Secret, SecretKey

__all__ = ["CHUNK", "CHUNKS_MAX", "HEADER", "TAG", "Opener", "Sealer", "open_whole", "seal"]

SEALED_CHUNK = CHUNK + TAG

Bytes = bytes | bytearray | memoryview


class Sealer(Secret):
    """Seals one object as its bytes arrive: `header`, then each `update`, then `finish`."""

    __slots__ = ("_envelope", "_finished", "_full_max", "_next", "_pad", "_rest")

    def __init__(
        self,
        key: SecretKey,
        context: Context,
        *,
        suite: Suite | None = None,
        pad: bool = False,
        _salt: bytes | None = None,
    ) -> None:
        self._envelope = Envelope.create(key, context, suite, _salt=_salt)
        self._full_max = CHUNKS_MAX - 1 if context.kind in STREAMED else 0
        self._pad = pad
        self._rest = bytearray()
        self._next = 0
        self._finished = False

    @property
    def header(self) -> bytes:
        """The object's first 76 bytes."""
        return self._envelope.header

    def update(self, data: Bytes) -> bytes:
        """Takes any number of bytes; answers the chunks they completed, sealed."""
        if self._finished:
            raise OutOfOrder("the object is finished")
        view = memoryview(data).cast("B")
        source = data if isinstance(data, bytes) else view  # slices of bytes copy less
        sealed: list[bytes] = []
        start = 0
        if self._rest:
            start = min(CHUNK - len(self._rest), len(view))
            self._rest += view[:start]
            if len(self._rest) == CHUNK:
                sealed.append(self._full(bytes(self._rest)))
                self._rest.clear()
        while len(view) - start >= CHUNK:
            sealed.append(self._full(source[start : start + CHUNK]))
            start += CHUNK
        self._rest += view[start:]
        return sealed[0] if len(sealed) == 1 else b"".join(sealed)

    def finish(self) -> bytes:
        """The last chunk; with padding, before it the one that the zeros filled."""
        if self._finished:
            raise OutOfOrder("the object is finished")
        rest, filled = bytes(self._rest), b""
        if self._pad and rest:
            rest, filled = b"", self._full(rest.ljust(CHUNK, b"\0"))
        self._finished = True
        self._rest.clear()
        return filled + self._envelope.seal(self._next, rest, final=True)

    def _full(self, plain: Bytes) -> bytes:
        if self._next >= self._full_max:
            raise Malformed("too long for one object of this kind")
        sealed = self._envelope.seal(self._next, bytes(plain), final=False)
        self._next += 1
        return sealed


class Opener(Secret):
    """Opens one object's chunks where they lie; only the asked chunk is ever read.

    The header is checked on construction. The last chunk must be opened before any other, and
    after one failure nothing more opens: a damaged recording is not played in parts.
    """

    __slots__ = ("_broken", "_envelope", "_proven", "chunks", "plain_bytes", "sealed_bytes")

    def __init__(self, key: SecretKey, context: Context, header: bytes, sealed_bytes: int) -> None:
        self._envelope = Envelope.admit(key, context, header)
        full, rest = divmod(sealed_bytes - HEADER, SEALED_CHUNK)
        if sealed_bytes not in sealed_sizes(context.kind) or rest < TAG:
            raise Tampered(Reason.SIZE)
        self.sealed_bytes = sealed_bytes
        self.chunks = full + 1
        self.plain_bytes = full * CHUNK + rest - TAG
        self._proven = False
        self._broken = False

    @property
    def last(self) -> int:
        """The index of the chunk to open first."""
        return self.chunks - 1

    def span(self, index: int) -> tuple[int, int]:
        """Where the chunk lies in the sealed object: its first byte, and the first after it."""
        if not 0 <= index < self.chunks:
            raise Malformed("no such chunk")
        start = HEADER + index * SEALED_CHUNK
        return start, min(start + SEALED_CHUNK, self.sealed_bytes)

    def open(self, index: int, sealed_chunk: Bytes) -> bytes:
        """The chunk's plaintext. Raises Tampered, and OutOfOrder before the last was opened."""
        start, stop = self.span(index)
        final = index == self.last
        if self._broken:
            raise Tampered(Reason.CHUNK)
        if not (final or self._proven):
            raise OutOfOrder("the last chunk proves the length: open it first")
        try:
            if len(sealed_chunk) != stop - start:
                raise Tampered(Reason.SIZE)
            plain = self._envelope.open(index, bytes(sealed_chunk), final=final)
        except CryptoError as error:
            self._broken = True
            wanted = str(error) == Reason.CHUNK and final
            raise (Tampered(Reason.LAST_CHUNK) if wanted else error) from None
        self._proven = True
        return plain


def seal(
    key: SecretKey,
    context: Context,
    plaintext: bytes,
    *,
    suite: Suite | None = None,
    pad: bool = False,
) -> bytes:
    """A whole object at once: for small ones; larger ones go through a Sealer."""
    sealer = Sealer(key, context, suite=suite, pad=pad)
    return b"".join((sealer.header, sealer.update(plaintext), sealer.finish()))


def open_whole(key: SecretKey, context: Context, sealed: bytes) -> bytes:
    """A whole object at once; nothing is answered unless every chunk opens. Raises Tampered."""
    view = memoryview(sealed)
    opener = Opener(key, context, bytes(view[:HEADER]), len(view))

    def chunk(index: int) -> bytes:
        start, stop = opener.span(index)
        return opener.open(index, view[start:stop])

    tail = chunk(opener.last)
    return b"".join([*(chunk(index) for index in range(opener.last)), tail])
