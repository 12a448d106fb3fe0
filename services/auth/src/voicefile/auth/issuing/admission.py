"""Admission: whether a recording may be filed, decided before anything is made or written."""

import datetime as dt
from dataclasses import dataclass

from voicefile.auth.errors import NotFound, TenantClosed
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import Tenant
from voicefile.auth.tenants import policy, scopes
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.scopes import Scope
from voicefile.identity.principal import Role


@dataclass(frozen=True)
class Admission:
    """A recording that may be filed, and under which rules."""

    body: IssueBody
    tenant: Tenant
    scope: Scope
    policy: policy.Policy
    retention_class: str
    stored_at_ms: int
    delete_on: str
    keep_until: str

    def __repr__(self) -> str:
        return "<Admission>"

    @property
    def stored_on(self) -> str:
        """The day, UTC."""
        return day_of(self.stored_at_ms)


async def admit(body: IssueBody, *, ports: Ports) -> Admission:
    """Raises NotFound, TenantClosed, UnknownScope, RecordingNotAllowed, …: nothing is done yet."""
    stored = await tenant_of(body.tenant, ports=ports)
    if not stored.record.open:
        raise TenantClosed
    scope = await _scope(body, ports=ports)
    reseller = await ports.rules_of_reseller(stored)
    effective = scopes.effective(stored.record, reseller, scope)
    policy.check_recording(effective)
    retention_class, days = policy.retention(effective, body.metadata.retention_class)
    least = effective.retention_days_min.get(retention_class, 0)
    stored_at_ms = int(ports.now_s() * 1000)
    return Admission(
        body=body,
        tenant=stored.record,
        scope=scope,
        policy=effective,
        retention_class=retention_class,
        stored_at_ms=stored_at_ms,
        delete_on=day_of(stored_at_ms, days_later=days),
        keep_until=day_of(stored_at_ms, days_later=least) if least else "",
    )


async def _scope(body: IssueBody, *, ports: Ports) -> Scope:
    partner = await ports.principals.of(body.tenant).get(body.partner)
    if partner is None or not partner.record.active or partner.record.role != Role.PARTNER:
        raise NotFound
    wanted = body.metadata.scope
    scope = Scope(wanted.department, wanted.project or "") if wanted is not None else Scope()
    return scopes.acting_in(partner.record, scope)


def day_of(at_ms: int, *, days_later: int = 0) -> str:
    """The day, UTC, as YYYY-MM-DD."""
    moment = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC) + dt.timedelta(days=days_later)
    return moment.date().isoformat()
