"""Tenants from the command line: open, list, close, bring back; and their own telephone voice."""

import re
import sys
from pathlib import Path
from typing import Final

from voicefile.auth.erasing.confirm import TYPED_CHARS
from voicefile.auth.errors import ChangeNotPossible, NameTaken, NotFound
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import (
    NewTenant,
    close_tenant,
    open_tenant,
    reopen_tenant,
    tenant_ids,
)
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.administering import auth_ports
from voicefile.cli.demo import OPERATOR
from voicefile.deeds.deed import Action, Deed
from voicefile.identity.principal import Role
from voicefile.playback.telephone.own_prompts import checked, put_prompt, remove_prompt
from voicefile.playback.telephone.phrases import Fragment
from voicefile.playback.telephone.prompts import PromptRefused

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
            planned = f"  erased on {stored.record.delete_on}" if stored.record.delete_day else ""
            sys.stdout.write(f"{stored.id}  {state:6}  {stored.record.name}{planned}\n")
    return 0


async def close_one(settings: DeploymentSettings, *, tenant_id: str, typed: str) -> int:
    """Closes a tenant, once somebody has typed which."""
    if not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    if typed != tenant_id[:TYPED_CHARS]:
        sys.stderr.write(
            "All of a closed tenant is erased when its days to come back are over. If you mean\n"
            f"this one, say --typed with the first {TYPED_CHARS} characters of its id.\n"
        )
        return 1
    async with auth_ports(settings) as ports:
        try:
            delete_on = await close_tenant(tenant_id, by=OPERATOR, ports=ports)
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
    sys.stdout.write(f"closed; erased on {delete_on}\n")
    return 0


async def restore_one(settings: DeploymentSettings, *, tenant_id: str) -> int:
    """Brings a closed tenant back."""
    if not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    async with auth_ports(settings) as ports:
        try:
            await reopen_tenant(tenant_id, by=OPERATOR, ports=ports)
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
        except ChangeNotPossible:
            sys.stderr.write("Its day has come: it can't come back.\n")
            return 1
    sys.stdout.write("open\n")
    return 0


async def own_prompt(
    settings: DeploymentSettings,
    *,
    tenant_id: str,
    fragment: Fragment,
    sound: Path | None,
    folder: Path,
) -> int:
    """Puts a tenant's own prompt into the folder, or takes it away; heard from the next start."""
    if not ID.fullmatch(tenant_id):
        sys.stderr.write(NO_SUCH)
        return 1
    try:
        wav = None if sound is None else checked(fragment, sound)
    except PromptRefused as why:
        sys.stderr.write(f"{why}.\n")
        return 1
    async with auth_ports(settings) as ports:
        # What goes wrong is told in here: out there it would have been a failure of the vault.
        try:
            await tenant_of(tenant_id, ports=ports)
            # The deed first: a file that nobody answers for is worse than a deed without one.
            await ports.deeds.record(_changed(tenant_id))
            if wav is None:
                remove_prompt(folder, tenant_id, fragment)
            else:
                put_prompt(folder, tenant_id, fragment, wav)
        except NotFound:
            sys.stderr.write(NO_SUCH)
            return 1
        except PromptRefused as why:
            sys.stderr.write(f"{why}.\n")
            return 1
        except OSError as error:
            sys.stderr.write(f"The folder can't be written: {error.strerror}.\n")
            return 1
    sys.stdout.write("removed\n" if wav is None else "put\n")
    return 0


def _changed(tenant_id: str) -> Deed:
    return Deed(
        actor=OPERATOR,
        action=Action.ACTION_TENANT_CHANGED,
        tenant=tenant_id,
        object_id=tenant_id,
    )
