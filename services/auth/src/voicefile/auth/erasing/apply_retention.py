"""Applying retention: recordings that are kept already get the dates that changed rules give them.

Which rules they follow stands in the tenant as a digest, from its opening on; changed rules take
it away, so that rules changed back are seen as well. While it is not that of the rules there are,
all of the tenant's documents are gone through: at once, and once more when nothing that was filed
under the older rules is on its way any more. A run that was killed begins again, and writes only
what is not as it should be.
"""

import asyncio
from contextlib import suppress

import structlog
from msgspec.structs import replace

from voicefile.auth.erasing.planned import PolicyOf, planned, policies
from voicefile.auth.errors import NotFound
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Stored
from voicefile.auth.settings import WRITE_S_MAX
from voicefile.auth.store import ACCESS, Applied, PolicyRules, Tenant
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import tenant_ids
from voicefile.auth.tenants.retention_rules import retention_digest
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import Document, VersionConflict

log = structlog.get_logger(__name__)

PAGE_DOCUMENTS = 100


async def apply_retention(ports: Ports) -> int:
    """One round; answers how many documents got other dates."""
    changed = 0
    async for tenant_id in tenant_ids(ports):
        try:
            changed += await _applied(tenant_id, ports=ports)
        except (RecordForged, NotFound, VersionConflict):
            continue  # told by the scrub, or changed meanwhile: no other tenant waits for it
    return changed


async def _applied(tenant_id: str, *, ports: Ports) -> int:
    stored = await tenant_of(tenant_id, ports=ports)
    reseller = await ports.rules_of_reseller(stored)
    digest, applied = retention_digest(stored.record, reseller), stored.record.applied
    records, now_s = ports.tenants.of(tenant_id), int(ports.now_s())
    if applied is None or applied.digest != digest:
        applied = Applied(digest, now_s)
        stored = await records.replace(stored, replace(stored.record, applied=applied))
        return await _gone_through(stored, reseller, ports=ports)
    # An upload that was admitted under the rules before may have taken this long to be written.
    if applied.done or now_s - applied.since_s <= WRITE_S_MAX:
        return 0
    changed = await _gone_through(stored, reseller, ports=ports)
    done = replace(stored.record, applied=replace(applied, done=True))
    if not await ports.store.scan(ACCESS, tenant=tenant_id, limit=1):
        await records.replace(stored, done)  # nothing there that could have got another date
        return changed
    deed = Deed(
        actor=Actor.service(),
        action=Action.ACTION_RETENTION_APPLIED,
        tenant=tenant_id,
        object_id=tenant_id,
    )
    await ports.deeds.write(deed, lambda event: records.replace(stored, done, pending=(event,)))
    return changed


async def _gone_through(stored: Stored[Tenant], reseller: PolicyRules, *, ports: Ports) -> int:
    policy_of = policies(stored.record, reseller)
    after, changed = "", 0
    while page := await ports.store.scan(
        ACCESS, tenant=stored.id, after=after, limit=PAGE_DOCUMENTS
    ):
        async with asyncio.TaskGroup() as work:
            tasks = [work.create_task(_with_dates(each, policy_of, ports=ports)) for each in page]
        changed += sum(task.result() for task in tasks)
        after = page[-1].id
    return changed


async def _with_dates(document: Document, policy_of: PolicyOf, *, ports: Ports) -> bool:
    with suppress(RecordForged):  # told by the scrub
        stored = await ports.access.believe(document)
        for _ in range(ports.settings.write_tries_max):
            recordings = tuple(planned(each, policy_of(each)) for each in stored.record.recordings)
            if recordings == stored.record.recordings:
                return False
            records = ports.access.of(stored.tenant)
            try:
                await records.replace(stored, replace(stored.record, recordings=recordings))
            except VersionConflict:
                again = await records.get(stored.id)
                if again is None:
                    return False
                stored = again
                continue
            return True
    return False
