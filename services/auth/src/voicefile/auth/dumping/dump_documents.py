"""Auth's own dump: its records, each as `take_apart` says; what can be made anew is left out.

The directory is made from the access documents again. Sessions, challenges, counters and releases
are over before anything could be restored.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import structlog

from voicefile.auth.dumping.take_apart import (
    REMAINS,
    dumped_access,
    dumped_deployment,
    dumped_remains,
    dumped_tenant,
    of_document,
)
from voicefile.auth.dumping.take_apart import (
    as_item as packed_record,
)
from voicefile.auth.erasing.erasing_store import ERASURES, SHREDDED
from voicefile.auth.listening import access_store
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged
from voicefile.auth.store import (
    ACCESS,
    ASSERTIONS,
    DEPLOYMENT,
    DIRECTORY,
    PRINCIPALS,
    RESELLERS,
    ROUNDS,
    TENANTS,
)
from voicefile.crypto.errors import EpochGone, Tampered, UnknownKey
from voicefile.crypto.rootkey import VersionGone
from voicefile.deeds.series import DEEDS
from voicefile.docstore.lease import LEASES
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Document
from voicefile.dumps.changes import (
    Source,
    changed_ids,
    changes_as_they_are,
    changes_made,
    following,
    these,
)
from voicefile.dumps.dump import Item, LeftOut, as_item, gone, pages

log = structlog.get_logger(__name__)

AS_THEY_ARE = (RESELLERS, PRINCIPALS, SHREDDED, DEEDS, MIGRATIONS)
"""Their own MACs hold in a backup, too; deeds are on their way to the log."""
TAKEN_APART = (DEPLOYMENT, TENANTS, ACCESS)
LEFT_OUT = (DIRECTORY, ASSERTIONS, ROUNDS, ERASURES, LEASES, *access_store.COLLECTIONS)
"""Made anew, or over before anything could be restored; what one asked to erase, two ask anew."""


def documents_of(ports: Ports) -> Source:
    """Everything in the order in which it can be brought back, or what of it has changed."""
    return following(
        ports.store,
        (*AS_THEY_ARE, *TAKEN_APART),
        everything=partial(_documents, ports),
        changes=partial(_changes, ports=ports),
    )


async def _documents(ports: Ports) -> AsyncIterator[Item | LeftOut]:
    async for document in pages(ports.store, DEPLOYMENT):
        yield await _deployment(document, ports=ports)
    async for document in pages(ports.store, TENANTS):
        yield await _believed(_tenant, document, ports=ports)
    for collection in AS_THEY_ARE:
        async for document in pages(ports.store, collection):
            yield as_item(collection.name, document)
    async for document in pages(ports.store, ACCESS):
        # Of one that is erased meanwhile the remains follow in the second pass, or next time.
        if _has_key(document):
            yield await _believed(_access, document, ports=ports)
    async for document in pages(ports.store, ACCESS):
        if not _has_key(document):
            yield await _believed(_remains, document, ports=ports)


async def _changes(since: str, *, ports: Ports) -> AsyncIterator[Item | LeftOut]:
    deployment = partial(_deployment, ports=ports)
    async for item in changes_made(ports.store, DEPLOYMENT, since, deployment):
        yield item
    believed = partial(_believed, _tenant, ports=ports)
    async for item in changes_made(ports.store, TENANTS, since, believed):
        yield item
    for collection in AS_THEY_ARE:
        async for item in changes_as_they_are(ports.store, collection, since):
            yield item
    ids = await changed_ids(ports.store, ACCESS, since)
    for has_key, kind, make in ((True, ACCESS.name, _access), (False, REMAINS, _remains)):
        # What has lost its key, or can't be believed, must not come back as it was; what has a key
        # was never anybody's remains.
        missing: list[str] = []
        async for document in these(ports.store, ACCESS, ids, missing):
            made: Item | LeftOut | None = None
            if _has_key(document) is has_key:
                made = await _believed(make, document, ports=ports)
                yield made
            if isinstance(made, LeftOut) or (made is None and has_key):
                missing.append(document.id)
        for document_id in sorted(missing):
            yield gone(kind, document_id)


async def _believed(
    make: Callable[[Document, Ports], Awaitable[Item]], document: Document, *, ports: Ports
) -> Item | LeftOut:
    try:
        return await make(document, ports)
    except (Tampered, RecordForged, EpochGone, UnknownKey, VersionGone):
        # Not ours, or its key is gone: there is nothing that a restore could bring back.
        log.warning("document_not_dumped", credential=document.id, tenant=document.tenant or None)
        return LeftOut()


async def _deployment(document: Document, *, ports: Ports) -> Item:
    stored = await ports.deployments.believe(document)
    of = of_document(document, ports.custody.deployment)
    identity = await ports.custody.identity(document.tenant)
    record = dumped_deployment(stored.record, of=of, identity=identity)
    return _item(DEPLOYMENT.name, document, packed_record(record))


async def _tenant(document: Document, ports: Ports) -> Item:
    stored = await ports.tenants.believe(document)
    of = of_document(document, ports.custody.deployment)
    identity = await ports.custody.identity(document.tenant)
    record = dumped_tenant(stored.record, of=of, identity=identity)
    return _item(TENANTS.name, document, packed_record(record))


async def _access(document: Document, ports: Ports) -> Item:
    access = (await ports.access.believe(document)).record
    record = dumped_access(
        access,
        of=of_document(document, ports.custody.deployment),
        subject_key=await ports.custody.subject_key(document.tenant, access.subject),
        identity=await ports.custody.identity(document.tenant),
    )
    return _item(
        ACCESS.name,
        document,
        packed_record(record),
        recordings=len(access.recordings),
        sealed_bytes=len(record.sealed),
    )


def _has_key(document: Document) -> bool:
    """Whether a customer is left in it: erased ones have no subject key."""
    subject = document.body.get("subject")
    return isinstance(subject, dict) and bool(subject.get("key", {}).get("sealed"))


async def _remains(document: Document, ports: Ports) -> Item:
    access = (await ports.access.believe(document)).record
    of = of_document(document, ports.custody.deployment)
    identity = await ports.custody.identity(document.tenant)
    record = dumped_remains(access, of=of, identity=identity)
    return _item(REMAINS, document, packed_record(record))


def _item(
    kind: str, document: Document, body: object, *, recordings: int = 0, sealed_bytes: int = 2_000
) -> Item:
    pending = [[each.id, each.topic, each.key, each.payload] for each in document.pending]
    content = [document.id, document.tenant, body, pending]
    about_bytes = sealed_bytes + sum(len(each.payload) for each in document.pending) + 200
    return Item(kind, content, document.tenant, recordings, about_bytes)
