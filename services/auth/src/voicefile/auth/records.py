"""Records: one tenant's documents that are believed only after their MAC was checked.

Nothing in auth reads a tenant, a principal or an access document in any other way, so there is
no path on which a forged one is used.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import msgspec

from voicefile.auth.erasing.erasing_store import ERASURES, SHREDDED, ErasureAsked, Shredded
from voicefile.auth.seal_record import Place, check_record, identity_version, sealed_body
from voicefile.auth.store import (
    ACCESS,
    DEPLOYMENT,
    PRINCIPALS,
    RESELLERS,
    TENANTS,
    Access,
    CredentialState,
    Deployment,
    Principal,
    Reseller,
    Tenant,
)
from voicefile.crypto.errors import Tampered, UnknownKey
from voicefile.crypto.keyring import IdentityKey
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    PendingEvent,
    Replaced,
    Value,
)
from voicefile.docstore.tenant import TenantCollection

T = TypeVar("T", Access, Principal, Tenant, Reseller, Deployment, ErasureAsked, Shredded)
PAGE_DOCUMENTS = 100


class RecordForged(Tampered):
    """A document that auth did not write, or not like this, or not there."""

    def __init__(self, document: Document) -> None:
        super().__init__("a record does not carry its MAC")
        self.tenant = document.tenant
        self.document = document.id


class Identities(Protocol):
    """Who knows the identity keys: custody."""

    async def identity(self, tenant: str, version: str | None = None) -> IdentityKey:
        """The tenant's identity key, current or of one version. Raises UnknownKey."""


@dataclass(frozen=True)
class Stored(Generic[T]):
    """A checked record and the document it stood in."""

    record: T
    document: Document

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def tenant(self) -> str:
        return self.document.tenant


@dataclass
class Sifted(Generic[T]):
    """A page of records, the forged ones apart."""

    believed: list[Stored[T]]
    forged: list[RecordForged]
    last: str = ""
    """The last id of the page; empty if there was none."""

    @property
    def seen(self) -> int:
        """How many documents the page had."""
        return len(self.believed) + len(self.forged)


class Records(Generic[T]):
    """Documents of one kind, of all tenants; `of` gives the part of one."""

    def __init__(
        self,
        store: DocStore,
        *,
        collection: Collection,
        kind: type[T],
        identities: Identities,
        beside: Callable[[T], Mapping[str, Value]],
    ) -> None:
        self._store = store
        self._collection = collection
        self._kind: type[T] = kind
        self._identities = identities
        self._beside: Callable[[T], Mapping[str, Value]] = beside

    def of(self, tenant: str) -> "TenantRecords[T]":
        """The records of one tenant: a foreign one is None, the same as a missing one."""
        documents = TenantCollection(self._store, self._collection, tenant)
        return TenantRecords(self, documents=documents, tenant=tenant)

    async def believe(self, document: Document) -> Stored[T]:
        """The document's record, once its MAC is checked. Raises RecordForged."""
        try:
            return Stored(await self._checked(document), document)
        except Tampered:
            raise RecordForged(document) from None

    async def _checked(self, document: Document) -> T:
        try:
            record = msgspec.convert(document.body, self._kind)
            identity = await self._identities.identity(document.tenant, identity_version(record))
        except (msgspec.ValidationError, UnknownKey):
            raise Tampered(f"the {self._collection.name} record is not one of ours") from None
        place = Place(self._collection.name, document.tenant, document.id)
        check_record(record, place=place, identity=identity)
        return record

    async def body_of(self, record: T, *, tenant: str, document_id: str) -> Mapping[str, Value]:
        """The record under the current identity key, as a document holds it."""
        identity = await self._identities.identity(tenant)
        place = Place(self._collection.name, tenant, document_id)
        body = sealed_body(record, place=place, identity=identity)
        return body | dict(self._beside(record))


