"""Serves one service: a public port, one for other services, one for health; TLS on each.

Who has nothing to say on one of the first two does not open it.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
from starlette.types import ASGIApp

from voicefile.chassis.behind_front import BehindFront
from voicefile.chassis.collector import settle_collector
from voicefile.chassis.harden import harden
from voicefile.chassis.health import Check, health_app
from voicefile.chassis.inprocess import MountRouter
from voicefile.chassis.logs import configure
from voicefile.chassis.service import Service
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.wire import listen, server_context, stop_on_signals
from voicefile.chassis.wire import serve as serve_https
from voicefile.cli.apart.run import Start, Told
from voicefile.cli.engine_settings import SettingsRefused, variable
from voicefile.cli.front import Front
from voicefile.cli.traces import sending_traces
from voicefile.cli.words import in_words, the_only
from voicefile.docstore.migrations import MigrationsDisagree
from voicefile.docstore.port import StoreIsNewer

REFUSED: Final = 1
FAILED: Final = 70
"""The exit code of a service that could not go on (EX_SOFTWARE)."""
CALLED_BY_NOBODY: Final = frozenset({"portal", "backup"})
"""Services call all others; these have no internal port."""
VISITED_BY_NOBODY: Final = frozenset({"backup"})
"""Nothing of it is for partners or customers: it has no public port either."""
log = structlog.get_logger(__name__)


async def serve(service: str) -> int:
    """Serves until a stop signal; answers the exit code. Raises SettingsRefused, PortTaken."""
    configure(service)
    harden()
    told = Told.read(service)
    serving = _Serving(told)
    async with sending_traces(service), asyncio.TaskGroup() as group:
        # Health speaks from the first moment, and to the last.
        group.create_task(serving.health())
        living = group.create_task(serving.live())
        group.create_task(serving.give_up_start(living))
    if serving.refused:
        sys.stderr.write(f"{told.service} was not started: {serving.refused}.\n")
        return REFUSED
    return FAILED if serving.failed else 0


class _Serving:
    """One process with one service: its ports, how far it has come, and why it has to end."""

    def __init__(self, told: Told) -> None:
        own, engines = told.deployment, told.engines
        self._told = told
        self._tls = _Contexts(told)
        # Ports first: a taken one is found out before anything is opened or made.
        self._public: list[socket.socket] = []
        if told.service not in VISITED_BY_NOBODY:
            self._public = listen(own.host, own.port)
        self._health = listen(own.health_host, own.health_port)
        self._internal: list[socket.socket] = []
        if told.service not in CALLED_BY_NOBODY:
            self._internal = listen(engines.internal_host, engines.internal_port)
        self._start = Start(told.service)
        self._stop = stop_on_signals()
        self._started = asyncio.Event()
        self._over = asyncio.Event()
        self.failed = False
        self.refused = ""
        """Why the store was not opened, if waiting for it would change nothing."""

    async def health(self) -> None:
        """Says how it is until everything else is over."""
        app = health_app(self._start.parts, stopping=self._stop.is_set)
        context = self._tls.health
        await serve_https(app, sockets=self._health, context=context, stop=self._over)

    async def live(self) -> None:
        """Waits for engines, serves, drains."""
        try:
            async with AsyncExitStack() as running:
                service, checks = await self._start.until_running(
                    running, self._told, on_failure=self._fail
                )
                self._started.set()
                settle_collector()
                await self._serve(service, checks)
            log.info("service_stopped")
        except Exception as error:  # noqa: BLE001 the process ends, and its exit code says how
            self._end(error)
        finally:
            self._stop.set()
            self._over.set()

    async def give_up_start(self, living: asyncio.Task[None]) -> None:
        """A start that waits for its engines ends with the stop signal; a service drains."""
        await self._stop.wait()
        if not self._started.is_set():
            living.cancel()

    def _end(self, error: Exception) -> None:
        found = the_only(error)
        if isinstance(found, SettingsRefused | StoreIsNewer | MigrationsDisagree):
            self.refused = (in_words(found) or "").removesuffix(".")
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        # A store that refused a write is not written to again: whoever watches the process has to
        # hear of it, so it ends, and not as if all were well.
        if not self.failed:
            log.critical("service_failed", **where_it_broke(error))
        self.failed = True
        self._stop.set()

    async def _serve(self, service: Service, checks: Mapping[str, Check]) -> None:
        prefix = f"/{service.name}"
        doors = []
        if self._public:
            front = Front({prefix: service.public})
            outside = BehindFront(front) if self._told.engines.fronted else front
            doors.append(_Door(outside, self._public, self._tls.public))
        if self._internal:
            inside = MountRouter({prefix: service.inside})
            doors.append(_Door(inside, self._internal, self._tls.internal))
        async with asyncio.TaskGroup() as servers:
            # Also for who has no door to be open until then.
            servers.create_task(self._stop.wait())
            for door in doors:
                servers.create_task(self._open(door))
            # Called ready by nobody before its ports let people in.
            for door in doors:
                await door.listening.wait()
            self._start.done(checks)
            log.info("service_started")

    async def _open(self, door: "_Door") -> None:
        own = self._told.deployment
        await serve_https(
            door.app,
            sockets=door.sockets,
            context=door.context,
            stop=self._stop,
            connections_max=own.connections_max,
            # After a failure there is nothing to wait for: what is asked now can't be kept.
            drain_s=lambda: 0.0 if self.failed else self._told.engines.drain_s,
            shutdown_s_max=own.shutdown_s_max,
            listening=door.listening.set,
        )


@dataclass(frozen=True)
class _Door:
    app: ASGIApp
    sockets: Sequence[socket.socket]
    context: ssl.SSLContext
    listening: asyncio.Event = field(default_factory=asyncio.Event)


class _Contexts:
    """TLS on each port. Raises SettingsRefused naming the file that does not fit."""

    def __init__(self, told: Told) -> None:
        certificate, authority = told.engines.service_certificate, told.engines.service_ca
        assert certificate is not None
        assert authority is not None
        public = told.deployment.tls_certificate
        with _naming("service_certificate"):
            self.health = server_context(certificate)
        with _naming("service_ca"):
            self.internal = server_context(certificate, client_ca=authority)
        # Last: what could be wrong with the authority has been found out.
        asked_for = authority if told.engines.fronted else None
        with _naming("tls_certificate"):
            self.public = server_context(public or certificate, client_ca=asked_for)


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        # The system's own words name the path, OpenSSL's name nothing of use.
        raise SettingsRefused(f"{variable(setting)} names no file with what is needed.") from None
