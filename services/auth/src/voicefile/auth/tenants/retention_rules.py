"""Which of a tenant's rules planned dates follow, told apart from all its others."""

import msgspec

from voicefile.auth.store import PolicyRules, Tenant
from voicefile.crypto.primitives import sha256

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
Retention = tuple[dict[str, int] | None, dict[str, int] | None]
"""Days by class: kept for, and at least."""


def retention_digest(tenant: Tenant, reseller: PolicyRules) -> bytes:
    """Of all that say how long something is kept, the reseller's among them."""
    departments = {
        name: (
            retention_of(department.rules),
            {each: retention_of(rules) for each, rules in department.projects.items()},
        )
        for name, department in tenant.departments.items()
    }
    rules = (retention_of(reseller), retention_of(tenant.rules), departments)
    return sha256(_ENCODER.encode(rules))


def retention_of(rules: PolicyRules) -> Retention:
    """What rules say of how long something is kept."""
    return rules.retention_days, rules.retention_days_min
