"""The stand over a cluster: the same interface, the services as processes over real engines."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from tests.cluster import front
from tests.cluster.cluster import DEPLOYMENT, Cluster, the_cluster
from tests.cluster.inside import Inside, inside
from tests.stand import Stand, company

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.service import Service
from voicefile.cli.embedded import STORES
from voicefile.cli.place import Place
from voicefile.cli.stores import open_store
from voicefile.docstore.port import DocStore
from voicefile.dumps.dump import pages


@dataclass(frozen=True)
class VaultApart:
    """What tests ask of a vault, with a network between."""

    cluster: Cluster
    services: dict[str, Service]
    """By path prefix: as the replicas are built, for their tables of routes."""

    def client(self, *, peer: str | None = None) -> httpx.AsyncClient:
        return self.cluster.client(peer=peer)


@dataclass
class StandApart(Stand):
    """Tenants of its own in a cluster that others use, too."""

    cluster: Cluster = field(kw_only=True, repr=False)
    inside: Inside = field(kw_only=True, repr=False)

    def elsewhere(self, address: str, *, peer: str | None = None) -> httpx.AsyncClient:
        # What is another network to throttles is another part of this machine's own.
        _, second, third, _ = address.split(".")
        here = f"127.{100 + int(second)}.{third}.7"
        return self.cluster.client(peer=peer, address=here)

    def front(self, *, peer: str | None = None) -> httpx.AsyncClient:
        return front.client(self.cluster.doors, public_only=True, peer=peer)

    async def furnished(self, *, companies: int) -> None:
        """More companies, known everywhere."""
        self.companies += [
            await company(self.ports, self.client, f"company{n}") for n in range(companies)
        ]
        await self.published()

    async def published(self) -> None:
        await self.inside.truth.heard("ingest", of="auth")

    async def settled(self) -> None:
        await self.inside.truth.settled()

    async def copied_to(self, folder: Path) -> None:
        """Documents of these tenants and of none, each service's in a store of its own; blobs."""
        place, tenants = Place(folder), {each.id for each in self.companies}
        for service in STORES:
            store = self.stores[service]
            await _copy_documents(service, store, place, tenants)
        await _copy_blobs(self.blobs, place, await _blobs_of(self.stores["auth"], tenants))


async def _copy_documents(service: str, store: DocStore, place: Place, tenants: set[str]) -> None:
    copy, _ = await open_store(place.documents(service), STORES[service])
    try:
        for collection in STORES[service].collections:
            found = [
                replace(each, version=0)
                async for each in pages(store, collection)
                if each.tenant in tenants or not _is_id(each.tenant)
            ]
            await copy.insert_many(collection, found)
    finally:
        await copy.close()


def _is_id(tenant: str) -> bool:
    """A tenant's; the platform and nobody have other names."""
    return len(tenant) == 32


async def _blobs_of(auth: DocStore, tenants: set[str]) -> set[str]:
    [access] = [each for each in STORES["auth"].collections if each.name == "access"]
    return {
        name
        async for document in pages(auth, access)
        if document.tenant in tenants
        for name in document.body["blob_names"]
    }


async def _copy_blobs(blobs: BlobStore, place: Place, names: set[str]) -> None:
    copies = FilesystemBlobStore(place.blobs)
    for name in names:
        await copies.put(name, blobs.stream(name, 0, await blobs.size(name)))


@asynccontextmanager
async def stand_apart(deployment: str) -> AsyncIterator[StandApart]:
    """A stand over this process' one cluster, which is started if it does not run yet."""
    assert deployment == DEPLOYMENT, "the cluster has one name, which keys are bound to"
    cluster = await asyncio.to_thread(
        the_cluster, lambda: Path(tempfile.mkdtemp(prefix="voicefile-cluster-"))
    )
    async with stand_over(cluster) as made:
        yield made


@asynccontextmanager
async def stand_over(cluster: Cluster) -> AsyncIterator[StandApart]:
    """A stand over a running cluster, without companies yet."""
    async with inside(cluster) as found, cluster.client() as client:
        yield StandApart(
            place=Place(cluster.folder),
            vault=VaultApart(cluster, found.services),
            client=client,
            companies=[],
            stores=found.stores,
            blobs=found.blobs,
            cluster=cluster,
            inside=found,
        )
