"""How a document takes up the events that its change causes."""

from collections.abc import Collection as AnyCollection
from dataclasses import replace

from voicefile.docstore.port import Collection, Document, PendingEvent

LEFTOVERS = Collection("leftovers", ephemeral=True)
"""Keeps the unpublished events of deleted documents until they are settled."""


def joined(
    stored: tuple[PendingEvent, ...], brought: tuple[PendingEvent, ...]
) -> tuple[PendingEvent, ...]:
    """Both, the stored ones first, each event id once."""
    known = {event.id for event in stored}
    return stored + tuple(event for event in brought if event.id not in known)


def carrying(document: Document, *events: PendingEvent) -> Document:
    """The document with these events to publish, after those it already carries."""
    return replace(document, pending=joined(document.pending, events))


def without(document: Document, event_ids: AnyCollection[str]) -> Document:
    """The document after these events were published."""
    left = tuple(event for event in document.pending if event.id not in event_ids)
    return replace(document, pending=left)
