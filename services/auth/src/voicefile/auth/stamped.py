"""Short-lived records with a MAC: sessions, logins, releases and such, which only auth can write.

Like `records`, but found by a secret's hash before the tenant is known; the tenant stands in the
document and in the MAC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from voicefile.auth.listening.access_store import Challenge, Release, Session, TelephoneLogin
from voicefile.auth.records import Identities
from voicefile.auth.seal_record import Place, check_record, identity_version, seal_record
from voicefile.crypto.errors import Tampered
from voicefile.docstore.pending import carrying
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    PendingEvent,
    Value,
    VersionConflict,
)

R = TypeVar("R", Session, Challenge, TelephoneLogin, Release)
SWEEP_DOCUMENTS = 200


@dataclass(frozen=True)
class Kept(Generic[R]):
    """A believed record and its document."""

    record: R
    document: Document

    @property
    def id(self) -> str:
        return self.document.id


class Stamped(Generic[R]):
    """The records of one collection."""

    def __init__(
        self,
        store: DocStore,
        *,
        collection: Collection,
        kind: type[R],
        identities: Identities,
        now_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._collection = collection
        self._kind: type[R] = kind
        self._identities = identities
        self._now_s = now_s

    async def get(self, document_id: str) -> Kept[R] | None:
        """The record, unless it expired. Raises Tampered."""
        document = await self._store.get(self._collection, document_id)
        return None if document is None else await self._believed(document)

    async def find_one(self, index: str, value: str) -> Kept[R] | None:
        """The record a unique index names, unless it expired. Raises Tampered."""
        found = await self._store.find(self._collection, index, value, limit=1)
        return await self._believed(found[0]) if found else None

    async def insert(
        self, document_id: str, record: R, *, pending: tuple[PendingEvent, ...] = ()
    ) -> Kept[R]:
        """Raises DocumentExists."""
        body = await self._body(document_id, record)
        document = Document(document_id, record.tenant, body, pending=pending)
        return Kept(record, await self._store.insert(self._collection, document))

    async def replace(
        self, kept: Kept[R], record: R, *, pending: tuple[PendingEvent, ...] = ()
    ) -> Kept[R]:
        """Raises VersionConflict."""
        before = kept.document
        body = await self._body(before.id, record)
        changed = Document(before.id, before.tenant, body, before.version, before.pending)
        stored = await self._store.replace(self._collection, carrying(changed, *pending))
        return Kept(record, stored)

    async def sweep(self) -> int:
        """Removes what expired; answers how many. Events it still carried are published."""
        gone = 0
        until = int(self._now_s())
        while due := await self._store.due(
            self._collection, "expires", until, limit=SWEEP_DOCUMENTS
        ):
            for document in due:
                try:
                    await self._store.delete(self._collection, document)
                except VersionConflict:
                    continue  # Used meanwhile: it lives on.
                gone += 1
        return gone

    async def _believed(self, document: Document) -> Kept[R] | None:
        record = msgspec.convert(document.body, self._kind)
        if record.tenant != document.tenant:
            raise Tampered("a record of one tenant in another's document")
        identity = await self._identities.identity(document.tenant, identity_version(record))
        check_record(record, place=self._place(document.id, document.tenant), identity=identity)
        if record.expires_at_s <= self._now_s():
            return None
        return Kept(record, document)

    async def _body(self, document_id: str, record: R) -> dict[str, Value]:
        identity = await self._identities.identity(record.tenant)
        place = self._place(document_id, record.tenant)
        sealed = seal_record(record, place=place, identity=identity)
        body: dict[str, Value] = msgspec.msgpack.decode(msgspec.msgpack.encode(sealed))
        return body

    def _place(self, document_id: str, tenant: str) -> Place:
        return Place(self._collection.name, tenant, document_id)