class TenantRecords(Generic[T]):
    """One tenant's records of one kind."""

    def __init__(self, records: Records[T], *, documents: TenantCollection, tenant: str) -> None:
        self._records: Records[T] = records
        self._documents = documents
        self._tenant = tenant

    async def get(self, document_id: str) -> Stored[T] | None:
        """The newest version, checked. Raises Tampered."""
        document = await self._documents.get(document_id)
        return None if document is None else await self._records.believe(document)

    async def find(
        self, index: str, value: str | bytes | int, *, after: str = "", limit: int = PAGE_DOCUMENTS
    ) -> list[Stored[T]]:
        """Records by an indexed value, in order of their ids, each checked."""
        documents = await self._documents.find(index, value, after=after, limit=limit)
        return [await self._records.believe(document) for document in documents]

    async def sift(
        self, index: str, value: str | bytes | int, *, after: str = "", limit: int = PAGE_DOCUMENTS
    ) -> "Sifted[T]":
        """Like `find`, for who must not stop at a forged record."""
        sifted: Sifted[T] = Sifted([], [])
        for document in await self._documents.find(index, value, after=after, limit=limit):
            sifted.last = document.id
            try:
                sifted.believed.append(await self._records.believe(document))
            except RecordForged as forged:
                sifted.forged.append(forged)
        return sifted

    async def first_from(self, index: str, start: int) -> Document | None:
        """The document with the smallest indexed number from `start` on: where a series goes on.

        Unchecked: good for finding a day to ask for, and for nothing else.
        """
        found = await self._documents.ranged(index, start, limit=1)
        return found[0] if found else None

    async def any_until(self, index: str, until: int) -> bool:
        """Whether there is something with an indexed number up to `until`."""
        return bool(await self._documents.due(index, until, limit=1))

    async def find_one(self, index: str, value: str | bytes | int) -> Stored[T] | None:
        """The record that a unique index names, or None."""
        found = await self.find(index, value, limit=1)
        return found[0] if found else None

    async def all(self) -> AsyncIterator[Stored[T]]:
        """Every record, page by page."""
        after = ""
        while page := await self._documents.scan(after=after, limit=PAGE_DOCUMENTS):
            for document in page:
                yield await self._records.believe(document)
            after = page[-1].id

    async def insert(
        self, document_id: str, record: T, *, pending: Sequence[PendingEvent] = ()
    ) -> Stored[T]:
        """Stores a new record with its events, in one write. Raises DocumentExists."""
        body = await self._records.body_of(record, tenant=self._tenant, document_id=document_id)
        document = Document(document_id, self._tenant, body, pending=tuple(pending))
        return Stored(record, await self._documents.insert(document))

    async def replace(
        self, stored: Stored[T], record: T, *, pending: Sequence[PendingEvent] = ()
    ) -> Stored[T]:
        """Stores the change; new events join those that still wait. Raises VersionConflict."""
        body = await self._records.body_of(record, tenant=self._tenant, document_id=stored.id)
        waiting = (*stored.document.pending, *pending)
        document = replace(stored.document, body=body, pending=waiting)
        return Stored(record, await self._documents.replace(document))

    async def rewrap_many(self, changes: Sequence[tuple[Stored[T], T]]) -> list[Replaced]:
        """Stores many changes, each by itself; of each, in order, what became of it.

        Of slips alone: dumps hold none, so these changes are not in the next one.
        """
        documents = []
        for stored, record in changes:
            body = await self._records.body_of(record, tenant=self._tenant, document_id=stored.id)
            documents.append(replace(stored.document, body=body))
        return await self._documents.replace_many(documents, unseen=True)

    async def delete(self, stored: Stored[T]) -> None:
        """Removes the record. Raises VersionConflict."""
        await self._documents.delete(stored.document)


def access_documents(store: DocStore, identities: Identities) -> Records[Access]:
    """The access documents, with what their indexes need beside them."""
    return Records(
        store,
        collection=ACCESS,
        kind=Access,
        identities=identities,
        beside=_beside_access,
    )


def tenants(store: DocStore, identities: Identities) -> Records[Tenant]:
    """The tenants' own records; a tenant's document id is its tenant id."""
    return Records(
        store,
        collection=TENANTS,
        kind=Tenant,
        identities=identities,
        beside=_nothing,
    )


def principals(store: DocStore, identities: Identities) -> Records[Principal]:
    """Everybody who may sign in."""
    return Records(
        store,
        collection=PRINCIPALS,
        kind=Principal,
        identities=identities,
        beside=_nothing,
    )


def resellers(store: DocStore, identities: Identities) -> Records[Reseller]:
    """The resellers, documents of the platform."""
    return Records(
        store,
        collection=RESELLERS,
        kind=Reseller,
        identities=identities,
        beside=_nothing,
    )


def deployments(store: DocStore, identities: Identities) -> Records[Deployment]:
    """The one document of what all tenants share."""
    return Records(
        store,
        collection=DEPLOYMENT,
        kind=Deployment,
        identities=identities,
        beside=_nothing,
    )


def erasures(store: DocStore, identities: Identities) -> Records[ErasureAsked]:
    """What somebody asked to have erased early, until another confirms it."""
    return Records(
        store,
        collection=ERASURES,
        kind=ErasureAsked,
        identities=identities,
        beside=_nothing,
    )


def shredded_tenants(store: DocStore, identities: Identities) -> Records[Shredded]:
    """What is kept of tenants that are no more, documents of the platform."""
    return Records(
        store,
        collection=SHREDDED,
        kind=Shredded,
        identities=identities,
        beside=_nothing,
    )


def _nothing(_: object) -> dict[str, Value]:
    return {}


def _beside_access(access: Access) -> dict[str, Value]:
    slips = [access.subject.key, *(recording.slip for recording in access.recordings)]
    expiries = [found.answer.expires_at_s for found in access.recordings if found.answer]
    due = [found.due_on for found in access.recordings if not (found.erased or found.held)]
    return {
        "blob_names": [blob.name for found in access.recordings for blob in found.blobs.values()],
        "epochs": sorted({slip.epoch for slip in slips if slip.epoch}),
        "answer_expires_at_s": min(expiries, default=None),
        "due_day": due_day(min(due)) if due else _unfinished(access),
        "held": 1 if any(found.held and not found.erased for found in access.recordings) else None,
        "erased_days": sorted(
            {due_day(found.erased_on) for found in access.recordings if found.erased_on}
        ),
    }


def due_day(day: str) -> int:
    """A day (YYYY-MM-DD) as the index of what is due counts it."""
    return dt.date.fromisoformat(day).toordinal()


def _unfinished(access: Access) -> int | None:
    # Erased, but its ID may still stand in the directory: due at once.
    return 0 if access.state is CredentialState.ERASED and access.locator else None
