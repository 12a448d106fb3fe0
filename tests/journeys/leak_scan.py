"""Looks for patterns in all bytes of a folder: every file raw, every SQLite cell, every container.

Thousands of patterns at once: each has four bytes (its anchor) that a table finds at any offset.
"""

import bz2
import lzma
import re
import shutil
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

_ANCHOR_BYTES = 4
_TABLE_BITS = 22
_MULTIPLIER = np.uint32(2_654_435_761)
_CONTAINER = re.compile(
    rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]|BZh[1-9]1AY&SY|\xfd7zXZ\x00|PK\x03\x04", re.DOTALL
)
_UNPACKED_BYTES_MAX = 1 << 22
_UNPACKED_BYTES_MIN = 16
_DEPTH_MAX = 3
_SQLITE = b"SQLite format 3\x00"
_HEXADECIMAL = b"0123456789abcdef"
DIGITS_ANYWHERE = 10
BETWEEN_CELLS = bytes(8)


@dataclass(frozen=True, order=True)
class Leak:
    """A value that was found, as what, and where."""

    what: str
    encoding: str
    where: str


class Patterns:
    """Byte patterns with their labels, ready to be looked for."""

    def __init__(self, labelled: Iterable[tuple[tuple[str, str], bytes]]) -> None:
        self._labels: dict[bytes, tuple[str, str]] = {}
        self._of_anchor: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        for label, pattern in labelled:
            if pattern in self._labels:
                continue
            self._labels[pattern] = label
            at = max(
                range(len(pattern) - _ANCHOR_BYTES + 1),
                key=lambda start: len(set(pattern[start : start + _ANCHOR_BYTES])),
            )
            anchor = pattern[at : at + _ANCHOR_BYTES]
            self._of_anchor[anchor].append((at, pattern))
            self._table[self._slots(np.frombuffer(anchor, "<u4"))] = True

    def __len__(self) -> int:
        return len(self._labels)

    def within(self, data: bytes) -> set[tuple[str, str]]:
        """The labels of all patterns that stand anywhere in these bytes."""
        found: set[tuple[str, str]] = set()
        for offset in range(_ANCHOR_BYTES):
            count = (len(data) - offset) // _ANCHOR_BYTES
            if count <= 0:
                continue
            words = np.frombuffer(data, "<u4", count=count, offset=offset)
            for index in np.flatnonzero(self._table[self._slots(words)]):
                at = offset + _ANCHOR_BYTES * int(index)
                for before, pattern in self._of_anchor.get(data[at : at + _ANCHOR_BYTES], ()):
                    if at >= before and _stands_at(at - before, pattern, data):
                        found.add(self._labels[pattern])
        return found

    @staticmethod
    def _slots(words: "np.ndarray[tuple[int, ...], np.dtype[np.uint32]]") -> np.ndarray:
        return (words * _MULTIPLIER) >> np.uint32(32 - _TABLE_BITS)


def _stands_at(start: int, pattern: bytes, data: bytes) -> bool:
    if not data.startswith(pattern, start):
        return False
    if len(pattern) >= DIGITS_ANYWHERE or not pattern.isdigit():
        return True
    # Few digits occur by chance in the middle of the hexadecimal ids of logs: there they are none.
    beside = data[max(start - 1, 0) : start] + data[start + len(pattern) : start + len(pattern) + 1]
    return not any(sign in _HEXADECIMAL for sign in beside)


def leaks_in_bytes(data: bytes, patterns: Patterns, where: str) -> set[Leak]:
    """In these bytes, and in whatever is compressed in them."""
    return {
        Leak(what, encoding, place)
        for place, plain in _layers(data, where)
        for what, encoding in patterns.within(plain)
    }


def leaks_in_folder(folder: Path, patterns: Patterns) -> set[Leak]:
    """In every file's bytes and name, and in every cell of every database."""
    found: set[Leak] = set()
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        found |= leaks_in_bytes(where.encode(), patterns, f"{where} (its name)")
        if path.is_file():
            data = path.read_bytes()
            found |= leaks_in_bytes(data, patterns, where)
            if data.startswith(_SQLITE):
                found |= leaks_in_bytes(cells_of(path), patterns, f"{where} (cells)")
    return found


def cells_of(database: Path) -> bytes:
    """Every cell: a value that crosses pages is whole only here."""
    with TemporaryDirectory() as elsewhere:
        # Opening a database empties its log into it; the log's own bytes are to be searched, too.
        for beside in database.parent.glob(f"{database.name}*"):
            if not beside.name.endswith("-shm"):
                shutil.copy(beside, elsewhere)
        return _cells(Path(elsewhere, database.name))


def _cells(database: Path) -> bytes:
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        cells = [
            cell if isinstance(cell, bytes) else str(cell).encode()
            for (table,) in tables.fetchall()
            for row in connection.execute(f'select * from "{table.decode()}"')
            for cell in row
            if cell is not None
        ]
    return BETWEEN_CELLS.join(cells)


def _layers(data: bytes, where: str, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    yield where, data
    if depth == _DEPTH_MAX:
        return
    for match in _CONTAINER.finditer(data):
        unpacked = _unpacked(data, match.start())
        if len(unpacked) >= _UNPACKED_BYTES_MIN:
            yield from _layers(unpacked, f"{where} (unpacked)", depth + 1)


def _unpacked(data: bytes, at: int) -> bytes:
    magic = data[at : at + 2]
    if magic == b"PK":
        name, extra = data[at + 26 : at + 28], data[at + 28 : at + 30]
        at += 30 + int.from_bytes(name, "little") + int.from_bytes(extra, "little")
    reader = {
        b"BZ": bz2.BZ2Decompressor,
        b"\xfd7": lzma.LZMADecompressor,
        b"\x1f\x8b": lambda: zlib.decompressobj(31),
        b"PK": lambda: zlib.decompressobj(-15),
    }.get(magic, zlib.decompressobj)()
    found = bytearray()
    # Small bites: what opens before the data turns out to be no container counts, too.
    while at < len(data) and len(found) < _UNPACKED_BYTES_MAX:
        try:
            found += reader.decompress(data[at : at + 4096], _UNPACKED_BYTES_MAX)
        except (zlib.error, lzma.LZMAError, OSError, EOFError):
            break
        if reader.eof:
            break
        at += 4096
    return bytes(found)
