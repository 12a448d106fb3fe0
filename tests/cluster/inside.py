"""A cluster seen from inside the test's own process: its stores, its ports, its route tables.

The services are built here from the same settings as the replicas and never run: what they are
built from is what administration uses (`voicefile tenant` does the same), and their apps tell
which routes there are.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module

import pytest
from tests.cluster.cluster import SERVICES, Cluster
from tests.cluster.truth import Truth

from voicefile.auth.ports import Ports
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.service import Service
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.apart.engines import Engines, Token
from voicefile.cli.engine_settings import EngineSettings
from voicefile.cli.store_plan import StorePlan
from voicefile.docstore.port import DocStore

PREFIX = "VOICEFILE_"
BUILT = tuple(service for service in SERVICES if service != "backup")
"""Those that have routes; of backup its store is enough."""


class Watched(Engines):
    """Keeps what was opened, for the test to look at."""

    store: DocStore | None = None
    store_of_blobs: BlobStore | None = None

    async def documents(self, plan: StorePlan) -> DocStore:
        self.store = await super().documents(plan)
        return self.store

    async def blobs(self) -> BlobStore:
        self.store_of_blobs = await super().blobs()
        return self.store_of_blobs


@dataclass
class Inside:
    """What a test may touch of a cluster."""

    services: dict[str, Service] = field(default_factory=dict)
    """By path prefix; built, not running."""
    stores: dict[str, DocStore] = field(default_factory=dict)
    truth: Truth | None = None
    blobs: BlobStore | None = None

    @property
    def ports(self) -> Ports:
        """Auth's, over its own store and root key."""
        ports: Ports = self.services["/auth"].public.state.ports
        return ports


@asynccontextmanager
async def inside(cluster: Cluster) -> AsyncIterator[Inside]:
    """Everything opened here is closed with the block."""
    found, failures = Inside(), []
    async with AsyncExitStack() as running:
        for service in (each for each in SERVICES if cluster.replicas[each]):
            deployment, told = _settings(cluster, service)
            engines = Watched(
                service,
                deployment,
                told,
                running=running,
                token=Token(),
                on_failure=failures.append,
            )
            room = import_module(f"voicefile.cli.apart.{service}")
            if service in BUILT:
                with _told(cluster, service):
                    found.services[f"/{service}"] = await room.build(engines)
            else:
                await engines.documents(room.PLAN)
            if engines.store is not None:
                found.stores[service] = engines.store
            found.blobs = engines.store_of_blobs or found.blobs
        running.callback(found.ports.pins.close)
        found.truth = await Truth(cluster.engines.kafka, found.stores).open()
        running.push_async_callback(found.truth.close)
        yield found
    assert not failures, failures


@contextmanager
def _told(cluster: Cluster, service: str) -> Iterator[None]:
    """With the service's own settings in the environment, as its first replica has them."""
    own = f"{PREFIX}{service.upper()}_"
    told = cluster.replicas[service][0].environment()
    with pytest.MonkeyPatch.context() as environment:
        for name in (each for each in told if each.startswith(own)):
            environment.setenv(name, told[name])
        yield


def _settings(cluster: Cluster, service: str) -> tuple[DeploymentSettings, EngineSettings]:
    """As the first replica is told."""
    told = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in cluster.replicas[service][0].environment().items()
        if name.startswith(PREFIX)
    }
    deployment = {key: told[key] for key in told.keys() & DeploymentSettings.model_fields.keys()}
    engines = {key: told[key] for key in told.keys() & EngineSettings.model_fields.keys()}
    return DeploymentSettings(**deployment), EngineSettings(**engines)
