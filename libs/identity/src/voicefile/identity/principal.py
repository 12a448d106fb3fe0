"""Principals: who a verified token says is asking."""

from dataclasses import dataclass
from enum import StrEnum

from voicefile.identity.ids import PrincipalId, TenantId


class Role(StrEnum):
    """What a principal may be asked to do; a route names the roles it serves."""

    PARTNER = "partner"
    CUSTOMER = "customer"
    CARE = "care"
    TENANT_ADMIN = "tenant_admin"
    AUDITOR = "auditor"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Principal:
    """Somebody known: random ids, one role, one tenant (an operator has none)."""

    id: PrincipalId
    tenant: TenantId
    role: Role
    department: str = ""
    project: str = ""
