"""The document store: versioned documents, one atomic write each, unpublished events inside.

Every write touches one document, so every store that can replace one document atomically can
keep this law. A document carries the events that its last changes caused (`pending`); a relay
publishes and then settles them. That is the outbox.

An event leaves the store by `settle` alone: `replace` keeps those its caller forgot, and what
a deleted document still carried stays until it is published.

    DocStoreError
    ├── DocumentExists     insert met the same id, or a unique index the same value
    ├── VersionConflict    replace or delete met another version, or no document
    ├── ForeignTenant      a tenant's view was handed another tenant's document
    ├── MarkUnknown        nobody can say any more what has changed since
    ├── StoreIsNewer       newer code has written this store; ours would misread it
    │   └── StoreIsShut    it is being made: not to be served by any code, until that is through
    ├── StoreUnavailable   the store can't be reached now; nothing was stored, try later
    └── StoreBroken        the disk refused; nothing is written any more until a new start

Whatever a write raises but StoreBroken says: nothing was stored. After StoreBroken the fate of
the write is open until the store is opened again. A store across a network finds out what became
of a write whose answer was lost before it raises anything; `settle` alone may have been done when
it raises StoreUnavailable, for done twice it does no more than once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

Value = object
"""None, bool, int (64 bit), float, str, bytes, and lists and str-keyed dicts of these."""
MARK_S: Final = 8 * 24 * 3_600
"""A mark is known for this long at least, if the clock goes right; what is deleted, as long as a
mark from before is known. A week between two dumps, and a day."""
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
"""A stored number is within these."""
VALUES_MAX: Final = 100
"""Values that one question may name."""


class DocStoreError(Exception):
    """What this port raises on purpose."""


class DocumentExists(DocStoreError):
    """An insert met a document with the same id or the same value in a unique index."""


class VersionConflict(DocStoreError):
    """A replace or delete named a version that is not the stored one (or nothing is stored)."""


class ForeignTenant(DocStoreError):
    """A tenant's view was handed a document of another tenant."""


class MarkUnknown(DocStoreError):
    """The store does not know this mark, or not any more: all may have changed since."""


class StoreIsNewer(DocStoreError):
    """Newer code has written this store; to go on would misread or harm it."""


class StoreIsShut(StoreIsNewer):
    """What is stored is not whole yet: whoever makes it has to come to an end first."""


class StoreUnavailable(DocStoreError):
    """The store can't be reached now, and nothing was stored: try later."""


class StoreBroken(DocStoreError):
    """The disk refused a write, so no later write can be trusted: the instance has to end."""


@dataclass(frozen=True)
class Index:
    """Documents findable by a value in the body.

    `path` is dotted; where it crosses a list, every element counts (`recordings.id`).
    Values are str, bytes or int; missing and None are not indexed.
    """

    name: str
    path: str
    unique: bool = False
    """One value, one document, in the whole collection (all tenants)."""


@dataclass(frozen=True)
class Collection:
    """A kind of document, declared by the service that owns it."""

    name: str
    indexes: tuple[Index, ...] = ()
    ephemeral: bool = False
    """A document disappears when its last pending event is settled: standalone deeds."""
    silent: bool = False
    """Its documents never carry events: a write that brings one is refused, and no relay asks.

    One that is to speak after all takes two releases: while instances that call it silent run,
    nothing may write an event into it, for as leaders they would never find it.
    """
    passing: bool = False
    """Nobody asks what has changed in it: over before anything could be restored."""

    @property
    def follows(self) -> bool:
        """Whether the store knows what has changed in it since a mark."""
        return not (self.ephemeral or self.passing)


@dataclass(frozen=True)
class PendingEvent:
    """A fact that is durable but not yet published."""

    id: str
    topic: str
    key: str
    """The bus partitions by it; a random id."""
    payload: bytes


@dataclass(frozen=True)
class Document:
    """One document as stored. `version` 0 means: not stored yet."""

    id: str
    tenant: str
    body: Mapping[str, Value]
    version: int = 0
    pending: tuple[PendingEvent, ...] = field(default=())


