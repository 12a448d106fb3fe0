"""What stands beside the sound in a file: bounded, and free of other kinds of files."""

from voicefile.ingest.media.containers.source import Source
from voicefile.ingest.media.errors import BrokenAudio, Reason, UnrecognisedAudio

MARGINS_MAX_BYTES = 65_536
HEAD_BYTES = 1_024

# In lower case, as the text they are looked for in.
MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<svg", b"<iframe", b"<?php")
FOREIGN = (
    *MARKUP,
    b"%pdf-",
    b"javascript:",
    b"eicar-standard",
    b"pk\x01\x02",
    b"pk\x03\x04",
    b"pk\x05\x06",
    b"rar!\x1a",
    b"7z\xbc\xaf\x27\x1c",
    b"\x7felf",
    b"\x89png",
    b"gif87a",
    b"gif89a",
    b"\xff\xd8\xff",
    b"this program cannot be run",
)

ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22
ZIP_COMMENT_MAX = 65_535
ZIP_DIRECTORY = b"PK\x01\x02"


class Margins:
    """Collects the parts beside the sound of one upload."""

    def __init__(self) -> None:
        self._bytes = 0

    def take(self, source: Source, start: int, stop: int) -> bytes:
        """The part at start..stop-1. Raises BrokenAudio, UnrecognisedAudio."""
        self._bytes += stop - start
        if self._bytes > MARGINS_MAX_BYTES:
            raise UnrecognisedAudio(Reason.TOO_MUCH_BESIDE_THE_AUDIO)
        part = source.read(start, stop)
        lowered = part.lower()
        if any(signature in lowered for signature in FOREIGN):
            raise UnrecognisedAudio(Reason.FOREIGN_CONTENT)
        return part


def refuse_second_readers(source: Source) -> None:
    """Refuses a file that a reader of another kind would take for its own.

    Web browsers and PDF readers look for their marks near the start, unzippers for theirs near
    the end, wherever inside the sound they stand. Real sound meets these by chance once in
    10⁹ uploads or less.
    """
    head = source.read(0, min(HEAD_BYTES, source.size)).lower()
    if any(mark in head for mark in (*MARKUP, b"%pdf-")):
        raise UnrecognisedAudio(Reason.FOREIGN_CONTENT)
    tail_start = max(0, source.size - ZIP_END_BYTES - ZIP_COMMENT_MAX)
    tail = source.read(tail_start, source.size)
    found = tail.find(ZIP_END)
    while found >= 0:
        if _ends_zip(source, tail, tail_start, found):
            raise UnrecognisedAudio(Reason.FOREIGN_CONTENT)
        found = tail.find(ZIP_END, found + 1)


def _ends_zip(source: Source, tail: bytes, tail_start: int, found: int) -> bool:
    record = tail[found : found + ZIP_END_BYTES]
    if len(record) < ZIP_END_BYTES:
        return False
    directory_bytes = int.from_bytes(record[12:16], "little")
    directory_start = tail_start + found - directory_bytes
    if directory_bytes == 0 or directory_start < 0:
        return directory_bytes == 0
    return source.read(directory_start, directory_start + 4) == ZIP_DIRECTORY


def expect(condition: object, reason: Reason = Reason.MALFORMED) -> None:
    """Raises BrokenAudio with `reason` unless `condition` holds."""
    if not condition:
        raise BrokenAudio(reason)


def accept(condition: object, reason: Reason) -> None:
    """Raises UnrecognisedAudio with `reason` unless `condition` holds."""
    if not condition:
        raise UnrecognisedAudio(reason)
