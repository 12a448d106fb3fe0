"""Brings the stores of a stopped vault to this version."""

import sys

from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import STORES
from voicefile.cli.place import Place
from voicefile.cli.stores import open_store


async def migrate(settings: DeploymentSettings) -> int:
    """Runs what is outstanding, service by service. An error leaves the rest undone."""
    harden()
    configure("voicefile")
    place = Place(settings.data_dir)
    with place.held():
        for service, plan in STORES.items():
            store, ran = await open_store(place.documents(service), plan)
            await store.close()
            for step in ran:
                sys.stdout.write(f"{service}: {step.number} {step.name}\n")
            sys.stdout.write(f"{service}: up to date\n")
    return 0
