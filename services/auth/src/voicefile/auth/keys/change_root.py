"""Changing the root key: everything moves to new versions of it, in this root or in another.

One write begins it: the deployment names a new lasting version, for its own keys and for every
tenant opened from now on, and a new period. Then tenant by tenant the identity and receipt keys
are wrapped anew, the very same keys, so that nothing they have made changes; slips and subject
keys move by rotation, as in every week. Whatever was killed anywhere is taken up by the next run,
and until the last step everything opens with the old versions, too.

The old lasting version is destroyed by a command of its own, and only if nothing hangs on it any
more: what was copied before, into a backup, opens with it alone.
"""

from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.errors import NotFound
from voicefile.auth.keys.rotate import Rotated, rotate
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged
from voicefile.auth.store import Deployment, Period, Tenant
from voicefile.auth.tenants.change_deployment import change_deployment
from voicefile.auth.tenants.change_tenant import change_tenant, tenant_of
from voicefile.auth.tenants.open_tenant import tenant_ids, the_deployment
from voicefile.crypto.keyring import rewrap_lasting
from voicefile.deeds.deed import Action, Actor, Deed


class OldRootNeeded(Exception):
    """Something may still hang on the root version that is to be destroyed; the text says what."""


class _AlreadyDone(Exception):
    """An earlier run, or another instance, was here."""


@dataclass(frozen=True)
class RootChanged:
    """What one run did."""

    begun: bool
    """False: it took up what an earlier run had begun."""
    tenants_moved: int
    tenants_forged: int
    """Records that nobody of ours has written: what they wrap can't be moved."""
    rotated: Rotated


async def change_root(*, by: Actor, ports: Ports) -> RootChanged:
    """Begins a change of the root, or goes on with the one begun. Raises ChangedMeanwhile."""
    begun = not (await the_deployment(ports)).record.former_root
    if begun:
        await _begin(by=by, ports=ports)
    moved = forged = 0
    async for tenant_id in tenant_ids(ports):
        try:
            moved += await _moved(tenant_id, by=by, ports=ports)
        except (RecordForged, NotFound):
            forged += 1  # rotation, which comes next, tells the log of it
    return RootChanged(begun, moved, forged, await rotate(ports))


async def _begin(*, by: Actor, ports: Ports) -> None:
    root = ports.custody.root
    lasting, period = await root.create_version(), await root.create_version()

    async def begun(record: Deployment) -> Deployment:
        if record.former_root:
            raise _AlreadyDone
        return await _begun(record, lasting, period, ports=ports)

    deed = Deed(actor=by, action=Action.ACTION_ROOT_CHANGED, object_id=lasting)
    # If another has begun meanwhile, nothing hangs on the versions made here.
    with suppress(_AlreadyDone):
        await change_deployment(begun, deed=deed, ports=ports)


async def _begun(record: Deployment, lasting: str, period: str, *, ports: Ports) -> Deployment:
    # Later than every period before, so that those can be told from the ones after.
    now_s = max(int(ports.now_s()), record.periods[-1].began_at_s + 1)
    keys = await rewrap_lasting(
        ports.custody.root,
        record.keys,
        deployment=ports.custody.deployment,
        root_version=lasting,
    )
    return replace(
        record,
        keys=keys,
        lasting_root=lasting,
        former_root=record.lasting_root,
        root_changed_at_s=now_s,
        periods=(*record.periods, Period(period, now_s)),
    )


async def _moved(tenant_id: str, *, by: Actor, ports: Ports) -> int:
    async def under_the_new(tenant: Tenant) -> Tenant:
        lasting = (await the_deployment(ports)).record.lasting_root
        if tenant.keys.lasting_roots() <= {lasting}:
            raise _AlreadyDone
        keys = await rewrap_lasting(
            ports.custody.root,
            tenant.keys,
            deployment=ports.custody.deployment,
            root_version=lasting,
        )
        return replace(tenant, keys=keys)

    deed = Deed(
        actor=by, action=Action.ACTION_KEYS_REWRAPPED, tenant=tenant_id, object_id=tenant_id
    )
    try:
        await change_tenant(tenant_id, under_the_new, deed=deed, ports=ports)
    except _AlreadyDone:
        return 0
    return 1


async def destroy_old_root(*, by: Actor, ports: Ports) -> str:
    """Destroys the lasting version that was left; answers its id, empty if there is none.

    Safe to repeat. Raises OldRootNeeded while anything hangs on it, or on an epoch from before
    the change: after this the root that was left may go away altogether.
    """
    former = (await the_deployment(ports)).record.former_root
    if not former:
        return ""

    async def left(record: Deployment) -> Deployment:
        if record.former_root != former:
            raise _AlreadyDone
        await _require_left(record, ports=ports)
        # The root first: what the record calls destroyed must never be there still.
        await ports.custody.root.destroy_version(former)
        return replace(record, former_root="")

    deed = Deed(actor=by, action=Action.ACTION_ROOT_DESTROYED, object_id=former)
    with suppress(_AlreadyDone):
        await change_deployment(left, deed=deed, ports=ports)
    return former


async def _require_left(record: Deployment, *, ports: Ports) -> None:
    # A tenant that was being opened when the change began may appear under the old version.
    wait_s = record.root_changed_at_s + ports.settings.epoch_grace_s - int(ports.now_s())
    if wait_s > 0:
        raise OldRootNeeded(f"the change began too short a time ago: wait {wait_s} s")
    if any(period.began_at_s < record.root_changed_at_s for period in record.periods):
        raise OldRootNeeded("slips from before the change have not all moved yet")
    if record.former_root in {record.lasting_root, *record.keys.lasting_roots()}:
        raise OldRootNeeded("the deployment's own keys hang on it")
    async for tenant_id in tenant_ids(ports):
        try:
            stored = await tenant_of(tenant_id, ports=ports)
        except (RecordForged, NotFound):
            raise OldRootNeeded("a tenant's record is forged: what it wraps is unknown") from None
        if record.former_root in stored.record.keys.lasting_roots():
            raise OldRootNeeded("keys of a tenant hang on it: change the root once more")
