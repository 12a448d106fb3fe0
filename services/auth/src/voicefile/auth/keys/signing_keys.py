"""Signing keys: what receipts, manifests, tokens and sealing keys are signed with.

A key that is added is published at once and signs ten minutes later, when everybody who keeps
published keys has asked again. None is ever withdrawn: what an older one has signed stays signed.
What is published was checked against the record's MAC, and is read anew each time: somebody who
could slip a public key in here would sign tokens of everybody.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from voicefile.auth.keys.receipts import key_commitment
from voicefile.auth.ports import Ports
from voicefile.auth.store import Deployment, Tenant
from voicefile.auth.tenants.change_deployment import change_deployment
from voicefile.auth.tenants.change_tenant import change_tenant, tenant_of
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.crypto.keyring import KeyNamespace, ReceiptVersion, renew_receipt_key
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.identity.ids import PLATFORM
from voicefile.identity.tokens import KEYS_MAX

KEPT_S: Final = 60.0
"""How long auth's own routes believe what they have read."""
RETRY_S: Final = 5.0


async def published_keys(tenant: str, *, ports: Ports) -> list[tuple[str, bytes]]:
    """The public halves of all signing keys there ever were, by id. Raises NotFound, Tampered."""
    versions = (await _keys_of(tenant, ports=ports)).receipt_versions
    if tenant == PLATFORM:
        # Those who check tokens read no more; a token and a sealing key's word live a week at most.
        versions = versions[-KEYS_MAX:]
    return [(version.id, version.public) for version in versions]


class OwnKeys:
    """The keys auth signs tokens with, as its own routes check them."""

    def __init__(self, ports: Ports, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._ports = ports
        self._monotonic_s = monotonic_s
        self._keys: Mapping[str, bytes] = {}
        self._read_s = float("-inf")

    async def find(self, kid: str) -> bytes | None:
        age_s = self._monotonic_s() - self._read_s
        # Invented key ids must not become a flood of reads.
        if age_s >= KEPT_S or (kid not in self._keys and age_s >= RETRY_S):
            self._keys = dict(await published_keys(PLATFORM, ports=self._ports))
            self._read_s = self._monotonic_s()
        return self._keys.get(kid)


async def change_signing_key(tenant: str, *, by: Actor, ports: Ports) -> str:
    """One more key for a tenant's receipts, or for tokens (the platform's); answers its id.

    Raises NotFound, ChangedMeanwhile.
    """
    await _keys_of(tenant, ports=ports)
    version = await _new_version(tenant, ports=ports)
    deed = Deed(
        actor=by,
        action=Action.ACTION_SIGNING_KEY_ADDED,
        tenant=tenant,
        object_id=version.id,
        commitment=key_commitment(version.id, version.public),
    )

    async def tenants(found: Tenant) -> Tenant:
        return replace(found, keys=_with(version, found.keys))

    async def platforms(found: Deployment) -> Deployment:
        return replace(found, keys=_with(version, found.keys))

    if tenant == PLATFORM:
        await change_deployment(platforms, deed=deed, ports=ports)
    else:
        await change_tenant(tenant, tenants, deed=deed, ports=ports)
    return version.id


async def signs_since_s(tenant: str, *, ports: Ports) -> int:
    """When the tenant's newest signing key was made. Raises NotFound."""
    return (await _keys_of(tenant, ports=ports)).receipt_version().created_at_s


async def _new_version(tenant: str, *, ports: Ports) -> ReceiptVersion:
    deployment = await the_deployment(ports)
    renewed = await renew_receipt_key(
        ports.custody.root,
        KeyNamespace(tenant, (), (), ()),
        deployment=ports.custody.deployment,
        root_version=deployment.record.lasting_root,
        now_s=ports.now_s(),
    )
    return renewed.receipt_version()


def _with(version: ReceiptVersion, keys: KeyNamespace) -> KeyNamespace:
    return KeyNamespace(
        keys.tenant,
        keys.identity_versions,
        keys.epochs,
        (*keys.receipt_versions, version),
    )


async def _keys_of(tenant: str, *, ports: Ports) -> KeyNamespace:
    if tenant == PLATFORM:
        return (await the_deployment(ports)).record.keys
    return (await tenant_of(tenant, ports=ports)).record.keys
