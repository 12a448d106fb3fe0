"""How documents stand in a store: bodies and events as MessagePack, which keeps every value's kind.

What can't be stored is found here, on the caller's side of the store: in a writer it would break
the store for everybody, and what can't be read back would hide its document from every reader.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import MsgspecError, msgpack

from voicefile.docstore.indexing import Indexed, indexed_values
from voicefile.docstore.port import Collection, Document, PendingEvent

_encode = msgpack.Encoder().encode
_decode_body = msgpack.Decoder(dict[str, Any]).decode
_decode_events = msgpack.Decoder(list[tuple[str, str, str, bytes]]).decode


@dataclass(frozen=True)
class Prepared:
    """A document ready to be written: whatever can be wrong with its values was found before."""

    document: Document
    body: bytes
    pending: bytes | None
    values: Mapping[str, frozenset[Indexed]]


def prepare(collection: Collection, document: Document) -> Prepared:
    """Encodes on the caller's thread; a value that cannot be stored is the caller's error."""
    if collection.silent and document.pending:
        raise ValueError(f"{collection.name} is declared silent: no relay would find the event")
    body = _encode(document.body)
    try:
        # Indexes see what a later reader will see: the decoded form, not enums or tuples.
        decoded = _decode_body(body)
    except MsgspecError as error:
        raise ValueError("the body is no dict with str keys") from error
    for text in (document.id, document.tenant):
        text.encode()
    try:
        pending = packed_events(document.pending)
        unpacked_events(pending)
    except (MsgspecError, TypeError) as error:
        raise ValueError("an event is no three texts and bytes") from error
    return Prepared(document, body, pending, values_of(collection, decoded))


def values_of(collection: Collection, body: Mapping[str, Any]) -> dict[str, frozenset[Indexed]]:
    """What each declared index finds the body by."""
    return {each.name: indexed_values(body, each.path) for each in collection.indexes}


def unpacked_body(packed: bytes) -> dict[str, Any]:
    return _decode_body(packed)


def packed_events(events: tuple[PendingEvent, ...]) -> bytes | None:
    if not events:
        return None
    return _encode([(each.id, each.topic, each.key, each.payload) for each in events])


def unpacked_events(packed: bytes | None) -> tuple[PendingEvent, ...]:
    return tuple(PendingEvent(*each) for each in _decode_events(packed)) if packed else ()