Replaced = Document | VersionConflict | DocumentExists
"""What became of one document of many: as it is stored now, or why it was not."""


class DocStore(Protocol):
    """Keeps documents. Everything that returned is durable (survives kill -9 and power loss)."""

    async def insert(self, collection: Collection, document: Document) -> Document:
        """Stores a new document; answers it with version 1. Raises DocumentExists."""

    async def insert_many(self, collection: Collection, documents: Sequence[Document]) -> None:
        """Stores new documents, each atomic by itself, in one durable commit where it can.

        Raises DocumentExists after having stored those that did not collide.
        """

    async def get(self, collection: Collection, document_id: str) -> Document | None:
        """The newest version, or None."""

    async def replace(self, collection: Collection, document: Document) -> Document:
        """Stores body and pending if `document.version` is the stored one; answers version + 1.

        Events settled meanwhile stay settled or reappear; consumers are idempotent by event id.
        Stored events that `document.pending` leaves out stay, in front. Tenants never change.
        Raises VersionConflict; DocumentExists if a unique index refuses.
        """

    async def replace_many(
        self, collection: Collection, documents: Sequence[Document], *, unseen: bool = False
    ) -> "list[Replaced]":
        """Replaces documents, each atomic by itself, in one durable commit where it can.

        Of each, in order: what `replace` would answer or raise. No id twice. A store that goes
        away on the way tells the fate of each all the same, or is broken. `unseen`: only what no
        dump holds is another, so `changed` does not tell of it.
        """

    async def delete(self, collection: Collection, document: Document) -> None:
        """Removes the document if version and tenant are the stored ones. Raises VersionConflict.

        Events it still carried are published all the same.
        """

    async def find(
        self,
        collection: Collection,
        index: str,
        value: str | bytes | int,
        *,
        tenant: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Document]:
        """Documents whose indexed value equals `value`, by id, ids above `after` only."""

    async def find_any(
        self,
        collection: Collection,
        index: str,
        values: Sequence[str],
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Documents with any of these indexed texts, by id, each once.

        Raises ValueError for more than VALUES_MAX texts.
        """

    async def due(
        self,
        collection: Collection,
        index: str,
        until: int,
        *,
        start: int = INT_MIN,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Documents whose indexed number is at most `until`, smallest first: what has expired.

        From `start` on, for who has seen those before; what is beyond `until` is never read. A
        document of several numbers may be among them though none of them is between.
        """

    async def newest(
        self, collection: Collection, index: str, *, tenant: str | None = None
    ) -> Document | None:
        """The document with the largest indexed number, or None."""

    async def ranged(
        self,
        collection: Collection,
        index: str,
        start: int,
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Documents whose indexed number is at least `start`, smallest first: paging a series."""

    async def scan(
        self,
        collection: Collection,
        *,
        tenant: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Document]:
        """All documents by id, ids above `after` only."""

    async def mark(self) -> str:
        """A name for what is stored now, for `changed`; known for MARK_S. Empty: can't be told.

        To be made before what is stored is read: what is written meanwhile is after the mark.
        """

    async def changed(self, collection: Collection, since: str, *, limit: int) -> list[str]:
        """Ids of documents written or deleted since that mark, perhaps a few from before, by id.

        Never one too few, but for what was replaced `unseen`. Of collections that are followed.
        Raises MarkUnknown.
        """

    async def get_many(self, collection: Collection, ids: Sequence[str]) -> list[Document]:
        """Those of them that are there, by id."""

    async def pending(self, limit: int = 500) -> list[tuple[Collection, Document]]:
        """Documents with unpublished events, the one that has waited longest first."""

    async def settle(self, collection: Collection, document_id: str, event_ids: set[str]) -> None:
        """Removes published events from the document; its version stays. Missing: nothing."""

    async def ready(self) -> bool:
        """Whether a durable write would succeed now, found out by making one."""

    async def close(self) -> None:
        """Finishes what is under way and lets go of the store."""
