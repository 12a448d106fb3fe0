"""Changing a tenant: one write, one deed, and ingest told of it."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from voicefile.auth.errors import ChangedMeanwhile, NotFound
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import Tenant
from voicefile.auth.tenants.publish_tenant import as_published
from voicefile.auth.tenants.retention_rules import retention_digest
from voicefile.deeds.deed import Deed
from voicefile.docstore.port import VersionConflict

Change = Callable[[Tenant], Awaitable[Tenant]]


async def change_tenant(
    tenant_id: str, change: Change, *, deed: Deed, ports: Ports
) -> Stored[Tenant]:
    """Applies the change to the newest version. Raises NotFound, ChangedMeanwhile."""
    records = ports.tenants.of(tenant_id)
    for _ in range(ports.settings.write_tries_max):
        stored = await tenant_of(tenant_id, ports=ports)
        changed = replace(await change(stored.record), version=stored.record.version + 1)
        reseller = await ports.rules_of_reseller(stored)
        if retention_digest(changed, reseller) != retention_digest(stored.record, reseller):
            changed = replace(changed, applied=None)
        fact = await as_published(tenant_id, changed, reseller=reseller, custody=ports.custody)
        try:
            return await ports.deeds.write(
                deed,
                lambda event, stored=stored, changed=changed: records.replace(  # type: ignore[misc]
                    stored, changed, pending=(event,)
                ),
                fact,
            )
        except VersionConflict:
            continue
        finally:
            ports.custody.forget(tenant_id)
    raise ChangedMeanwhile


async def tenant_of(tenant_id: str, *, ports: Ports) -> Stored[Tenant]:
    """The tenant, checked. Raises NotFound, Tampered."""
    stored = await ports.tenants.of(tenant_id).get(tenant_id)
    if stored is None:
        raise NotFound
    return stored
