"""Several instances of every service over one store each, in this process.

Each request goes to another instance than the one before it. Stores, blobs and keys are shared as
in earnest; the broker keeps what it was given (`broker.py`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send
from tests.services.ingest.fake_decoder import QuickDecoders
from tests.services.replicas.broker import Broker, Client
from tests.stand import Company, company

from voicefile.audit import app as audit
from voicefile.audit.settings import AuditSettings
from voicefile.auth import app as auth
from voicefile.auth.settings import AuthSettings
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.service import Service
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.docstore.lease import Lease
from voicefile.docstore.port import StoreUnavailable
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.identity.tokens import RemoteKeySet, TokenVerifier
from voicefile.ingest import app as ingest
from voicefile.ingest.settings import IngestSettings
from voicefile.playback import app as playback
from voicefile.playback.settings import PlaybackSettings
from voicefile.portal import app as portal
from voicefile.portal.settings import PortalSettings

DEPLOYMENT = "test"
LEASE_S = 3.0
COLLECTIONS = {
    "auth": auth.COLLECTIONS,
    "audit": audit.COLLECTIONS,
    "ingest": ingest.COLLECTIONS,
    "playback": playback.COLLECTIONS,
}


class SharedStore:
    """The store as one instance sees it: it can be cut off from it, and the others are not."""

    def __init__(self, store: SqliteDocStore) -> None:
        self.store = store
        self.cut_off = False

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.store, name)
        if not asyncio.iscoroutinefunction(operation) or name == "close":
            return operation

        async def tried(*args: Any, **kwargs: Any) -> Any:
            if self.cut_off:
                if name == "ready":
                    return False
                raise StoreUnavailable
            return await operation(*args, **kwargs)

        return tried


@dataclass(eq=False)
class Replica:
    """One instance of one service."""

    service: Service
    store: SharedStore | None = None
    lease: Lease | None = None
    bus: Client | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def leading(self) -> bool:
        return self.lease is not None and self.lease.leading

    @property
    def takes_requests(self) -> bool:
        return self.started.is_set() and not self.stopping.is_set()

    async def run(self) -> None:
        async with self.service.running():
            self.started.set()
            await self.stopping.wait()

    def cut_off(self, cut_off: bool = True) -> None:
        """From store and broker, as by a network that fails on this one machine."""
        assert self.store is not None
        assert self.bus is not None
        self.store.cut_off = self.bus.cut_off = cut_off


class Balancer:
    """One address for all instances: never the same one twice in a row, if another is there."""

    def __init__(self, chance: random.Random, *, inside: bool) -> None:
        self.replicas: list[Replica] = []
        self._chance = chance
        self._inside = inside
        self._last: Replica | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        there = [each for each in self.replicas if each.takes_requests] or self.replicas
        others = [each for each in there if each is not self._last] or there
        self._last = chosen = self._chance.choice(others)
        app = chosen.service.inside if self._inside else chosen.service.public
        await app(scope, receive, send)


@dataclass
class Many:
    """The deployment."""

    replicas: Mapping[str, Sequence[Replica]]
    stores: Mapping[str, SqliteDocStore]
    broker: Broker
    client: httpx.AsyncClient
    folder: Path
    chance: random.Random
    failures: list[Exception]
    lease_s: float
    companies: list[Company] = field(default_factory=list)

    def leader(self, service: str) -> Replica | None:
        leading = [each for each in self.replicas[service] if each.leading]
        assert len(leading) <= 1, "two lead at once"
        return leading[0] if leading else None

    async def until(self, said: Callable[[], Any], *, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while not said():
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Until every event is published and handled by every group."""
        async with asyncio.timeout(30):
            while True:
                waiting = [await store.pending(1) for store in self.stores.values()]
                if not any(waiting) and self.broker.is_idle:
                    return
                await asyncio.sleep(0.02)

    def inside(self, peer: str, *, only: Mapping[str, Replica] | None = None) -> httpx.AsyncClient:
        """A client with that service's certificate; `only`: of a service that one instance."""
        apps = {f"/{name}": self._balancer(name, inside=True) for name in self.replicas}
        chosen = {f"/{name}": each.service for name, each in (only or {}).items()}
        return in_process_client({**apps, **chosen}, peer=peer)

    def at(self, replica: Replica, name: str) -> httpx.AsyncClient:
        """A client from outside, of one instance."""
        return in_process_client({f"/{name}": replica.service.public})

    def _balancer(self, name: str, *, inside: bool) -> Balancer:
        balancer = Balancer(self.chance, inside=inside)
        balancer.replicas = list(self.replicas[name])
        return balancer


