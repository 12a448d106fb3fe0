"""Tenants from the command line: open, list, close.

The embedded vault is stopped meanwhile; services that run apart go on.
"""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from voicefile.auth.errors import NameTaken, NotFound
from voicefile.auth.ports import Ports
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import NewTenant, close_tenant, open_tenant, tenant_ids
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.demo import OPERATOR
from voicefile.cli.embedded import embedded
from voicefile.cli.engine_settings import EngineSettings, read
from voicefile.cli.place import Place
from voicefile.deeds.deed import Action, Deed
from voicefile.identity.principal import Role

ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
NO_SUCH: Final = "There is no such tenant: `voicefile tenant list` shows those there are.\n"


@asynccontextmanager
async def _ports(settings: DeploymentSettings) -> AsyncIterator[Ports]:
    """Auth's ports, in the form that the settings describe."""
    harden()
    if read(EngineSettings).mongo_uri is None:
        async with _embedded_ports(settings) as ports:
            yield ports
        return
    from voicefile.cli.apart.administer import auth_ports  # noqa: PLC0415 the cluster's alone

    configure("voicefile", console=False)
    async with auth_ports(on_failure=_give_up) as ports:
        yield ports


@asynccontextmanager
async def _embedded_ports(settings: DeploymentSettings) -> AsyncIterator[Ports]:
    """Auth of a vault that serves nobody meanwhile; its events still reach the log."""
    place = Place(settings.data_dir)
    with place.held(), place.opened_log() as log:
        configure("voicefile", stream=log, console=False)
        async with embedded(settings, place, on_failure=_give_up) as vault:
            yield vault.services["/auth"].public.state.ports


def _give_up(error: Exception) -> None:
    raise SystemExit(f"The store can't be written: {type(error).__name__}")


async def open_one(settings: DeploymentSettings, *, name: str, domain: str) -> int:
    """Opens a tenant with its first administrator."""
    async with _ports(settings) as ports:
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
    async with _ports(settings) as ports:
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
    async with _ports(settings) as ports:
        try:
            await close_tenant(tenant_id, by=OPERATOR, ports=ports)
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
    sys.stdout.write("closed\n")
    return 0
