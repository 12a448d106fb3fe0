"""How an event lies in a broker's log: key and payload as they are, its id in a header."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from voicefile.eventbus.port import Event

ID_HEADER: Final = "id"
TRACE_HEADER: Final = "traceparent"
ID_CHARS_MAX: Final = 256
_RECORD_EXTRA_BYTES: Final = 64
"""Lengths, numbers and the names of headers, generously."""
TRACE: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Headers = Sequence[tuple[str, bytes]]


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Unreadable(Exception):
    """A record that is no event of ours. Says nothing of what it holds."""


@dataclass(frozen=True)
class Outgoing:
    """A record on its way into a topic."""

    id: str
    topic: str
    key: bytes
    value: bytes | None
    """None: what stood under this key is done with, and may be forgotten."""
    headers: Headers

    @property
    def size(self) -> int:
        """About as many bytes as it takes in a batch."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.key) + len(self.value or b"") + headers + _RECORD_EXTRA_BYTES


@dataclass(frozen=True)
class Taken:
    """A record out of a topic."""

    place: Place
    offset: int
    event: Event | None
    """None: not readable as an event."""
    trace: bytes | None = None
    """Which publish it came from, for traces alone."""


def outgoing(event: Event, *, trace: bytes | None = None) -> Outgoing:
    headers = [(ID_HEADER, event.id.encode())]
    if trace is not None:
        headers.append((TRACE_HEADER, trace))
    return Outgoing(event.id, event.topic, event.key.encode(), event.payload, headers)


def event_of(topic: str, *, key: bytes | None, value: bytes | None, headers: Headers) -> Event:
    """Raises Unreadable."""
    ids = [given for name, given in headers if name == ID_HEADER]
    if key is None or value is None or len(ids) != 1:
        raise Unreadable
    try:
        event_id = ids[0].decode()
        name = key.decode()
    except UnicodeDecodeError:
        raise Unreadable from None
    if not 0 < len(event_id) <= ID_CHARS_MAX:
        raise Unreadable
    return Event(event_id, topic, name, value)


def trace_of(headers: Headers) -> bytes | None:
    """The publish it belongs to; whatever else stands there is nothing."""
    found = [given for name, given in headers if name == TRACE_HEADER]
    return found[0] if len(found) == 1 and TRACE.fullmatch(found[0]) else None
