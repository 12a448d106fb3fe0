"""Opening and closing: the deployment's first start, tenants, resellers."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from voicefile.auth.errors import ChangeNotPossible, NameTaken, NotFound
from voicefile.auth.keys.custody import DEPLOYMENT_ID
from voicefile.auth.keys.receipts import key_commitment
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import (
    DEPLOYMENT,
    TENANTS,
    Applied,
    Deployment,
    Period,
    PolicyRules,
    Reseller,
    Tenant,
)
from voicefile.auth.tenants.change_tenant import change_tenant
from voicefile.auth.tenants.publish_tenant import as_published
from voicefile.auth.tenants.retention_rules import retention_digest, retention_of
from voicefile.crypto.keyring import (
    KeyNamespace,
    create_namespace,
    renew_identity_key,
    renew_receipt_key,
)
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import DocumentExists
from voicefile.identity.ids import PLATFORM, new_id

PLATFORM_DOMAIN = "platform"
"""The login domain of the operators; no tenant may have it."""


class WrongDeployment(Exception):
    """The store belongs to another deployment: its keys would not open under this name."""


@dataclass(frozen=True)
class NewTenant:
    """What a tenant starts with."""

    name: str
    login_domain: str
    """Ends its staff's usernames; no two tenants have the same."""
    rules: PolicyRules = field(default_factory=PolicyRules)
    reseller: str = ""
    demo: bool = False


async def first_start(ports: Ports) -> None:
    """Makes the deployment's own keys, unless they are there. Raises WrongDeployment."""
    if await ports.store.get(DEPLOYMENT, DEPLOYMENT_ID) is None:
        await _insert_deployment(ports)
    stored = await ports.store.get(DEPLOYMENT, DEPLOYMENT_ID)
    if stored is None or stored.body["deployment"] != ports.deployment:
        raise WrongDeployment
    await ports.deployments.believe(stored)


async def _insert_deployment(ports: Ports) -> None:
    root, now_s = ports.custody.root, ports.now_s()
    lasting = await root.create_version()
    keys = KeyNamespace(PLATFORM, (), (), ())
    for renew in (renew_identity_key, renew_receipt_key):
        keys = await renew(
            root, keys, deployment=ports.custody.deployment, root_version=lasting, now_s=now_s
        )
    period = await root.create_version()
    deployment = Deployment(
        deployment=ports.deployment,
        lasting_root=lasting,
        keys=keys,
        periods=(Period(period, int(now_s)),),
    )
    # The record's own keys make its MAC, so custody has to know them before it is stored.
    ports.custody.expect(PLATFORM, keys)
    try:
        await ports.deployments.of(PLATFORM).insert(DEPLOYMENT_ID, deployment)
    except DocumentExists:
        await _drop_unused((lasting, period), ports=ports)
    finally:
        ports.custody.forget(PLATFORM)


async def _drop_unused(versions: tuple[str, str], *, ports: Ports) -> None:
    """Another instance was first: its keys are the deployment's, and nothing hangs on these."""
    stored = await ports.store.get(DEPLOYMENT, DEPLOYMENT_ID)
    # Looked at rather than concluded: to destroy the root of all keys can't be taken back.
    if stored is not None and stored.body["lasting_root"] not in versions:
        for version in versions:
            await ports.custody.root.destroy_version(version)


async def the_deployment(ports: Ports) -> Stored[Deployment]:
    """The deployment's record; `first_start` has made it."""
    found = await ports.deployments.of(PLATFORM).get(DEPLOYMENT_ID)
    assert found is not None, "the deployment has not been started"
    return found


async def open_tenant(new: NewTenant, *, by: Actor, ports: Ports) -> str:
    """A new tenant with its first keys, published; answers its id. Raises NameTaken, NotFound."""
    if new.login_domain == PLATFORM_DOMAIN:
        raise NameTaken
    tenant_id = new_id()
    deployment = await the_deployment(ports)
    keys = await create_namespace(
        ports.custody.root,
        tenant_id,
        deployment=ports.custody.deployment,
        lasting_version=deployment.record.lasting_root,
        epoch_version=deployment.record.periods[-1].root_version,
        now_s=ports.now_s(),
    )
    tenant = Tenant(
        name=new.name,
        login_domain=new.login_domain,
        open=True,
        keys=keys,
        reseller=new.reseller,
        rules=new.rules,
        demo=new.demo,
    )
    try:
        await _insert_tenant(tenant_id, tenant, by=by, ports=ports)
    except DocumentExists:
        raise NameTaken from None
    return tenant_id


