"""`voicefile`: serve the vault or one of its services, try it out, look after tenants and stores.

Each command imports what it runs when it runs it: a process with one service loads no other's
code, and the embedded vault no engine's client.
"""

# ruff: noqa: PLC0415

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Final

import typer

from voicefile.chassis import event_loop
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.backup import app as backup
from voicefile.cli.engine_settings import SERVICES, SettingsRefused, read
from voicefile.cli.events import app as events
from voicefile.cli.prepare import app as prepare
from voicefile.cli.prompts import app as prompts
from voicefile.cli.words import in_words
from voicefile.witness.commands import app as witness

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__
)
tenant = typer.Typer(no_args_is_help=True, help="Open, list and close tenants; their prompts.")
app.add_typer(tenant, name="tenant")
app.add_typer(prepare, name="prepare")
app.add_typer(events, name="events")
app.add_typer(prompts, name="prompts")
app.add_typer(witness, name="witness")
keys = typer.Typer(no_args_is_help=True, help="Change the root key, and the keys that sign.")
app.add_typer(keys, name="keys")
app.add_typer(backup, name="backup")
audit = typer.Typer(no_args_is_help=True, help="Check a tenant's log.")
app.add_typer(audit, name="audit")
PASSED_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""The verifier's own command line, which is installable without this one, reads the words."""


Command = Coroutine[None, None, int]


def _run(command: Command) -> None:
    """Runs a command to its end; what a person can mend is said in one line."""
    try:
        # A long recording costs mostly the loop's own work and TLS: uvloop does both for less.
        code = event_loop.run(command)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        said = in_words(error)
        if said is None:
            raise
        sys.exit(said)
    sys.exit(code)


@app.command()
def serve(
    service: Annotated[
        str, typer.Argument(help=f"`all` in this process, or one of {', '.join(SERVICES)}.")
    ] = "all",
) -> None:
    """Serve the vault, or one service of it over real engines, until told to stop."""
    if service == "all":
        from voicefile.cli.serve import serve as serve_all

        _run(serve_all(_deployment()))
    if service not in SERVICES:
        sys.exit(f"There is no such service: `all`, or one of {', '.join(SERVICES)}.")
    from voicefile.cli.apart.serve import serve as serve_one

    _run(serve_one(service))


@app.command()
def certificates(
    names: Annotated[
        list[str] | None, typer.Argument(help="Services and engines; all of them if none is named.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder; VOICEFILE_DATA_DIR/cluster.")
    ] = None,
) -> None:
    """Make certificates for services that run apart on this machine; for development."""
    from voicefile.cli.certificates import make

    sys.exit(make(out or _deployment().data_dir / "cluster", names or ()))


@app.command()
def demo() -> None:
    """Serve the vault with two demo tenants and one recording to hear."""
    from voicefile.cli.demo import demo as run_demo

    _run(run_demo(_deployment()))


@app.command()
def migrate(
    service: Annotated[
        str | None, typer.Argument(help="Whose store, where services run apart.")
    ] = None,
) -> None:
    """Bring every store to this version, or one; done at each start, too."""
    from voicefile.cli.migrate import migrate as run_migrate

    _run(run_migrate(_deployment(), service))


@app.command(context_settings=PASSED_ON)
def verify(words: typer.Context) -> None:
    """Check offline that a recording is the one that was filed; `verify --help` says how."""
    from voicefile.verify.command import run_verify

    sys.exit(run_verify(words.args, "voicefile verify"))


@audit.command(context_settings=PASSED_ON)
def fsck(words: typer.Context) -> None:
    """Recount a whole log from a folder or its address; `audit fsck --help` says how."""
    from voicefile.verify.command import run_fsck

    sys.exit(run_fsck(words.args, "voicefile audit fsck"))


@tenant.command("open")
def tenant_open(
    name: Annotated[str, typer.Argument(help="The tenant's name, for people.")],
    domain: Annotated[str, typer.Argument(help="Ends its staff's usernames: care@DOMAIN.")],
) -> None:
    """Open a tenant with its first administrator, whose credentials are printed once."""
    from voicefile.cli.tenant import open_one

    _run(open_one(_deployment(), name=name, domain=domain))


