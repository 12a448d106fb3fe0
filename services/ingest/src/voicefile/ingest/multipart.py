"""Multipart bodies as they arrive: two parts, in their order, each byte seen once and kept nowhere.

`PartsParser` is pure: bytes in, what they mean out, whatever way they were cut. `Upload` reads a
request through it: first the metadata, whole and small, then the audio, piece by piece.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from starlette.requests import ClientDisconnect

from voicefile.chassis.limits import BodyTooLarge, BodyTooSlow
from voicefile.ingest.errors import (
    BoundaryUnfit,
    MetadataTooLarge,
    NotMultipart,
    PartDuplicate,
    PartMissing,
    PartOutOfOrder,
    PartTypeWrong,
    PartUnknown,
    UploadMalformed,
    UploadStalled,
    UploadTooLarge,
    UploadTruncated,
)
from voicefile.ingest.settings import IngestSettings

METADATA = "metadata"
AUDIO = "audio"
HEADER_CHARS_MAX = 1024

# RFC 2046, 5.1.1: one to seventy of these, and no blank at the end.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
# RFC 7578, 4.2: the extended forms (`name*=`) are no names here; they are other parameters.
_PARAMETER = re.compile(
    r""";\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s";]*))"""
)
_ESCAPED = re.compile(r"\\(.)")
_JSON_TYPES = frozenset({"", "application/json"})
_AUDIO_TYPES = ("audio/", "application/octet-stream", "application/ogg", "video/mp4", "video/webm")
_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True)
class PartBegan:
    """A part's head: what the sender calls it and says it is."""

    name: str
    content_type: str


class PartEnded:
    """A part is whole."""


@dataclass(frozen=True)
class BodyEnded:
    """The closing boundary has come."""

    epilogue_bytes: int = 0
    """What came behind it in the same piece."""


Piece = PartBegan | bytes | PartEnded | BodyEnded


