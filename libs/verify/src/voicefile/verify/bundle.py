"""Bundles: evidence in one ZIP file, written while the audio streams by, read byte by byte."""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from voicefile.verify.evidence import Evidence
from voicefile.verify.guide import GUIDE_TEXT
from voicefile.verify.names import (
    AUDIO,
    BUNDLE,
    DEEDS,
    GUIDE,
    KEY_PROOF,
    LOG_KEY,
    PROOF,
    RECEIPT,
    RECEIPT_KEY,
    TEXTS,
)
from voicefile.verify.receipt import parse_receipt
from voicefile.verify.refuted import Refuted
from voicefile.verify.zip_plan import END_BYTES, Packed, directory, listed

TEXT_BYTES_MAX: Final = 16 * 1024 * 1024
DIRECTORY_BYTES_MAX: Final = 4096
PIECE_BYTES: Final = 1024 * 1024


class AudioDiffers(Exception):
    """The audio that streamed by is not the receipt's; what was written so far is no bundle."""


@dataclass(frozen=True)
class Papers:
    """Everything in a bundle but the audio."""

    receipt: str
    proof: str
    receipt_key: str
    key_proof: str
    log_key: str
    deeds: str

    def files(self) -> list[tuple[str, bytes]]:
        """The files in their order."""
        texts = {
            GUIDE: GUIDE_TEXT,
            LOG_KEY: self.log_key,
            RECEIPT: self.receipt,
            PROOF: self.proof,
            RECEIPT_KEY: self.receipt_key,
            KEY_PROOF: self.key_proof,
            DEEDS: self.deeds,
        }
        return [(name, texts[name].encode()) for name in TEXTS]


class BundleWriter:
    """Turns evidence into a ZIP while the audio streams by; nothing is kept, no file is made.

    `begin`, then `audio` for each piece, then `end`: each answers the bytes to send on. The same
    evidence makes the same bytes. `audio_file` is one of `names.AUDIO`.
    """

    def __init__(self, papers: Papers, audio_file: str) -> None:
        self._papers = papers
        self._audio_file = audio_file
        self._wanted = parse_receipt(papers.receipt).audio_sha256
        self._entries: list[Packed] = []
        self._hash = hashlib.sha256()
        self._crc = 0
        self._size = 0

    def begin(self) -> bytes:
        """Everything before the audio."""
        parts: list[bytes] = []
        offset = 0
        for name, content in self._papers.files():
            entry = Packed(name, zlib.crc32(content), len(content), offset, streamed=False)
            parts += [entry.local_header(), content]
            offset = entry.end
            self._entries.append(entry)
        return b"".join([*parts, self._streamed(offset).local_header()])

    def audio(self, piece: bytes) -> bytes:
        """A piece of the audio."""
        self._hash.update(piece)
        self._crc = zlib.crc32(piece, self._crc)
        self._size += len(piece)
        return piece

    def end(self) -> bytes:
        """Everything behind the audio. Raises AudioDiffers, ValueError above 4 GiB."""
        if self._hash.hexdigest() != self._wanted:
            raise AudioDiffers
        entry = self._streamed(self._entries[-1].end)
        return entry.descriptor() + directory([*self._entries, entry])

    def size(self, audio_bytes: int) -> int:
        """How long the bundle will be, for an audio of that length; after `begin`."""
        entry = Packed(self._audio_file, 0, audio_bytes, self._entries[-1].end, streamed=True)
        return entry.end + len(directory([*self._entries, entry]))

    def _streamed(self, offset: int) -> Packed:
        return Packed(self._audio_file, self._crc, self._size, offset, streamed=True)


@dataclass
class _Read:
    texts: dict[str, str] = field(default_factory=dict)
    audio_file: str = ""
    audio_sha256: str = ""


def read_bundle(file: BinaryIO) -> Evidence:
    """The evidence in a bundle, if each byte around it is what the format says. Raises Refuted."""
    entries = _directory(file)
    found = _Read()
    for entry in entries:
        _expect(file, entry.offset, entry.local_header())
        if entry.streamed:
            found.audio_file, found.audio_sha256 = entry.name, _audio(file, entry)
        else:
            found.texts[entry.name] = text_of(entry.name, _content(file, entry))
        _expect(file, entry.content_at + entry.size, entry.descriptor())
    return evidence_of(found.texts, found.audio_file, found.audio_sha256)