@tenant.command("list")
def tenant_list() -> None:
    """List tenants: id, open or closed, name."""
    from voicefile.cli.tenant import list_all

    _run(list_all(_deployment()))


@tenant.command("close")
def tenant_close(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")],
    typed: Annotated[
        str, typer.Option(help="The first eight characters of its id: you mean this one.")
    ] = "",
) -> None:
    """Close a tenant: nothing is taken or released, and 90 days later all of it is erased."""
    from voicefile.cli.tenant import close_one

    _run(close_one(_deployment(), tenant_id=tenant_id, typed=typed))


@tenant.command("restore")
def tenant_restore(tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")]) -> None:
    """Bring a closed tenant back as it was, before its day has come."""
    from voicefile.cli.tenant import restore_one

    _run(restore_one(_deployment(), tenant_id=tenant_id))


@tenant.command("preview")
def tenant_preview(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")],
    rules: Annotated[Path, typer.Argument(help="A file of rules, as PUT /auth/v1/policy takes.")],
    department: Annotated[str, typer.Option(help="Try them out for a department.")] = "",
    project: Annotated[str, typer.Option(help="For a project of it.")] = "",
) -> None:
    """Show what other rules would erase and when; changes nothing."""
    from voicefile.cli.tenant_preview import Where, preview_rules

    where = Where(department, project)
    _run(preview_rules(_deployment(), tenant_id=tenant_id, rules=rules, where=where))


@keys.command("show")
def keys_show() -> None:
    """Show which keys hang on which versions of the root key."""
    from voicefile.cli.keys import show

    _run(show(_deployment()))


@keys.command("try-other-root")
def keys_try_other_root() -> None:
    """Try out VOICEFILE_OTHER_ROOT, before anything hangs on it."""
    from voicefile.cli.keys import try_other

    _run(try_other(_deployment()))


@keys.command("change-root")
def keys_change_root() -> None:
    """Move everything to new versions of the root key; again, it goes on where it was."""
    from voicefile.cli.keys import change

    _run(change(_deployment()))


@keys.command("destroy-old-root")
def keys_destroy_old_root() -> None:
    """Destroy the lasting version that was left, if nothing hangs on it any more."""
    from voicefile.cli.keys import destroy_old

    _run(destroy_old(_deployment()))


@keys.command("change-signing")
def keys_change_signing(
    tenant_id: Annotated[str | None, typer.Argument(help="One tenant's receipts only.")] = None,
    older_than_days: Annotated[
        int, typer.Option(min=0, help="Otherwise: all keys of at least this age, tokens' included.")
    ] = 365,
) -> None:
    """Add keys to sign with; what older ones have signed stays valid."""
    from voicefile.cli.keys import change_signing

    _run(change_signing(_deployment(), tenant_id=tenant_id, older_than_days=older_than_days))


@tenant.command("prompt")
def tenant_prompt(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")],
    language: Annotated[str, typer.Argument(help="de or en.")],
    fragment: Annotated[str, typer.Argument(help="What is said, by its key: greeting_tenant.")],
    sound: Annotated[
        Path | None, typer.Argument(help="WAV: 8 kHz, mono, 16 bit. Left out: ours again.")
    ] = None,
    *,
    into: Annotated[Path, typer.Option(help="The folder of prompts.")],
) -> None:
    """Give a tenant a voice of its own on the telephone, one sentence at a time."""
    from voicefile.cli.tenant import own_prompt
    from voicefile.playback.telephone.phrases import Fragment

    said = Fragment(language, fragment)
    _run(own_prompt(_deployment(), tenant_id=tenant_id, fragment=said, sound=sound, folder=into))


def _deployment() -> DeploymentSettings:
    try:
        return read(DeploymentSettings)
    except SettingsRefused as refused:
        sys.exit(str(refused))
