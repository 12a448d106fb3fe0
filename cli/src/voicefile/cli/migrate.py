"""Brings stores to this version: all of a stopped vault, or one of a service that runs apart."""

import sys
from typing import Final

from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import STORES
from voicefile.cli.engine_settings import EngineSettings, SettingsRefused, read, variable
from voicefile.cli.place import Place
from voicefile.cli.stores import open_store

MONGO_URI: Final = variable("mongo_uri")
KEEPING: Final = (*STORES, "backup")
"""Services that keep documents, where each runs by itself."""


async def migrate(settings: DeploymentSettings, service: str | None) -> int:
    """Runs what is outstanding, service by service. An error leaves the rest undone.

    Raises SettingsRefused where it takes a service to be named, or none.
    """
    harden()
    configure("voicefile")
    apart = read(EngineSettings).mongo_uri is not None
    if apart and service not in KEEPING:
        raise SettingsRefused(f"Name whose store it is: {', '.join(KEEPING)}.")
    if not apart and service is not None:
        raise SettingsRefused(f"{service} has no store of its own without {MONGO_URI}.")
    if service is not None:
        from voicefile.cli.apart.administer import migrate_one  # noqa: PLC0415 the cluster's alone

        return await migrate_one(service, on_failure=_give_up)
    return await _migrate_all(settings)


def _give_up(error: Exception) -> None:
    raise SystemExit(f"The store can't be written: {type(error).__name__}")


async def _migrate_all(settings: DeploymentSettings) -> int:
    place = Place(settings.data_dir)
    with place.held():
        for service, plan in STORES.items():
            store, ran = await open_store(place.documents(service), plan)
            await store.close()
            for step in ran:
                sys.stdout.write(f"{service}: {step.number} {step.name}\n")
            sys.stdout.write(f"{service}: up to date\n")
    return 0