async def _insert_tenant(tenant_id: str, tenant: Tenant, *, by: Actor, ports: Ports) -> None:
    reseller = await _reseller_rules(tenant.reseller, ports=ports)
    # Nothing is filed yet, and whatever will be follows these rules from the start.
    applied = Applied(retention_digest(tenant, reseller), int(ports.now_s()), done=True)
    tenant = replace(tenant, applied=applied)
    ports.custody.expect(tenant_id, tenant.keys)
    try:
        fact = await as_published(tenant_id, tenant, reseller=reseller, custody=ports.custody)
        receipt_key = tenant.keys.receipt_version()
        deed = Deed(
            actor=by,
            action=Action.ACTION_TENANT_OPENED,
            tenant=tenant_id,
            object_id=tenant_id,
            # So that the log itself says with which key receipts are signed.
            commitment=key_commitment(receipt_key.id, receipt_key.public),
        )
        records = ports.tenants.of(tenant_id)
        await ports.deeds.write(
            deed, lambda event: records.insert(tenant_id, tenant, pending=(event,)), fact
        )
    finally:
        ports.custody.forget(tenant_id)


async def close_tenant(
    tenant_id: str, *, by: Actor, ports: Ports, asked: str = "", request_id: str = ""
) -> str:
    """Nothing new is taken and nothing released from now on; answers the day it is erased on.

    Until that day it can come back. Closed once more, the first day stays. Raises NotFound.
    """
    planned = day_number(ports.now_s()) + ports.settings.tenant_restore_days

    async def closed(tenant: Tenant) -> Tenant:
        return replace(tenant, open=False, delete_day=tenant.delete_day or planned)

    deed = Deed(
        actor=by,
        action=Action.ACTION_TENANT_CLOSED,
        tenant=tenant_id,
        object_id=tenant_id,
        related_id=asked,
        request_id=request_id,
    )
    stored = await change_tenant(tenant_id, closed, deed=deed, ports=ports)
    return stored.record.delete_on


async def reopen_tenant(tenant_id: str, *, by: Actor, ports: Ports, request_id: str = "") -> None:
    """Takes a closing back, up to its day. Raises NotFound, ChangeNotPossible."""
    today = day_number(ports.now_s())

    async def opened(tenant: Tenant) -> Tenant:
        if tenant.delete_day and tenant.delete_day <= today:
            raise ChangeNotPossible
        return replace(tenant, open=True, delete_day=0)

    deed = Deed(
        actor=by,
        action=Action.ACTION_TENANT_CHANGED,
        tenant=tenant_id,
        object_id=tenant_id,
        request_id=request_id,
    )
    await change_tenant(tenant_id, opened, deed=deed, ports=ports)


def day_number(at_s: float) -> int:
    """The day (UTC) as an ordinal: what an index of days counts by."""
    return dt.datetime.fromtimestamp(at_s, dt.UTC).date().toordinal()


async def open_reseller(name: str, rules: PolicyRules, *, by: Actor, ports: Ports) -> str:
    """Somebody who brings tenants; its rules bind them all. Answers its id."""
    reseller_id = new_id()
    deed = Deed(actor=by, action=Action.ACTION_SCOPE_ADDED, object_id=reseller_id)
    records = ports.resellers.of(PLATFORM)
    await ports.deeds.write(
        deed,
        lambda event: records.insert(reseller_id, Reseller(name, rules), pending=(event,)),
    )
    return reseller_id


async def change_reseller(reseller_id: str, rules: PolicyRules, *, by: Actor, ports: Ports) -> None:
    """New rules for all tenants of a reseller, each published anew. Raises NotFound."""
    records = ports.resellers.of(PLATFORM)
    stored = await records.get(reseller_id)
    if stored is None:
        raise NotFound
    changed = replace(stored.record, rules=rules)
    deed = Deed(actor=by, action=Action.ACTION_TENANT_CHANGED, object_id=reseller_id)
    await ports.deeds.write(deed, lambda event: records.replace(stored, changed, pending=(event,)))
    same = retention_of(rules) == retention_of(stored.record.rules)
    change = _unchanged if same else _ruled_otherwise
    # Auth itself reads the reseller's rules live; the rest of this tells ingest, and has what is
    # kept gone through.
    async for tenant_id in tenant_ids(ports, reseller=reseller_id):
        deed = Deed(
            actor=by, action=Action.ACTION_TENANT_CHANGED, tenant=tenant_id, object_id=tenant_id
        )
        await change_tenant(tenant_id, change, deed=deed, ports=ports)


async def _unchanged(tenant: Tenant) -> Tenant:
    return tenant


async def _ruled_otherwise(tenant: Tenant) -> Tenant:
    return replace(tenant, applied=None)


async def tenant_ids(ports: Ports, *, reseller: str | None = None) -> AsyncIterator[str]:
    """The ids of all tenants, or of a reseller's, page by page."""
    after = ""
    while True:
        if reseller is None:
            page = await ports.store.scan(TENANTS, after=after)
        else:
            page = await ports.store.find(TENANTS, "reseller", reseller, after=after)
        if not page:
            return
        for document in page:
            yield document.id
        after = page[-1].id


async def _reseller_rules(reseller_id: str, *, ports: Ports) -> PolicyRules:
    if not reseller_id:
        return PolicyRules()
    found = await ports.resellers.of(PLATFORM).get(reseller_id)
    if found is None:
        raise NotFound
    return found.record.rules