class PartsParser:
    """Cuts a body into parts. What it answers for a body does not depend on how it was fed."""

    def __init__(self, boundary: str, *, settings: IngestSettings) -> None:
        self._found: list[Piece] = []
        self._closing_bytes = len(boundary) + len("\r\n----")
        self._stop = 0
        """Where in the piece at hand the last data or header ended."""
        self._ended = False
        self._data = bytearray()
        self._field = bytearray()
        self._value = bytearray()
        self._headers: dict[str, str] = {}
        self._parser = MultipartParser(
            boundary.encode("ascii"),
            {
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_head,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=settings.part_headers_max,
            max_header_size=settings.part_header_bytes_max,
        )

    def feed(self, data: bytes) -> list[Piece]:
        """What these bytes brought. Raises UploadMalformed and PartTypeWrong."""
        self._stop = 0
        try:
            self._parser.write(data)
        except FormParserError:
            # The parser's text quotes the body.
            raise UploadMalformed from None
        self._flush()
        if self._ended:
            behind = len(data) - self._stop - self._closing_bytes
            self._found.append(BodyEnded(epilogue_bytes=max(0, behind)))
            self._ended = False
        found, self._found = self._found, []
        return found

    def _flush(self) -> None:
        # Data full of half boundaries comes in many crumbs; one piece per feed costs less.
        if self._data:
            self._found.append(bytes(self._data))
            self._data.clear()

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._stop = end

    def _on_header(self) -> None:
        name = self._field.decode("ascii").lower()
        if name in self._headers:
            # Two answers to one question: whoever reads the other one sees another upload.
            raise UploadMalformed
        self._headers[name] = self._value.decode("utf-8", "replace")
        self._field.clear()
        self._value.clear()

    def _on_head(self) -> None:
        headers, self._headers = self._headers, {}
        disposition, parameters = _parameters(headers.get("content-disposition", ""))
        if disposition != "form-data" or "name" not in parameters:
            raise UploadMalformed
        if headers.get("content-transfer-encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
            raise PartTypeWrong
        kind, _ = _parameters(headers.get("content-type", ""))
        self._found.append(PartBegan(name=parameters["name"], content_type=kind))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]
        self._stop = end

    def _on_part_end(self) -> None:
        self._flush()
        self._found.append(PartEnded())

    def _on_end(self) -> None:
        self._ended = True


class Upload:
    """One request's body: `metadata` first, then `audio`, each once."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        content_type: str,
        *,
        settings: IngestSettings,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parser = PartsParser(boundary_of(content_type), settings=settings)
        self._settings = settings
        self._body = _Paced(body, settings=settings, monotonic_s=monotonic_s)
        self._waiting: list[Piece] = []
        self._ended = False

    async def metadata(self) -> bytes:
        """The first part, whole. Raises IngestRefused."""
        await self._begin(METADATA)
        whole = bytearray()
        async for piece in self._data():
            whole += piece
            if len(whole) > self._settings.metadata_bytes_max:
                raise MetadataTooLarge
        return bytes(whole)

    async def audio(self) -> AsyncIterator[bytes]:
        """The second part in pieces, then the end of the body. Raises IngestRefused."""
        await self._begin(AUDIO)
        received = 0
        async for piece in self._data():
            received += len(piece)
            if received > self._settings.upload_bytes_max:
                raise UploadTooLarge
            yield piece
        await self._close()

    async def _begin(self, wanted: str) -> None:
        head = await self._next()
        if isinstance(head, BodyEnded):
            raise PartMissing
        assert isinstance(head, PartBegan), "a part begins where the one before it has ended"
        _check_name(head.name, wanted)
        _check_type(head)

    async def _data(self) -> AsyncIterator[bytes]:
        while isinstance(piece := await self._next(), bytes):
            yield piece

    async def _close(self) -> None:
        after = await self._next()
        if isinstance(after, PartBegan):
            raise PartDuplicate if after.name in {METADATA, AUDIO} else PartUnknown
        assert isinstance(after, BodyEnded), "behind a part comes another one or the end"
        # What follows the closing boundary means nothing, but the connection is only
        # good for another request when all of it was read.
        epilogue_bytes = after.epilogue_bytes
        if epilogue_bytes > self._settings.epilogue_bytes_max:
            raise UploadMalformed
        async for piece in self._body:
            epilogue_bytes += len(piece)
            if epilogue_bytes > self._settings.epilogue_bytes_max:
                raise UploadMalformed

    async def _next(self) -> Piece:
        while not self._waiting:
            try:
                data = await anext(self._body)
            except StopAsyncIteration:
                raise UploadTruncated from None
            self._waiting = self._parser.feed(data)
            self._waiting.reverse()
        return self._waiting.pop()


class _Paced:
    """A request's body with the ways it can fail named, and a pace it must keep all the way."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        settings: IngestSettings,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._body = body
        self._settings = settings
        self._monotonic_s = monotonic_s
        self._window_s = 0.0
        self._window_bytes = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # Only waiting for the sender counts: a store that is slow is not the sender's fault.
        asked_s = self._monotonic_s()
        try:
            piece = await anext(self._body)
        except ClientDisconnect:
            raise UploadTruncated from None
        except BodyTooLarge:
            raise UploadTooLarge from None
        except BodyTooSlow:
            raise UploadStalled from None
        self._keep_pace(len(piece), self._monotonic_s() - asked_s)
        return piece

    def _keep_pace(self, brought: int, waited_s: float) -> None:
        self._window_bytes += brought
        self._window_s += waited_s
        if self._window_s < self._settings.upload_rate_window_s:
            return
        if self._window_bytes < self._window_s * self._settings.upload_rate_bytes_s_min:
            raise UploadStalled
        self._window_s, self._window_bytes = 0.0, 0


def boundary_of(content_type: str) -> str:
    """The boundary a request announces. Raises NotMultipart, BoundaryUnfit."""
    kind, parameters = _parameters(content_type)
    if kind != "multipart/form-data":
        raise NotMultipart
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BoundaryUnfit
    return boundary


def _check_name(name: str, wanted: str) -> None:
    if name == wanted:
        return
    if name not in {METADATA, AUDIO}:
        raise PartUnknown
    raise PartOutOfOrder if wanted == METADATA else PartDuplicate


def _check_type(head: PartBegan) -> None:
    # Only what can't be right is refused: what audio really is, the decoder finds out.
    fits = (
        head.content_type in _JSON_TYPES
        if head.name == METADATA
        else not head.content_type or head.content_type.startswith(_AUDIO_TYPES)
    )
    if not fits:
        raise PartTypeWrong


def _parameters(header: str) -> tuple[str, dict[str, str]]:
    """A header's value and its parameters. Raises UploadMalformed if one is given twice."""
    value, mark, rest = header.partition(";")
    rest = mark + rest
    parameters: dict[str, str] = {}
    while rest := rest.strip():
        found = _PARAMETER.match(rest)
        if len(header) > HEADER_CHARS_MAX or found is None:
            raise UploadMalformed
        name, quoted, plain = found["name"].lower(), found["quoted"], found["plain"]
        if name in parameters:
            raise UploadMalformed
        parameters[name] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        rest = rest[found.end() :]
    return value.strip().lower(), parameters
