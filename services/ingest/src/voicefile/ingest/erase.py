"""Erasing: what auth has erased goes from here as well, blobs first and then what names them.

Auth's word is final: the slip is destroyed, so what lies here is noise in any case. Each step may
be repeated, and comes again until all are done: a reservation that is still there still names what
is to be deleted.
"""

from dataclasses import dataclass

from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.docstore.port import Collection, DocStore, Document
from voicefile.docstore.tenant import TenantCollection
from voicefile.ingest.reservations import Reservations
from voicefile.ingest.store import FEED, MANIFESTS, RESERVATIONS, Reservation
from voicefile.ingest.tenants import Tenants

PAGE_DOCUMENTS = 100


@dataclass(frozen=True)
class Erasing:
    """What erasing needs."""

    store: DocStore
    blobs: BlobStore
    reservations: Reservations
    tenants: Tenants


async def erase_recording(recording: str, *, tenant: str, at: Erasing) -> None:
    """The blobs of every attempt, and the reservation. Raises VersionConflict: then again."""
    for reservation in await at.reservations.of_recording(recording, tenant=tenant):
        await _erase(reservation, at=at)


async def erase_tenant(tenant: str, *, at: Erasing) -> None:
    """All that is here of a tenant; nothing that is still on its way brings it back."""
    # First, so that whatever is heard of it from now on finds it erased.
    await at.tenants.erase(tenant)
    for document in await _page(RESERVATIONS, tenant, at=at):
        await _erase(Reservation.of(document), at=at)
    for collection in (FEED, MANIFESTS):
        view = TenantCollection(at.store, collection, tenant)
        for document in await _page(collection, tenant, at=at):
            await view.delete(document)


async def _erase(reservation: Reservation, *, at: Erasing) -> None:
    for name in {*reservation.names, *reservation.issued}:
        await at.blobs.delete(BlobName(name))
    await at.reservations.forget(reservation.recording, tenant=reservation.tenant)


async def _page(collection: Collection, tenant: str, *, at: Erasing) -> list[Document]:
    """All of a tenant's documents of one kind. Ids and states only, so they fit into memory."""
    view, after = TenantCollection(at.store, collection, tenant), ""
    found: list[Document] = []
    while page := await view.scan(after=after, limit=PAGE_DOCUMENTS):
        found += page
        after = page[-1].id
    return found