class Builder:
    """Builds the replicas, each with adapters of its own over the same things."""

    def __init__(
        self,
        folder: Path,
        stores: Mapping[str, SqliteDocStore],
        *,
        seed: int,
        lease_s: float,
        closing: AsyncExitStack,
    ) -> None:
        self.folder = folder
        self.stores = stores
        self.chance = random.Random(seed)
        self.lease_s = lease_s
        self.broker = Broker(self.chance)
        self.failures: list[Exception] = []
        self._closing = closing
        self._inside = {
            f"/{name}": Balancer(self.chance, inside=True) for name in (*stores, "portal")
        }

    def replica(self, name: str) -> Replica:
        built = self._portal() if name == "portal" else self._kept(name)
        self._inside[f"/{name}"].replicas.append(built)
        return built

    def _portal(self) -> Replica:
        return Replica(portal.build(PortalSettings(), client=self._client("portal")))

    def _kept(self, name: str) -> Replica:
        store = SharedStore(self.stores[name])
        lease = Lease(store, name, ttl_s=self.lease_s)
        bus = self.broker.client(**({"consuming": lease} if name == "audit" else {}))
        ports = {
            "deployment": DEPLOYMENT,
            "docs": store,
            "bus": bus,
            "on_failure": self.failures.append,
            "leadership": lease,
        }
        return Replica(getattr(self, f"_{name}")(ports), store, lease, bus)

    def _auth(self, ports: dict[str, Any]) -> Service:
        root = FileRootKey(self.folder / "keys-auth")
        return auth.build(AuthSettings(), root=root, client=self._client("auth"), **ports)

    def _audit(self, ports: dict[str, Any]) -> Service:
        root = FileRootKey(self.folder / "keys-audit")
        return audit.build(AuditSettings(), root=root, tokens=self._tokens("audit"), **ports)

    def _ingest(self, ports: dict[str, Any]) -> Service:
        return ingest.build(
            IngestSettings(duplicate_poll_s=0.05),
            blobs=self._blobs(),
            client=self._client("ingest"),
            tokens=self._tokens("ingest"),
            decoders=QuickDecoders(),
            **ports,
        )

    def _playback(self, ports: dict[str, Any]) -> Service:
        return playback.build(
            PlaybackSettings(),
            blobs=self._blobs(),
            client=self._client("playback"),
            tokens=self._tokens("playback"),
            **ports,
        )

    def _blobs(self) -> FilesystemBlobStore:
        return FilesystemBlobStore(self.folder / "blobs")

    def _tokens(self, peer: str) -> TokenVerifier:
        return TokenVerifier(RemoteKeySet(self._client(peer)), issuer=DEPLOYMENT)

    def _client(self, peer: str) -> httpx.AsyncClient:
        client = in_process_client(self._inside, peer=peer)
        self._closing.push_async_callback(client.aclose)
        return client


@asynccontextmanager
async def many(
    folder: Path,
    *,
    of: Mapping[str, int] | int = 2,
    companies: int = 1,
    seed: int = 1,
    lease_s: float = LEASE_S,
) -> AsyncIterator[Many]:
    """All services, so many of each, all started at once over nothing."""
    names = (*COLLECTIONS, "portal")
    counts = of if isinstance(of, Mapping) else dict.fromkeys(names, of)
    async with AsyncExitStack() as closing:
        stores = {}
        for name, collections in COLLECTIONS.items():
            stores[name] = await SqliteDocStore.open(folder / f"{name}.db", collections)
            closing.push_async_callback(stores[name].close)
        builder = Builder(folder, stores, seed=seed, lease_s=lease_s, closing=closing)
        replicas = {
            name: [builder.replica(name) for _ in range(counts.get(name, 2))] for name in names
        }
        made = Many(
            replicas, stores, builder.broker, httpx.AsyncClient(), folder, builder.chance,
            builder.failures, lease_s,
        )  # fmt: skip
        await made.client.aclose()
        outside = {f"/{name}": made._balancer(name, inside=False) for name in names}
        made.client = await closing.enter_async_context(in_process_client(outside, timeout_s=60))
        async with made.broker.running(), asyncio.TaskGroup() as tasks:
            everybody = [each for several in replicas.values() for each in several]
            for each in everybody:
                tasks.create_task(each.run())
            try:
                for each in everybody:
                    await each.started.wait()
                ports = replicas["auth"][0].service.public.state.ports
                made.companies += [
                    await company(ports, made.client, f"company{n}") for n in range(companies)
                ]
                await made.settled()
                yield made
            finally:
                for each in everybody:
                    each.stopping.set()
    assert builder.failures == []
