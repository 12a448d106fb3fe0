"""The embedded vault: all services in one process, each with its own store, over one set of ports.

The same apps with the same routes as in a cluster; only the ports differ: SQLite, files, an
in-memory bus over the durable outbox, keys in files, calls through an in-process transport. One
process then holds all keys, which is why `serve` says so.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx
from starlette.types import ASGIApp

from voicefile.audit import app as audit
from voicefile.audit.settings import AuditSettings
from voicefile.auth import app as auth
from voicefile.auth.settings import AuthSettings
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.backup.store import COLLECTIONS as BACKUP
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.service import Service
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.engine_settings import read
from voicefile.cli.front import Front
from voicefile.cli.place import Place
from voicefile.cli.store_plan import StorePlan
from voicefile.cli.stores import open_store
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.docstore.port import DocStore
from voicefile.dumps.settings import DumpSettings
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import EventBus
from voicefile.identity.tokens import RemoteKeySet, TokenVerifier
from voicefile.ingest import app as ingest
from voicefile.ingest.media.decoder import Decoders
from voicefile.ingest.settings import IngestSettings
from voicefile.playback import app as playback
from voicefile.playback.settings import PlaybackSettings
from voicefile.playback.telephone.prompts import Prompts
from voicefile.portal import app as portal
from voicefile.portal.settings import PortalSettings

STORES: Final = {
    "auth": StorePlan(auth.COLLECTIONS, auth.STEPS),
    "audit": StorePlan(audit.COLLECTIONS, audit.STEPS),
    "ingest": StorePlan(ingest.COLLECTIONS, ingest.STEPS),
    "playback": StorePlan(playback.COLLECTIONS, playback.STEPS),
}
"""Each service's own store; the portal keeps nothing."""
BACKUP_STORE: Final = StorePlan(BACKUP, ())
"""Of a vault that is backed up. It can be made again from the targets."""

T = TypeVar("T")
Around = Callable[[str, T], T]
"""Puts something around the named service's adapter."""


def _bare(_service: str, adapter: T) -> T:
    return adapter


@dataclass(frozen=True)
class Fittings:
    """What stands around each service's adapters: nothing, but in fault tests."""

    documents: Around[DocStore] = _bare
    blobs: Around[BlobStore] = _bare
    bus: Around[EventBus] = _bare
    calls: Around[httpx.AsyncBaseTransport] = _bare
    now_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic


BARE: Final = Fittings()


@dataclass(frozen=True)
class Vault:
    """A running vault."""

    services: Mapping[str, Service]
    """By path prefix."""

    @property
    def public(self) -> ASGIApp:
        """The public doors of all services under their prefixes; nothing internal is here."""
        return Front({prefix: service.public for prefix, service in self.services.items()})

    def client(self, *, peer: str | None = None) -> httpx.AsyncClient:
        """A client inside this process, as the named service or as nobody in particular."""
        return in_process_client(self.services, peer=peer)


@asynccontextmanager
async def embedded(
    settings: DeploymentSettings,
    place: Place,
    *,
    on_failure: Callable[[Exception], None],
    fittings: Fittings = BARE,
    prompts: Prompts | None = None,
    decoders: Decoders | None = None,
    pins: PinPool | None = None,
) -> AsyncIterator[Vault]:
    """Builds and runs all services over the folder. `on_failure` ends the process.

    With prompts it answers calls. Decoders of its own are loaded at once, and a pool of its own
    hashes PINs as slowly as it must.
    """
    async with AsyncExitStack() as running:
        workshop = _Workshop(settings, place, running, on_failure, fittings)
        bus = MemoryEventBus()
        services = workshop.services
        services["/auth"] = await workshop.auth(bus, pins)
        services["/audit"] = await workshop.audit(bus)
        services["/ingest"] = await workshop.ingest(bus, decoders)
        services["/playback"] = await workshop.playback(bus, prompts)
        services["/portal"] = workshop.portal()
        if workshop.dumping.recipients:
            services["/backup"] = await workshop.backup(bus)
        # The bus first and last: what a service publishes while it stops still arrives.
        await running.enter_async_context(bus.running())
        for prefix in ("/audit", "/auth", "/ingest", "/playback", "/portal", "/backup"):
            if prefix in services:
                await running.enter_async_context(services[prefix].running())
        yield Vault(services)


