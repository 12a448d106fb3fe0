"""Serves the embedded vault over HTTPS: one public port, one for health, no plaintext anywhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from voicefile.chassis.harden import harden
from voicefile.chassis.health import health_app
from voicefile.chassis.logs import configure
from voicefile.chassis.settings import DeploymentSettings
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.tls import development_certificates
from voicefile.chassis.wire import listen, server_context, stop_on_signals
from voicefile.chassis.wire import serve as serve_https
from voicefile.cli.embedded import Vault, embedded
from voicefile.cli.place import Place
from voicefile.cli.traces import sending_traces

FAILED: Final = 70
"""The exit code of a vault that could not go on (EX_SOFTWARE)."""
log = structlog.get_logger(__name__)

WARNING = """\
This is the embedded vault: ONE process holds ALL keys, and the root key lies in files beside
the data it protects. Good for trying out and for development; not for contracts that matter.
"""


async def serve(settings: DeploymentSettings) -> int:
    """Serves until a stop signal; answers the exit code."""
    configure("vault")
    sys.stderr.write(WARNING)
    async with serving(settings) as (_vault, ended):
        return await ended()


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

        async with (
            sending_traces("vault"),
            embedded(settings, place, on_failure=fail) as vault,
        ):
            context = server_context(certificate)
            parts = {service.name: service.ready for service in vault.services.values()}
            async with asyncio.TaskGroup() as servers:
                for app, sockets in ((vault.public, public), (health_app(parts), health)):
                    servers.create_task(
                        serve_https(
                            app,
                            sockets=sockets,
                            context=context,
                            stop=stop,
                            connections_max=settings.connections_max,
                            shutdown_s_max=settings.shutdown_s_max,
                        )
                    )
                try:
                    yield vault, _waiting(stop, failures)
                finally:
                    stop.set()


def _waiting(stop: asyncio.Event, failures: Sequence[Exception]) -> Ended:
    async def ended() -> int:
        await stop.wait()
        return FAILED if failures else 0

    return ended
