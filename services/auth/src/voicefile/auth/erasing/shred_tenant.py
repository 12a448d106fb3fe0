"""Shredding a tenant: when its day has come, all of it is erased, keys and people included.

First what it has recorded, one customer after the other, each with its deed and its certificate's
commitment in the log. What is held stays, and with it the tenant, closed and visible, until nothing
is held any more: a hold wins over a closing, too. Then its documents go, and last the tenant
itself with its wrapped keys; what is kept is the public halves of its receipt keys and one
certificate, documents of the platform, so that all that it ever signed can still be checked.

Killed anywhere, the next round goes on: the tenant is what says that there is something to do, and
it goes last. That it is erased is told before, in the write that keeps the certificate.
"""

import asyncio
from contextlib import suppress

import msgspec
import structlog

from voicefile.auth.erasing.certificate import (
    Shredded as ShreddedWords,
)
from voicefile.auth.erasing.certificate import What, Why, commitment, shred_certificate
from voicefile.auth.erasing.erase import Order, erase, finish
from voicefile.auth.erasing.erasing_store import ERASURES, ReceiptKeyLeft, Shredded
from voicefile.auth.erasing.metrics import tenants_waiting
from voicefile.auth.events import TenantErased
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Stored
from voicefile.auth.store import ACCESS, PRINCIPALS, TENANTS, Recording, Tenant
from voicefile.auth.tenants.open_tenant import day_number
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.keyring import EPOCH_LIFE_MAX_S
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import Document, DocumentExists, VersionConflict
from voicefile.identity.ids import PLATFORM, new_id
from voicefile.translog.origin import origin_of

log = structlog.get_logger(__name__)

BATCH_DOCUMENTS = 64
TENANTS_MAX = 100
"""Tenants looked at in one round; those behind wait for the next."""


async def shred_tenants(ports: Ports) -> int:
    """One round; answers how many tenants are no more."""
    today = day_number(ports.now_s())
    due = await ports.store.due(TENANTS, "delete_day", today, limit=TENANTS_MAX)
    done = waiting = 0
    for document in due:
        try:
            stored = await ports.tenants.believe(document)
            if stored.record.open or not await _emptied(stored, ports=ports):
                waiting += 1
                continue
            await _shred(stored, ports=ports)
        except (RecordForged, VersionConflict):
            # Told by the scrub, or changed meanwhile: nobody's forged word shreds anything.
            waiting += 1
            continue
        done += 1
    tenants_waiting().set(waiting)
    return done


async def _emptied(stored: Stored[Tenant], *, ports: Ports) -> bool:
    """Erases what the tenant has; whether nothing of it is left alive."""
    after, left = "", 0
    while page := await ports.store.scan(
        ACCESS, tenant=stored.id, after=after, limit=BATCH_DOCUMENTS
    ):
        async with asyncio.TaskGroup() as work:
            tasks = [work.create_task(_erased(each, ports=ports)) for each in page]
        left += sum(not task.result() for task in tasks)
        after = page[-1].id
    if left:
        log.warning("tenant_held", tenant=stored.id, documents=left)
    return not left


async def _erased(document: Document, *, ports: Ports) -> bool:
    """Whether nothing in it lives any more. The tenant's end ends a legal minimum, no hold."""
    order = Order(by=Actor.service(), why=Why.TENANT_CLOSED)
    try:
        stored = await ports.access.believe(document)
        if all(each.erased for each in stored.record.recordings):
            await finish(stored, ports=ports)
            return True
        return (await erase(stored, _everything, order=order, ports=ports)).customer
    except (VersionConflict, CryptoError):
        return False


def _everything(_: Recording) -> bool:
    return True


async def _shred(stored: Stored[Tenant], *, ports: Ports) -> None:
    for collection in (ACCESS, ERASURES, PRINCIPALS):
        after = ""
        while page := await ports.store.scan(collection, tenant=stored.id, after=after):
            for document in page:
                await ports.store.delete(collection, document)
            after = page[-1].id
    await _keep_certificate(stored, ports=ports)
    # The wrapped keys with it: identity, receipt and epochs. What a copy elsewhere still holds of
    # the epochs ends with their root versions.
    await ports.store.delete(TENANTS, stored.document)
    ports.custody.forget(stored.id)


async def _keep_certificate(stored: Stored[Tenant], *, ports: Ports) -> None:
    records = ports.shredded.of(PLATFORM)
    if await records.get(stored.id) is not None:
        return  # told, and killed before the tenant itself went
    at_ms, deed_id = int(ports.now_s() * 1000), new_id()
    certificate = await _certificate(stored, deed_id, at_ms, ports=ports)
    left = Shredded(
        receipt_keys=tuple(
            ReceiptKeyLeft(each.id, each.public) for each in stored.record.keys.receipt_versions
        ),
        certificate=certificate,
        shredded_on=day_of(at_ms),
    )
    deed = Deed(
        actor=Actor.service(),
        action=Action.ACTION_TENANT_ERASED,
        tenant=stored.id,
        object_id=stored.id,
        commitment=commitment(certificate),
        deed_id=deed_id,
        at_ms=at_ms,
    )
    told = msgspec.msgpack.encode(
        await ports.shredded.body_of(left, tenant=PLATFORM, document_id=stored.id)
    )
    with suppress(DocumentExists):  # another instance, which led before and has not noticed
        await ports.deeds.write(
            deed,
            lambda event: records.insert(stored.id, left, pending=(event,)),
            TenantErased(stored.id, told),
        )


async def _certificate(stored: Stored[Tenant], deed_id: str, at_ms: int, *, ports: Ports) -> str:
    return shred_certificate(
        ShreddedWords(
            what=What.TENANT,
            tenant=stored.id,
            recording="",
            erased_at_ms=at_ms,
            why=Why.TENANT_CLOSED,
            deed=deed_id,
            keys_end_by_s=_keys_end_by_s(stored.record),
        ),
        issuer=ports.deployment,
        log=origin_of(ports.deployment, stored.id),
        signer=await ports.custody.receipt_signer(stored.id),
    )


def _keys_end_by_s(tenant: Tenant) -> int:
    return max(epoch.opened_at_s for epoch in tenant.keys.epochs) + EPOCH_LIFE_MAX_S
