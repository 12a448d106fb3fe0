"""Administration: a tenant's rules, scopes and letter shop, changed by its own admin."""

from msgspec.structs import replace

from voicefile.auth.errors import UnknownScope, UnusableKey
from voicefile.auth.ports import Ports
from voicefile.auth.store import PolicyRules, Tenant
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.change_tenant import change_tenant
from voicefile.auth.tenants.scopes import Scope
from voicefile.crypto.errors import Malformed
from voicefile.crypto.primitives import seal_text_to
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.identity.principal import Principal


async def set_rules(rules: PolicyRules, *, by: Principal, request_id: str, ports: Ports) -> None:
    """The tenant's own rules."""

    async def ruled(tenant: Tenant) -> Tenant:
        return replace(tenant, rules=rules)

    deed = _deed(Action.ACTION_TENANT_CHANGED, by, request_id)
    await change_tenant(by.tenant, ruled, deed=deed, ports=ports)


async def set_scope(
    scope: Scope, rules: PolicyRules, *, by: Principal, request_id: str, ports: Ports
) -> None:
    """A department or project, new or with new rules. Raises UnknownScope, also for too many."""

    async def with_scope(tenant: Tenant) -> Tenant:
        departments = scopes.with_scope(tenant, scope, rules)
        changed = replace(tenant, departments=departments)
        if sum(1 for _ in scopes.all_scopes(changed)) > ports.settings.scopes_max:
            raise UnknownScope
        return changed

    deed = _deed(Action.ACTION_SCOPE_ADDED, by, request_id)
    await change_tenant(by.tenant, with_scope, deed=deed, ports=ports)


async def set_letter_shop(
    public_key: bytes, *, by: Principal, request_id: str, ports: Ports
) -> None:
    """Whom PINs are sealed to. Raises UnusableKey."""
    try:
        seal_text_to(public_key, b"", b"")
    except Malformed:
        raise UnusableKey from None

    async def with_shop(tenant: Tenant) -> Tenant:
        return replace(tenant, letter_shop_key=public_key)

    deed = _deed(Action.ACTION_TENANT_CHANGED, by, request_id)
    await change_tenant(by.tenant, with_shop, deed=deed, ports=ports)


def _deed(action: Action, by: Principal, request_id: str) -> Deed:
    return Deed(
        actor=Actor.of(by),
        action=action,
        tenant=by.tenant,
        object_id=by.tenant,
        request_id=request_id,
    )
