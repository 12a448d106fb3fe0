"""`voicefile`: serve the vault, try it out, look after tenants, migrate stores."""

import sys
from collections.abc import Coroutine
from typing import Annotated

import typer
import uvloop

from voicefile.chassis.settings import DeploymentSettings
from voicefile.chassis.wire import PortTaken
from voicefile.cli import demo as demo_command
from voicefile.cli import migrate as migrate_command
from voicefile.cli import serve as serve_command
from voicefile.cli import tenant as tenant_command
from voicefile.cli.place import AlreadyRunning

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__
)
tenant = typer.Typer(no_args_is_help=True, help="Open, list and close tenants.")
app.add_typer(tenant, name="tenant")


Command = Coroutine[None, None, int]


def _run(command: Command) -> None:
    """Runs a command to its end; what a person can mend is said in one line."""
    try:
        # A long recording costs mostly the loop's own work and TLS: uvloop does both for less.
        code = uvloop.run(command)
    except AlreadyRunning:
        sys.exit("Another vault uses this folder. Stop it, or set VOICEFILE_DATA_DIR to another.")
    except PortTaken as taken:
        sys.exit(f"{taken}. Stop that, or set VOICEFILE_PORT to another.")
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


@app.command()
def serve(
    service: Annotated[str, typer.Argument(help="`all`: every service in this process.")] = "all",
) -> None:
    """Serve the vault over HTTPS until told to stop."""
    if service != "all":
        sys.exit("Only `all` can be served in this version: every service in one process.")
    _run(serve_command.serve(DeploymentSettings()))


@app.command()
def demo() -> None:
    """Serve the vault with two demo tenants and one recording to hear."""
    _run(demo_command.demo(DeploymentSettings()))


@app.command()
def migrate() -> None:
    """Bring every store to this version; done at each start, too."""
    _run(migrate_command.migrate(DeploymentSettings()))


@tenant.command("open")
def tenant_open(
    name: Annotated[str, typer.Argument(help="The tenant's name, for people.")],
    domain: Annotated[str, typer.Argument(help="Ends its staff's usernames: care@DOMAIN.")],
) -> None:
    """Open a tenant with its first administrator, whose credentials are printed once."""
    _run(tenant_command.open_one(DeploymentSettings(), name=name, domain=domain))


@tenant.command("list")
def tenant_list() -> None:
    """List tenants: id, open or closed, name."""
    _run(tenant_command.list_all(DeploymentSettings()))


@tenant.command("close")
def tenant_close(tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")]) -> None:
    """Close a tenant: nothing new is taken and nothing released."""
    _run(tenant_command.close_one(DeploymentSettings(), tenant_id=tenant_id))
