"""A vault opened in this process, without a port: its stores, clock and wires are in reach."""

from contextlib import asynccontextmanager
from dataclasses import replace

from tests.faults.fittings import Clock
from tests.faults.fused_vault import Stage, innermost
from tests.faults.served_vault import DEPLOYMENT

from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import BARE, embedded
from voicefile.cli.place import Place


@asynccontextmanager
async def opened(data, *, ahead_s=0.0, fittings=BARE):
    """Raises what went wrong inside as it was raised."""
    place, stores, failures = Place(data), {}, []

    def documents(service, store):
        stores[service] = store
        return fittings.documents(service, store)

    clock = Clock(ahead_s)
    fitted = replace(fittings, documents=documents, now_s=clock, monotonic_s=clock)
    settings = DeploymentSettings(data_dir=data, deployment=DEPLOYMENT)
    try:
        with place.held():
            running = embedded(settings, place, on_failure=failures.append, fittings=fitted)
            async with running as vault:
                yield Stage(place, vault, stores, clock, fuse=None, tell=None)
    except BaseExceptionGroup as failed:
        raise innermost(failed) from None
    assert not failures, failures
