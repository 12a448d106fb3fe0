"""A tenant as ingest is told of it: may it take recordings, and which key to seal to."""

from voicefile.auth.events import ScopePublished, TenantPublished
from voicefile.auth.keys.custody import Custody
from voicefile.auth.store import PolicyRules, Tenant
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.policy import Policy
from voicefile.auth.tenants.scopes import Scope


async def as_published(
    tenant_id: str, tenant: Tenant, *, reseller: PolicyRules, custody: Custody
) -> TenantPublished:
    """The fact that goes with each change of a tenant; its version tells which is newer."""
    policy = scopes.effective(tenant, reseller, Scope())
    sealing = await custody.sealing_key(tenant_id, tenant.keys)
    return TenantPublished(
        tenant=tenant_id,
        version=tenant.version,
        open=tenant.open,
        recording_allowed=policy.recording_allowed,
        epoch=sealing.epoch,
        sealing_key=sealing.public,
        sealing_key_signature=sealing.signature,
        retention_classes=_retention_classes(policy),
        default_retention_class=policy.default_retention_class or "",
        scopes=tuple(
            ScopePublished(
                department=scope.department,
                project=scope.project,
                recording_allowed=scopes.effective(tenant, reseller, scope).recording_allowed,
            )
            for scope in scopes.all_scopes(tenant)
        ),
    )


def _retention_classes(policy: Policy) -> tuple[str, ...]:
    return tuple(sorted(policy.retention_days or {}))
