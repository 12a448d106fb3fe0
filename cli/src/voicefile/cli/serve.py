"""Serves the embedded vault over HTTPS: one public port, one for health, no plaintext anywhere."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.types import ASGIApp

from voicefile.chassis.collector import settle_collector
from voicefile.chassis.harden import harden
from voicefile.chassis.health import health_app
from voicefile.chassis.inprocess import MountRouter
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings, Port
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.tls import development_certificates, service_certificate
from voicefile.chassis.wire import listen, server_context, stop_on_signals
from voicefile.chassis.wire import serve as serve_https
from voicefile.cli.embedded import Vault, embedded
from voicefile.cli.engine_settings import read
from voicefile.cli.place import Place
from voicefile.cli.spoken_prompts import spoken_prompts
from voicefile.cli.traces import sending_traces
from voicefile.dumps.settings import DumpSettings
from voicefile.playback.telephone.routes import EDGE

PLAYBACK: Final = "/playback"
FAILED: Final = 70
"""The exit code of a vault that could not go on (EX_SOFTWARE)."""
log = structlog.get_logger(__name__)

WARNING = """\
This is the embedded vault: ONE process holds ALL keys, and the root key lies in files beside
the data it protects. Good for trying out and for development; not for contracts that matter.
"""
NO_BACKUPS = "No backups are made: VOICEFILE_BACKUP_RECIPIENTS names nobody who could read them.\n"


async def serve(settings: DeploymentSettings) -> int:
    """Serves until a stop signal; answers the exit code."""
    configure("vault")
    sys.stderr.write(WARNING)
    if not read(DumpSettings).recipients:
        sys.stderr.write(NO_BACKUPS)
    async with serving(settings) as (_vault, ended):
        return await ended()


_Door = tuple[ASGIApp, Sequence[socket.socket], ssl.SSLContext]
Ended = Callable[[], Awaitable[int]]
"""Waits until the vault is told to stop, or has to; answers the exit code."""


@asynccontextmanager
async def serving(settings: DeploymentSettings) -> AsyncIterator[tuple[Vault, Ended]]:
    """The vault, listening. Raises PortTaken."""
    harden()
    place = Place(settings.data_dir)
    with place.held():
        # Ports first: a taken one is found out before anything is opened or made.
        public = listen(settings.host, settings.port)
        health = listen(settings.health_host, settings.health_port)
        telephone = _telephone_sockets(TelephonePort())
        certificate = settings.tls_certificate or development_certificates(place.tls).server
        stop = stop_on_signals()
        failures: list[Exception] = []

        def fail(error: Exception) -> None:
            # A store that refused a write is not written to again: whoever watches the process
            # has to hear of it, so it ends, and not as if all were well.
            failures.append(error)
            stop.set()
            if len(failures) == 1:
                log.critical("vault_failed", **where_it_broke(error))

        prompts = await spoken_prompts(place.prompts) if telephone else None
        async with (
            sending_traces("vault"),
            embedded(settings, place, on_failure=fail, prompts=prompts) as vault,
        ):
            context = server_context(certificate)
            doors: list[_Door] = [(vault.public, public, context)]
            parts = {service.name: service.ready for service in vault.services.values()}
            doors += [(health_app(parts), health, context), *_telephone(vault, telephone, place)]
            settle_collector()
            async with asyncio.TaskGroup() as servers:
                for app, sockets, tls in doors:
                    servers.create_task(
                        serve_https(
                            app,
                            sockets=sockets,
                            context=tls,
                            stop=stop,
                            connections_max=settings.connections_max,
                            shutdown_s_max=settings.shutdown_s_max,
                        )
                    )
                try:
                    yield vault, _waiting(stop, failures)
                finally:
                    stop.set()


def _telephone_sockets(told: "TelephonePort") -> Sequence[socket.socket]:
    """None unless it was asked for."""
    return () if told.port is None else listen(told.host, told.port)


class TelephonePort(BaseSettings):
    """The embedded vault's port for telephone edges; apart, they come to playback's own."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_TELEPHONE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "localhost"
    """Where it listens."""

    port: Port | None = None
    """HTTPS with certificates on both sides. None: no calls are answered."""


def _telephone(vault: Vault, sockets: Sequence[socket.socket], place: Place) -> Iterator[_Door]:
    """Playback's door for telephone edges, whose certificate is made beside its own."""
    internal = vault.services[PLAYBACK].internal
    if not sockets or internal is None:
        return
    own = service_certificate(place.edges, "playback")
    service_certificate(place.edges, f"{EDGE}1")
    tls = server_context(own, client_ca=place.edges / "ca.pem")
    yield MountRouter({PLAYBACK: internal}), sockets, tls


def _waiting(stop: asyncio.Event, failures: Sequence[Exception]) -> Ended:
    async def ended() -> int:
        await stop.wait()
        return FAILED if failures else 0

    return ended
