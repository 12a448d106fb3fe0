"""Segments: what a dump consists of, each sealed for its place, and their opening.

The last one tells how many there are and what they hold, under the same key; so whoever opens a
dump knows that it is whole without believing who carried it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.secret import Secret, SecretKey
from voicefile.crypto.stream import open_whole, seal
from voicefile.docstore.port import Document, PendingEvent
from voicefile.dumps.errors import DumpIncomplete
from voicefile.dumps.recipient import Recipient
from voicefile.identity.ids import new_id

SEGMENT_BYTES: Final = 2 * 1024 * 1024
"""A segment is closed when it has this much; a document larger than that has one of its own."""
END: Final = "end"
"""The kind of the last segment."""
GONE: Final = "gone/"
"""Before the name of a kind: ids of what was dumped as that kind and is not there any more."""
_encode = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Any])


@dataclass
class Counts:
    """What a dump holds, by tenant; the platform's is the empty one."""

    documents: Counter[str] = field(default_factory=Counter)
    recordings: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    """Documents that could not be believed, or opened, and so are not in it."""
    gone: int = 0
    """Ids of documents that are not there any more."""


class DumpKey(Secret):
    """The data key of one dump, while it is being made."""

    __slots__ = ("_deployment", "_key", "id")

    def __init__(self, deployment: bytes) -> None:
        self.id = new_id()
        self._deployment = deployment
        self._key = SecretKey.random()

    def boxes(self, recipients: Sequence[Recipient]) -> dict[str, bytes]:
        """The key for each recipient, by name."""
        return {
            each.name: each.box(self._key, deployment=self._deployment, dump=self.id)
            for each in recipients
        }

    def seal(self, number: int, kind: str, items: Sequence[object]) -> bytes:
        """The segment at that place; `kind` says what its items are."""
        plain = _encode([kind, list(items)])
        return seal(self._key, segment_context(self._deployment, self.id, number), plain)


def segment_context(deployment: bytes, dump: str, number: int) -> Context:
    """Where a segment belongs: the dump, and its number there."""
    return Context(deployment, "", object_id(dump, str(number)), Kind.BACKUP_SEGMENT)


def open_segment(
    key: SecretKey, sealed: bytes, *, deployment: bytes, dump: str, number: int
) -> tuple[str, list[Any]]:
    """Its kind and items. Raises Tampered."""
    plain = open_whole(key, segment_context(deployment, dump, number), sealed)
    kind, items = _decode.decode(plain)
    return str(kind), items


def packed(document: Document) -> list[object]:
    """A document as an item."""
    pending = [[each.id, each.topic, each.key, each.payload] for each in document.pending]
    return [document.id, document.tenant, document.body, pending]


def unpacked(item: Sequence[Any]) -> Document:
    """The document of an item; not stored yet."""
    document_id, tenant, body, pending = item
    events = tuple(PendingEvent(*each) for each in pending)
    return Document(document_id, tenant, body, pending=events)


def end_of(service: str, segments: int, counts: Counts) -> Mapping[str, Any]:
    """The one item of the last segment."""
    return {
        "service": service,
        "segments": segments,
        "documents": counts.documents.total() + counts.gone,
        "left_out": counts.left_out,
    }


class Whole:
    """Sees to it that what was opened is one whole dump of the service that is meant."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._opened = 0
        self._documents = 0
        self._end: Mapping[str, Any] | None = None

    def opened(self, kind: str, items: Sequence[Any]) -> None:
        """Takes note of a segment, in their order."""
        if self._end is not None:
            raise DumpIncomplete("something follows the end")
        if kind == END:
            self._end = items[0]
            return
        self._opened += 1
        self._documents += len(items)

    def check(self) -> None:
        """Raises DumpIncomplete."""
        end = self._end
        if end is None or end["service"] != self._service:
            raise DumpIncomplete("the dump's end is not there, or another service's")
        if end["segments"] != self._opened or end["documents"] != self._documents:
            raise DumpIncomplete("segments are missing")
