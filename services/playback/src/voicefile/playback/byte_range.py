"""One byte range of a recording, as HTTP asks for it (RFC 9110 §14).

Only a single range is answered in part; a request for several gets the whole, which the
RFC allows and every player understands.
"""

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeNotSatisfiable(Exception):
    """The range starts behind the end of the recording."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes start..stop-1 out of `total`."""

    start: int
    stop: int
    total: int
    partial: bool = True
    """Whether a range was asked for: some browsers play nothing unless every range they ask for
    is answered 206, be it the whole recording."""

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{self.total}"


def requested(header: str | None, total: int) -> ByteRange:
    """What a Range header asks of `total` bytes; a malformed one asks for everything."""
    whole = ByteRange(0, total, total, partial=False)
    match = _SINGLE.fullmatch(header.strip()) if header else None
    if not match or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:
        length = min(int(last), total)
        if length == 0:
            raise RangeNotSatisfiable
        return ByteRange(total - length, total, total)
    start = int(first)
    if last and int(last) < start:
        return whole
    if start >= total:
        raise RangeNotSatisfiable
    return ByteRange(start, min(int(last) + 1, total) if last else total, total)
