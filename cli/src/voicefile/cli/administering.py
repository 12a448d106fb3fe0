"""Auth's verbs for commands that administer.

The embedded vault is stopped meanwhile; services that run apart go on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicefile.auth.ports import Ports
from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import embedded
from voicefile.cli.engine_settings import EngineSettings, read
from voicefile.cli.place import Place
from voicefile.ingest.media.decoder import Decoders


@asynccontextmanager
async def auth_ports(settings: DeploymentSettings) -> AsyncIterator[Ports]:
    """Auth's ports, in the form that the settings describe."""
    harden()
    if read(EngineSettings).mongo_uri is None:
        async with _embedded_ports(settings) as ports:
            yield ports
        return
    from voicefile.cli.apart import administer  # noqa: PLC0415 the cluster's alone

    configure("voicefile", console=False)
    async with administer.auth_ports(on_failure=_give_up) as ports:
        yield ports


@asynccontextmanager
async def _embedded_ports(settings: DeploymentSettings) -> AsyncIterator[Ports]:
    """Auth of a vault that serves nobody meanwhile; its events still reach the log."""
    place = Place(settings.data_dir)
    with place.held(), place.opened_log() as log:
        configure("voicefile", stream=log, console=False)
        # No command stores a recording; what decodes one would be most of what is loaded.
        decoders = Decoders(on_demand=True)
        async with embedded(settings, place, on_failure=_give_up, decoders=decoders) as vault:
            yield vault.services["/auth"].public.state.ports


def _give_up(error: Exception) -> None:
    raise SystemExit(f"The store can't be written: {type(error).__name__}")
