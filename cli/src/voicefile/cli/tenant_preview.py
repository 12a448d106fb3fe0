"""What other rules of a tenant would erase and when, from the command line; changes nothing."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from voicefile.auth.erasing.preview import preview
from voicefile.auth.errors import NotFound, UnknownScope
from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants.admin_routes import rules_of
from voicefile.auth.tenants.admin_schemas import RulesPart
from voicefile.auth.tenants.scopes import Scope
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.administering import auth_ports
from voicefile.cli.demo import OPERATOR
from voicefile.cli.tenant import ID, NO_SUCH
from voicefile.deeds.deed import Action, Deed


@dataclass(frozen=True)
class Where:
    """The scope whose rules are tried out; empty: the tenant itself."""

    department: str = ""
    project: str = ""


async def preview_rules(
    settings: DeploymentSettings, *, tenant_id: str, rules: Path, where: Where
) -> int:
    """Prints, for each day, how many recordings it would be the planned day of."""
    if not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    wanted = _read(rules)
    if wanted is None:
        sys.stderr.write("These are no rules: PUT /auth/v1/policy says what they look like.\n")
        return 1
    scope = Scope(where.department, where.project)
    days: Counter[str] = Counter()
    held: Counter[str] = Counter()
    async with auth_ports(settings) as ports:
        await ports.deeds.record(
            Deed(
                actor=OPERATOR,
                action=Action.ACTION_ADMINISTRATION_READ,
                tenant=tenant_id,
                object_id=tenant_id,
            )
        )
        try:
            async for moved in preview(tenant_id, wanted, scope, ports=ports):
                days[moved.after] += 1
                held[moved.after] += moved.held
        except (NotFound, UnknownScope):
            sys.stderr.write("There is no such tenant, or no such scope in it.\n")
            return 1
    for day, count in sorted(days.items()):
        sys.stdout.write(f"{day}  {count} recordings, {held[day]} of them held\n")
    sys.stdout.write(f"{days.total()} recordings would get another planned day\n")
    return 0


def _read(rules: Path) -> PolicyRules | None:
    try:
        return rules_of(RulesPart.model_validate_json(rules.read_bytes()))
    except (OSError, ValidationError):
        return None
