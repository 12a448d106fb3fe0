"""Rotation: slips and subject keys move on to new epoch keys, and the old ones are destroyed.

All epochs of a period hang on one version of the root key and die with it. Nothing here holds
state of its own: what is to do is read from the documents each time, so a run that was killed
anywhere is simply taken up by the next one, on whichever instance.

The order protects what lives: new period, new epochs, everything re-wrapped, a pause in which
every instance forgets the old epochs, a last look, and only then destruction.

A record that does not carry its MAC is not re-wrapped: under the new epoch it would be believed to
be ours. Nor is what it wraps destroyed, as it may be the last key to somebody's proof, and whoever
can forge a record could destroy any other by it. So the root version that it hangs on stays, and
with it every tenant's epoch of that period, longer than promised: until the record is mended from
a backup or removed by hand. That is told (`held_up`) and has no further effect. All that can be
believed moves on in any case, of every tenant, and later periods end when they should. Only of a
forged tenant nobody knows which periods its keys hang on: while one is there, none is destroyed.
"""

from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.errors import NotFound
from voicefile.auth.keys.held_up import tell_held_up
from voicefile.auth.keys.rewrap import rewrap
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged, Stored
from voicefile.auth.store import ACCESS, Deployment, Period, Tenant
from voicefile.auth.tenants.change_tenant import change_tenant, tenant_of
from voicefile.auth.tenants.open_tenant import tenant_ids, the_deployment
from voicefile.crypto.keyring import EpochState, destroy_epoch, open_epoch
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import Document, VersionConflict
from voicefile.identity.ids import PLATFORM


@dataclass(frozen=True)
class Rotated:
    """What one run did."""

    epochs_opened: int = 0
    documents_rewrapped: int = 0
    epochs_destroyed: int = 0


async def rotate(ports: Ports) -> Rotated:
    """One run; does what is due, and nothing if nothing is. Safe to repeat and to run twice."""
    deployment = await the_deployment(ports)
    if _is_due(deployment.record.periods[-1], ports=ports):
        await _begin_period(deployment, ports=ports)
        deployment = await the_deployment(ports)
    current = deployment.record.periods[-1]
    opened = rewrapped = 0
    forged: list[RecordForged] = []
    if len(deployment.record.periods) > 1:
        async for tenant_id in tenant_ids(ports):
            try:
                opened += await _renewed(tenant_id, current, ports=ports)
                rewrapped += await rewrap(tenant_id, forged=forged, ports=ports)
            except RecordForged as error:
                forged.append(error)  # Its keys have to stay, but no other tenant waits.
            except NotFound:
                # It stands among the tenants and says that it belongs to another.
                forged.append(RecordForged(Document(tenant_id, tenant_id, {})))
    await tell_held_up(forged, ports=ports)
    destroyed = await _destroy_ended(ports=ports)
    return Rotated(opened, rewrapped, destroyed)


def _is_due(period: Period, *, ports: Ports) -> bool:
    return ports.now_s() - period.began_at_s >= ports.settings.epoch_max_s


async def _begin_period(deployment: Stored[Deployment], *, ports: Ports) -> None:
    version = await ports.custody.root.create_version()
    period = Period(version, int(ports.now_s()))
    changed = replace(deployment.record, periods=(*deployment.record.periods, period))
    try:
        await ports.deployments.of(PLATFORM).replace(deployment, changed)
    except VersionConflict:
        # Another instance began it; the version made here wraps nothing. Looked at rather than
        # concluded: what is destroyed is gone.
        newest = await the_deployment(ports)
        if period not in newest.record.periods:
            await ports.custody.root.destroy_version(version)


async def _renewed(tenant_id: str, period: Period, *, ports: Ports) -> int:
    """Gives the tenant an epoch of this period, unless it has one."""
    stored = await tenant_of(tenant_id, ports=ports)
    if stored.record.keys.current_epoch.root_version == period.root_version:
        return 0

    async def with_epoch(tenant: Tenant) -> Tenant:
        if tenant.keys.current_epoch.root_version == period.root_version:
            raise _AlreadyDone
        keys = await open_epoch(
            ports.custody.root,
            tenant.keys,
            deployment=ports.custody.deployment,
            root_version=period.root_version,
            now_s=ports.now_s(),
        )
        return replace(tenant, keys=keys)

    deed = _deed(Action.ACTION_EPOCH_OPENED, tenant_id)
    try:
        await change_tenant(tenant_id, with_epoch, deed=deed, ports=ports)
    except _AlreadyDone:
        return 0
    return 1


class _AlreadyDone(Exception):
    """Another instance was here first."""


async def _destroy_ended(*, ports: Ports) -> int:
    """Destroys the periods before the current one, once nothing hangs on them any more."""
    deployment = await the_deployment(ports)
    destroyed = 0
    for period in deployment.record.periods[:-1]:
        try:
            tenants = await _tenants_under(period, ports=ports)
        except (RecordForged, NotFound):
            break  # This run has told it.
        if not await _is_over(tenants, period, deployment.record.periods[-1], ports=ports):
            continue
        keys = [stored.record.keys for stored in tenants]
        await destroy_epoch(ports.custody.root, period.root_version, keys)
        for stored in tenants:
            destroyed += await _mark_destroyed(stored.id, period, ports=ports)
        await _forget_period(period, ports=ports)
    return destroyed


async def _tenants_under(period: Period, *, ports: Ports) -> list[Stored[Tenant]]:
    found = []
    async for tenant_id in tenant_ids(ports):
        stored = await tenant_of(tenant_id, ports=ports)
        epochs = stored.record.keys.epochs_under(period.root_version)
        if any(epoch.state is not EpochState.DESTROYED for epoch in epochs):
            found.append(stored)
    return found


async def _is_over(
    tenants: list[Stored[Tenant]], period: Period, current: Period, *, ports: Ports
) -> bool:
    """Whether nothing is wrapped under the period, and nobody can be wrapping under it still."""
    forgotten_before_s = ports.now_s() - ports.settings.epoch_grace_s
    # A tenant that was being opened when the period changed may appear under the old one.
    if current.began_at_s > forgotten_before_s:
        return False
    for stored in tenants:
        # Until an instance forgot it, an old epoch may pass for the open one there.
        if stored.record.keys.current_epoch.opened_at_s > forgotten_before_s:
            return False
        for epoch in stored.record.keys.epochs_under(period.root_version):
            if epoch.state is EpochState.OPEN:
                return False
            if await ports.store.find(ACCESS, "epoch", epoch.id, limit=1):
                return False
    return True


async def _mark_destroyed(tenant_id: str, period: Period, *, ports: Ports) -> int:
    async def marked(tenant: Tenant) -> Tenant:
        # The version is gone already; asking again only answers how the namespace looks now.
        (keys,) = await destroy_epoch(ports.custody.root, period.root_version, [tenant.keys])
        return replace(tenant, keys=keys)

    deed = _deed(Action.ACTION_EPOCH_DESTROYED, tenant_id)
    await change_tenant(tenant_id, marked, deed=deed, ports=ports)
    return 1


async def _forget_period(period: Period, *, ports: Ports) -> None:
    deployment = await the_deployment(ports)
    periods = tuple(each for each in deployment.record.periods if each != period)
    with suppress(VersionConflict):  # the next run forgets it
        await ports.deployments.of(PLATFORM).replace(
            deployment, replace(deployment.record, periods=periods)
        )


def _deed(action: Action, tenant_id: str) -> Deed:
    return Deed(actor=Actor.service(), action=action, tenant=tenant_id, object_id=tenant_id)
