"""Preview: what other rules would erase and when, before anybody decides on them.

It reads all that the tenant has and works out the dates by the very function that would give them,
so what it shows is what then happens.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.erasing.planned import planned, policies
from voicefile.auth.ports import Ports
from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.scopes import Scope


@dataclass(frozen=True)
class Moved:
    """A recording whose planned date would be another one."""

    recording: str
    before: str
    after: str
    held: bool
    """Whatever the date says, something stands against erasing it."""


async def preview(
    tenant_id: str, rules: PolicyRules, scope: Scope, *, ports: Ports
) -> AsyncIterator[Moved]:
    """Under these rules of the tenant, or of that scope of it. Raises NotFound, UnknownScope."""
    stored = await tenant_of(tenant_id, ports=ports)
    if scope.department:
        departments = scopes.with_scope(stored.record, scope, rules)
        wanted = replace(stored.record, departments=departments)
    else:
        wanted = replace(stored.record, rules=rules)
    policy_of = policies(wanted, await ports.rules_of_reseller(stored))
    async for access in ports.access.of(tenant_id).all():
        for before in access.record.recordings:
            after = planned(before, policy_of(before))
            if after.due_on != before.due_on:
                yield Moved(before.id, before.due_on, after.due_on, before.held)
