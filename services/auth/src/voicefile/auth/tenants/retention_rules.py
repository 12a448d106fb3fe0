"""Which of a tenant's rules planned dates follow, told apart from all its others."""

import msgspec

from voicefile.auth.store import PolicyRules, Tenant
from voicefile.crypto.primitives import sha256

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_Retention = tuple[dict[str, int] | None, dict[str, int] | None]


def retention_digest(tenant: Tenant, reseller: PolicyRules) -> bytes:
    """Of all that say how long something is kept, the reseller's among them."""
    departments = {
        name: (
            _retention(department.rules),
            {each: _retention(rules) for each, rules in department.projects.items()},
        )
        for name, department in tenant.departments.items()
    }
    rules = (_retention(reseller), _retention(tenant.rules), departments)
    return sha256(_ENCODER.encode(rules))


def _retention(rules: PolicyRules) -> _Retention:
    return rules.retention_days, rules.retention_days_min
