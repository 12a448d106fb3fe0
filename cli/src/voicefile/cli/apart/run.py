"""Builds one service over its engines and runs it; waits for engines that are away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

import structlog

from voicefile.blobstore.port import BlobStoreUnavailable
from voicefile.chassis.health import Check
from voicefile.chassis.service import Service
from voicefile.chassis.settings import DeploymentSettings
from voicefile.chassis.stack import where_it_broke
from voicefile.cli.apart.engines import Engines, Token
from voicefile.cli.apart.refusals import named
from voicefile.cli.engine_settings import EngineSettings, read_settings
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.port import StoreUnavailable

log = structlog.get_logger(__name__)

PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 5.0
"""Engines that are away are looked for after pauses doubling up to this."""
DOCUMENTS: Final = "documents"
BLOBS: Final = "blobs"
ROOT: Final = "root"
_PARTS: Final[Mapping[str, Sequence[str]]] = {
    "auth": (DOCUMENTS, ROOT),
    "audit": (DOCUMENTS, ROOT),
    "ingest": (DOCUMENTS, BLOBS),
    "playback": (DOCUMENTS, BLOBS),
    "portal": (),
    "backup": (DOCUMENTS, BLOBS),
}
"""What each service waits for at its start."""
_AWAY: Final[Mapping[type[Exception], str]] = {
    StoreUnavailable: DOCUMENTS,
    BlobStoreUnavailable: BLOBS,
    RootUnavailable: ROOT,
}


class _Room(Protocol):
    """A module of this package named after a service."""

    @property
    def REFUSED(self) -> Mapping[type[Exception], str]:  # noqa: N802 a constant of the module
        """What its start may find out that no waiting changes."""

    async def build(self, engines: Engines) -> Service: ...


@dataclass(frozen=True)
class Told:
    """What the process was told."""

    service: str
    deployment: DeploymentSettings
    engines: EngineSettings

    @classmethod
    def read(cls, service: str) -> "Told":
        """Raises SettingsRefused if something is missing or does not fit."""
        told = cls(service, *read_settings())
        told.engines.require(service)
        return told


@asynccontextmanager
async def apart(
    told: Told, *, token: Token, on_failure: Callable[[Exception], None]
) -> AsyncIterator[tuple[Service, Mapping[str, Check]]]:
    """The service, running, and what it needs to be ready. `on_failure` ends the process.

    Raises SettingsRefused for what no waiting changes.
    """
    async with AsyncExitStack() as running:
        engines = Engines(
            told.service,
            told.deployment,
            told.engines,
            running=running,
            token=token,
            on_failure=on_failure,
        )
        # By its name, so that no process loads the code of a service it does not run.
        room: _Room = import_module(f"voicefile.cli.apart.{told.service}")
        service = await room.build(engines)
        # The bus first and last: what a service publishes while it stops still leaves.
        if engines.bus_used is not None:
            await running.enter_async_context(engines.bus_used.running())
        with named(room.REFUSED):
            await running.enter_async_context(service.running())
        yield service, {told.service: service.ready, **engines.checks}


class Start:
    """How far the start has come: what /readyz says before there is a service to ask."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._token = Token()
        self._away: str | None = None
        self._checks: Mapping[str, Check] | None = None

    @property
    def parts(self) -> Mapping[str, Check]:
        """What readiness asks: the service, and what it can't start or serve without."""
        names = (self._service, *_PARTS[self._service])
        return {name: self._check(name) for name in names}

    async def until_running(
        self, stack: AsyncExitStack, told: Told, *, on_failure: Callable[[Exception], None]
    ) -> tuple[Service, Mapping[str, Check]]:
        """The service, entered into the stack as soon as its engines are there, and its checks."""
        stack.push_async_callback(self._token.close)
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                found = await stack.enter_async_context(
                    apart(told, token=self._token, on_failure=on_failure)
                )
            except Exception as error:
                part = _away(error)
                if part is None:
                    raise
                if part != self._away:
                    log.warning("engine_away", part=part, **where_it_broke(error))
                self._away = part
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            else:
                self._away = None
                return found

    def done(self, checks: Mapping[str, Check]) -> None:
        """Its ports are open: from now on the service's own checks say whether it is ready."""
        self._checks = checks

    def _check(self, name: str) -> Check:
        async def check() -> bool:
            if self._checks is None:
                return name not in {self._service, self._away}
            asked = self._checks.get(name)
            return asked is None or await asked()

        return check


def _away(error: BaseException) -> str | None:
    """The engine whose absence the error tells, if it tells of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        found = {_away(each) for each in error.exceptions}
        return found.pop() if len(found) == 1 else None
    return next((part for kind, part in _AWAY.items() if isinstance(error, kind)), None)
