"""`voicefile prepare`: makes engines ready for the services, once, by somebody who may.

Each command may be run again: what is there stays, what is missing is made. Nothing secret is
printed. No service has these rights, so none can widen its own.
"""

# ruff: noqa: PLC0415 - each command loads the one engine's client that it needs.

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer

from voicefile.chassis import event_loop
from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.cli.engine_settings import SettingsRefused, read, variable
from voicefile.cli.prepare_settings import NotPrepared, PrepareSettings

app = typer.Typer(no_args_is_help=True, help="Make engines ready: topics, users, the bucket.")


@app.command()
def kafka(
    partitions: Annotated[int, typer.Option(min=1, help="Of each topic; fixed for life.")] = 6,
    copies: Annotated[int, typer.Option(min=1, help="Brokers that keep each event.")] = 3,
    retention_days: Annotated[int, typer.Option(min=1, help="Days that events stay.")] = 28,
    principal: Annotated[
        str, typer.Option(help="Who {service} is to the brokers.")
    ] = "User:CN={service}",
) -> None:
    """Make topics, and rules by which each service speaks and hears only where it must."""
    from voicefile.cli.prepare_kafka import Sizes, prepare_kafka

    settings = _told("kafka_bootstrap")
    sizes = Sizes(partitions=partitions, copies=copies, retention_days=retention_days)
    _run(prepare_kafka(settings, sizes, principal))


@app.command()
def mongo(
    folder: Annotated[
        Path, typer.Argument(help="Where FOLDER/<service>/voicefile_mongo_uri is kept.")
    ],
) -> None:
    """Make a user for each service that keeps documents, who has its own database alone.

    The folder FOLDER/<service> is then good as that service's VOICEFILE_SECRETS_DIR. A password
    that is in there already stays.
    """
    from voicefile.cli.prepare_mongo import prepare_mongo

    _run(prepare_mongo(_told("admin_mongo_uri"), folder))


@app.command()
def s3() -> None:
    """Make the bucket, and try whether the server keeps what the vault relies on."""
    from voicefile.cli.prepare_s3 import prepare_s3

    needed = ("s3_endpoint", "s3_bucket", "admin_s3_access_key", "admin_s3_secret_key")
    _run(prepare_s3(_told(*needed)))


def _told(*needed: str) -> PrepareSettings:
    try:
        settings = read(PrepareSettings)
    except SettingsRefused as refused:
        sys.exit(str(refused))
    missing = [variable(name) for name in needed if not getattr(settings, name)]
    if missing:
        sys.exit(f"This can't be done without {', '.join(missing)}.")
    return settings


def _run(command: Coroutine[None, None, str]) -> None:
    """Prints what was done, or in one line why not."""
    harden()
    # Clients of engines have a lot to say about a refusal; what may be said is decided there.
    configure("voicefile")
    try:
        sys.stdout.write(event_loop.run(command))
    except NotPrepared as why:
        sys.exit(str(why))
