"""Planned dates: when a recording is due under the rules of its scope.

Changed rules bring a date forward and never put one off: what a customer was once told to be gone
by then is gone by then. The law alone lengthens, and that shows.
"""

import datetime as dt
from collections.abc import Callable

from msgspec.structs import replace

from voicefile.auth.errors import UnknownScope
from voicefile.auth.store import PolicyRules, Recording, Tenant
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.policy import Policy
from voicefile.auth.tenants.scopes import Scope

PolicyOf = Callable[[Recording], Policy]


def planned(recording: Recording, policy: Policy) -> Recording:
    """The recording with the dates that this policy gives it; an erased one as it is."""
    if recording.erased:
        return recording
    days = (policy.retention_days or {}).get(recording.retention_class)
    delete_on = recording.delete_on
    # A class that its scope does not offer any more: nothing is said of those that have it.
    if days is not None:
        delete_on = min(delete_on, _later(recording.stored_on, days))
    least = policy.retention_days_min.get(recording.retention_class, 0)
    keep_until = _later(recording.stored_on, least) if least else ""
    return replace(recording, delete_on=delete_on, keep_until=keep_until)


def policies(tenant: Tenant, reseller: PolicyRules) -> PolicyOf:
    """What holds for each recording of a tenant, worked out once for each scope."""
    found: dict[Scope, Policy] = {}

    def policy_of(recording: Recording) -> Policy:
        scope = Scope(recording.department, recording.project)
        if scope not in found:
            try:
                found[scope] = scopes.effective(tenant, reseller, scope)
            except UnknownScope:
                # Scopes are never taken away; were one, what is above it would still count.
                found[scope] = scopes.effective(tenant, reseller, Scope())
        return found[scope]

    return policy_of


def _later(day: str, days: int) -> str:
    # A hundred years from any day that a recording was stored on there are still dates.
    return (dt.date.fromisoformat(day) + dt.timedelta(days=days)).isoformat()
