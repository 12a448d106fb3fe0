"""Scopes: reseller > tenant > department > project, and which of them somebody may act in."""

from collections.abc import Iterator
from dataclasses import dataclass

from voicefile.auth.errors import UnknownScope
from voicefile.auth.store import Department, PolicyRules, Principal, Tenant
from voicefile.auth.tenants.policy import Policy, narrowed, of_tenant


@dataclass(frozen=True)
class Scope:
    """A department and a project of a tenant; empty where none is meant."""

    department: str = ""
    project: str = ""


def effective(tenant: Tenant, reseller: PolicyRules, scope: Scope) -> Policy:
    """What holds in this scope. Raises UnknownScope."""
    policy = of_tenant(reseller, tenant.rules)
    if not scope.department:
        if scope.project:
            raise UnknownScope
        return policy
    department = tenant.departments.get(scope.department)
    if department is None:
        raise UnknownScope
    policy = narrowed(policy, department.rules)
    if not scope.project:
        return policy
    rules = department.projects.get(scope.project)
    if rules is None:
        raise UnknownScope
    return narrowed(policy, rules)


def acting_in(principal: Principal, wanted: Scope) -> Scope:
    """The scope asked for, within the principal's own. Raises UnknownScope outside of it.

    Somebody else's scope and one that does not exist are refused alike.
    """
    if principal.department and wanted.department not in {"", principal.department}:
        raise UnknownScope
    if principal.project and wanted.project not in {"", principal.project}:
        raise UnknownScope
    return Scope(
        department=wanted.department or principal.department,
        project=wanted.project or principal.project,
    )


def all_scopes(tenant: Tenant) -> Iterator[Scope]:
    """Every department and project, for those who must know them beforehand."""
    for name, department in sorted(tenant.departments.items()):
        yield Scope(name)
        for project in sorted(department.projects):
            yield Scope(name, project)


def with_scope(tenant: Tenant, scope: Scope, rules: PolicyRules) -> dict[str, Department]:
    """The tenant's departments with this scope added or changed. Raises UnknownScope."""
    departments = dict(tenant.departments)
    found = departments.get(scope.department, Department())
    if not scope.project:
        departments[scope.department] = Department(rules, found.projects)
    elif scope.department not in departments:
        raise UnknownScope
    else:
        projects = found.projects | {scope.project: rules}
        departments[scope.department] = Department(found.rules, projects)
    return departments