class _Workshop:
    """Builds each service over its own store; everything opened is closed with `running`."""

    def __init__(
        self,
        settings: DeploymentSettings,
        place: Place,
        running: AsyncExitStack,
        on_failure: Callable[[Exception], None],
        fittings: Fittings,
    ) -> None:
        self._deployment = settings.deployment
        self._place = place
        self._running = running
        self._on_failure = on_failure
        self._fittings = fittings
        self._blobs = FilesystemBlobStore(place.blobs, now_s=fittings.now_s)
        self.dumping = read(DumpSettings)
        self.services: dict[str, Service] = {}

    async def auth(self, bus: EventBus, pins: PinPool | None) -> Service:
        return auth.build(
            AuthSettings(),
            deployment=self._deployment,
            docs=await self._store("auth"),
            bus=self._fittings.bus("auth", bus),
            root=FileRootKey(self._place.root("auth")),
            client=self._client("auth"),
            on_failure=self._on_failure,
            pins=pins,
            dumping=self.dumping,
            now_s=self._fittings.now_s,
        )

    async def audit(self, bus: EventBus) -> Service:
        return audit.build(
            AuditSettings(),
            deployment=self._deployment,
            docs=await self._store("audit"),
            bus=self._fittings.bus("audit", bus),
            root=FileRootKey(self._place.root("audit")),
            tokens=self._tokens("audit"),
            on_failure=self._on_failure,
            dumping=self.dumping,
            now_s=self._fittings.now_s,
        )

    async def ingest(self, bus: EventBus, decoders: Decoders | None) -> Service:
        return ingest.build(
            IngestSettings(),
            deployment=self._deployment,
            blobs=self._fittings.blobs("ingest", self._blobs),
            docs=await self._store("ingest"),
            bus=self._fittings.bus("ingest", bus),
            client=self._client("ingest"),
            tokens=self._tokens("ingest"),
            on_failure=self._on_failure,
            decoders=decoders,
            dumping=self.dumping,
            now_s=self._fittings.now_s,
            monotonic_s=self._fittings.monotonic_s,
        )

    async def playback(self, bus: EventBus, prompts: Prompts | None) -> Service:
        return playback.build(
            PlaybackSettings(),
            deployment=self._deployment,
            blobs=self._fittings.blobs("playback", self._blobs),
            docs=await self._store("playback"),
            bus=self._fittings.bus("playback", bus),
            client=self._client("playback"),
            tokens=self._tokens("playback"),
            on_failure=self._on_failure,
            prompts=prompts,
            dumping=self.dumping,
            now_s=self._fittings.now_s,
        )

    async def backup(self, bus: EventBus) -> Service:
        # Loaded where backups are made alone: a start without them is not to wait for it.
        from voicefile.backup import app as backup  # noqa: PLC0415
        from voicefile.backup.settings import BackupSettings  # noqa: PLC0415
        from voicefile.backup.signing import key_at  # noqa: PLC0415
        from voicefile.cli.backup_targets import targets_of  # noqa: PLC0415

        self.dumping.sealed_to()
        settings = read(BackupSettings)
        targets = await self._running.enter_async_context(
            targets_of(settings, otherwise=self._place.backup)
        )
        return backup.build(
            settings,
            deployment=self._deployment,
            source=self._fittings.blobs("backup", self._blobs),
            targets=targets,
            docs=await self._store("backup", BACKUP_STORE),
            bus=self._fittings.bus("backup", bus),
            client=self._client("backup"),
            signer=key_at(settings.key or self._place.backup_key, self._deployment),
            on_failure=self._on_failure,
            now_s=self._fittings.now_s,
        )

    def portal(self) -> Service:
        return portal.build(PortalSettings(), client=self._client("portal"))

    async def _store(self, service: str, plan: StorePlan | None = None) -> DocStore:
        store, _ = await open_store(
            self._place.documents(service), plan or STORES[service], on_broken=self._on_failure
        )
        self._running.push_async_callback(store.close)
        return self._fittings.documents(service, store)

    def _client(self, peer: str) -> httpx.AsyncClient:
        # Reads `services` at each request: services that call each other are built in turn.
        client = in_process_client(
            self.services, peer=peer, around=lambda wire: self._fittings.calls(peer, wire)
        )
        self._running.push_async_callback(client.aclose)
        return client

    def _tokens(self, peer: str) -> TokenVerifier:
        keys = RemoteKeySet(self._client(peer))
        return TokenVerifier(keys, issuer=self._deployment, now=self._fittings.now_s)
