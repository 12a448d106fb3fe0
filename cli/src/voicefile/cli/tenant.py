"""Tenants from the command line: open, list, close."""

import re
import sys
from typing import Final

from voicefile.auth.errors import NameTaken, NotFound
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import NewTenant, close_tenant, open_tenant, tenant_ids
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.administering import auth_ports
from voicefile.cli.demo import OPERATOR
from voicefile.deeds.deed import Action, Deed
from voicefile.identity.principal import Role

ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
NO_SUCH: Final = "There is no such tenant: `voicefile tenant list` shows those there are.\n"


async def open_one(settings: DeploymentSettings, *, name: str, domain: str) -> int:
    """Opens a tenant with its first administrator."""
    async with auth_ports(settings) as ports:
        try:
            tenant = await open_tenant(NewTenant(name, domain), by=OPERATOR, ports=ports)
        except NameTaken:
            sys.stderr.write("Another tenant has this domain.\n")
            return 1
        first = NewPrincipal(Role.TENANT_ADMIN, "first administrator", handle="admin")
        admin = await add_principal(tenant, first, by=OPERATOR, ports=ports)
        assert admin.password is not None
        assert admin.totp_secret is not None
        sys.stdout.write(
            f"tenant       {tenant}\n"
            f"username     {admin.username}\n"
            f"password     {admin.password.expose()}\n"
            f"TOTP secret  {admin.totp_secret.expose()}\n"
            "Shown once. The administrator adds partners and staff, and chooses retention\n"
            "classes; until then no recording is taken.\n"
        )
    return 0


async def list_all(settings: DeploymentSettings) -> int:
    """Lists tenants; whoever does has looked at all of them, so the platform's log says so."""
    async with auth_ports(settings) as ports:
        await ports.deeds.record(Deed(actor=OPERATOR, action=Action.ACTION_ADMINISTRATION_READ))
        async for tenant_id in tenant_ids(ports):
            stored = await tenant_of(tenant_id, ports=ports)
            state = "open" if stored.record.open else "closed"
            sys.stdout.write(f"{stored.id}  {state:6}  {stored.record.name}\n")
    return 0


async def close_one(settings: DeploymentSettings, *, tenant_id: str) -> int:
    """Closes a tenant."""
    if not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    async with auth_ports(settings) as ports:
        try:
            await close_tenant(tenant_id, by=OPERATOR, ports=ports)
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
    sys.stdout.write("closed\n")
    return 0