def evidence_of(texts: dict[str, str], audio_file: str, audio_sha256: str) -> Evidence:
    """Evidence from a bundle's files by name."""
    return Evidence(
        receipt=texts[RECEIPT],
        proof=texts[PROOF],
        receipt_key=texts[RECEIPT_KEY],
        key_proof=texts[KEY_PROOF],
        log_key=texts[LOG_KEY],
        audio_file=audio_file,
        audio_sha256=audio_sha256,
        deeds=texts[DEEDS],
        guide=texts[GUIDE],
    )


def text_of(name: str, content: bytes) -> str:
    """A file's text. Raises Refuted."""
    try:
        return content.decode("ascii" if name == RECEIPT else "utf-8")
    except UnicodeDecodeError as error:
        raise Refuted(name, f"byte {error.start}", "not text") from None


def _directory(file: BinaryIO) -> list[Packed]:
    """The entries, once their names, their places and the directory's own bytes are right."""
    size = file.seek(0, os.SEEK_END)
    if size < END_BYTES:
        raise Refuted(BUNDLE, "whole", "not a ZIP file")
    end = _at(file, size - END_BYTES, END_BYTES)
    length, offset = struct.unpack_from("<II", end, 12)
    if offset + length + END_BYTES != size or length > DIRECTORY_BYTES_MAX:
        raise Refuted(BUNDLE, f"byte {size - END_BYTES}", "not the end of a bundle")
    raw = _at(file, offset, length)
    entries: list[Packed] = []
    at = 0
    while at < length:
        try:
            entry, at = listed(raw, at)
        except ValueError:
            raise Refuted(BUNDLE, f"byte {offset + at}", "not a bundle's directory") from None
        entries.append(entry)
    _check_names(entries)
    _check_places(entries, offset)
    _same(raw + end, directory(entries), offset)
    return entries


def _check_names(entries: list[Packed]) -> None:
    names = [entry.name for entry in entries]
    for name in TEXTS:
        if names.count(name) != 1:
            raise Refuted(name, "whole", "missing, or there twice")
    if names[:-1] != list(TEXTS) or names[-1] not in AUDIO:
        raise Refuted(BUNDLE, "directory", "other files, or in another order, than the format's")


def _check_places(entries: list[Packed], directory_at: int) -> None:
    expected = 0
    for entry in entries:
        if entry.offset != expected or entry.streamed != (entry is entries[-1]):
            raise Refuted(BUNDLE, entry.name, "lies elsewhere than the format says")
        if not entry.streamed and entry.size > TEXT_BYTES_MAX:
            raise Refuted(entry.name, "whole", "too large")
        expected = entry.end
    if expected != directory_at:
        raise Refuted(BUNDLE, f"byte {expected}", "bytes that belong to no file")


def _content(file: BinaryIO, entry: Packed) -> bytes:
    content = _at(file, entry.content_at, entry.size)
    if zlib.crc32(content) != entry.crc:
        raise Refuted(entry.name, "whole", "damaged: not the content that was packed")
    return content


def _audio(file: BinaryIO, entry: Packed) -> str:
    digest, crc = hashlib.sha256(), 0
    for piece in _pieces(file, entry.content_at, entry.size):
        digest.update(piece)
        crc = zlib.crc32(piece, crc)
    if crc != entry.crc:
        raise Refuted(entry.name, "whole", "damaged: not the content that was packed")
    return digest.hexdigest()


def _pieces(file: BinaryIO, at: int, size: int) -> Iterator[bytes]:
    file.seek(at)
    while size > 0:
        piece = file.read(min(size, PIECE_BYTES))
        if not piece:
            raise Refuted(BUNDLE, "whole", "ends too early")
        size -= len(piece)
        yield piece


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    return b"".join(_pieces(file, offset, size))


def _expect(file: BinaryIO, at: int, expected: bytes) -> None:
    _same(_at(file, at, len(expected)), expected, at)


def _same(given: bytes, expected: bytes, at: int) -> None:
    if given != expected:
        length = min(len(given), len(expected))
        differs = next((i for i in range(length) if given[i] != expected[i]), length)
        raise Refuted(BUNDLE, f"byte {at + differs}", "not what the format says")
