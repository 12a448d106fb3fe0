"""The key backup: slips, subject keys and epoch keys, and nothing else, for 28 days at most.

Kept apart from all dumps. The keys of epochs come first and once more at the end: a rotation may
open one in between, and what hung on another may have been read before it was destroyed.
"""

from collections.abc import AsyncIterator

from voicefile.auth.dumping.take_apart import access_keys, as_item, epoch_keys
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged
from voicefile.auth.store import ACCESS
from voicefile.auth.tenants.open_tenant import tenant_ids
from voicefile.crypto.epoch_backup import key_of_epoch
from voicefile.crypto.errors import EpochGone, Tampered, UnknownKey
from voicefile.crypto.rootkey import VersionGone
from voicefile.docstore.port import Document
from voicefile.dumps.dump import Item, Items, LeftOut, pages

EPOCHS = "epochs"
SLIPS = "slips"
_ABOUT_BYTES = 400


def keys_of(ports: Ports) -> Items:
    """Everything that a dump can't be opened without."""
    return _keys(ports)


async def _keys(ports: Ports) -> AsyncIterator[Item | LeftOut]:
    seen: set[str] = set()
    async for item in _epochs(seen, ports=ports):
        yield item
    async for document in pages(ports.store, ACCESS):
        yield await _slips(document, ports=ports)
    async for item in _epochs(seen, ports=ports):
        yield item


async def _epochs(seen: set[str], *, ports: Ports) -> AsyncIterator[Item | LeftOut]:
    async for tenant in tenant_ids(ports):
        ports.custody.forget(tenant)
        try:
            for item in await _epochs_of(tenant, seen, ports=ports):
                yield item
        except (Tampered, UnknownKey):
            yield LeftOut()


async def _epochs_of(tenant: str, seen: set[str], *, ports: Ports) -> list[Item]:
    keys = await ports.custody.namespace(tenant)
    identity = await ports.custody.identity(tenant)
    found = []
    for epoch in keys.epochs:
        if epoch.id in seen:
            continue
        try:
            key = await key_of_epoch(
                ports.custody.root, epoch, deployment=ports.custody.deployment, tenant=tenant
            )
        except (EpochGone, VersionGone):
            continue  # Nothing hangs on it any more.
        record = epoch_keys(tenant, epoch.id, key, identity=identity)
        found.append(Item(EPOCHS, as_item(record), tenant))
        seen.add(epoch.id)
    return found


async def _slips(document: Document, *, ports: Ports) -> Item | LeftOut:
    try:
        access = (await ports.access.believe(document)).record
    except (Tampered, RecordForged):
        return LeftOut()
    identity = await ports.custody.identity(document.tenant)
    record = access_keys(access, tenant=document.tenant, credential=document.id, identity=identity)
    about_bytes = _ABOUT_BYTES * (1 + len(record.slips))
    return Item(SLIPS, as_item(record), document.tenant, about_bytes=about_bytes)
