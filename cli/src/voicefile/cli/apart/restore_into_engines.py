"""Restores into the engines of services apart: their databases, their bucket, their root keys.

Each store is shut until everything is through: a service that is started over it ends at once and
says so. In the record that shuts it stands which restore it is of, and whether the service's
documents are all there.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from voicefile.auth.store import TENANTS
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.apart.engines import Engines, Token
from voicefile.cli.embedded import STORES
from voicefile.cli.engine_settings import ROOTED, EngineSettings, SettingsRefused, read, variable
from voicefile.cli.restore import AS_THEY_ARE, NotEmpty, OtherRestore, give_up
from voicefile.crypto.primitives import sha256
from voicefile.crypto.rootkey import RootKey
from voicefile.docstore.migrations import MIGRATIONS, SHUT, shutting
from voicefile.docstore.port import Collection, DocStore, Document, VersionConflict
from voicefile.dumps.dump import pages


class IntoEngines:
    """The Destination port over them, each service's as the service itself will open it.

    Whoever begins takes over: an earlier run that is still under way can't say any more that
    something is whole, and raises VersionConflict.
    """

    destroys_roots = False
    """Another vault may live on the root keys: the one that was backed up, or one restored."""

    def __init__(self, engines: Mapping[str, Engines], name: str) -> None:
        self.name = name
        self._engines = engines
        self._stores: dict[str, DocStore] = {}
        self._records: dict[str, Document] = {}
        """By service: what shuts its store, as this run has written it."""
        self._roots: dict[str, RootKey] = {}
        self._blobs: BlobStore | None = None

    async def begin(self, manifest: str) -> None:
        for service in ("auth", *AS_THEY_ARE):
            record = await self._record(service)
            if record is None:
                await self._shut(service, manifest)
            elif (record.body["manifest"], record.body["into"]) != (manifest, self.name):
                raise OtherRestore(f"Empty all databases and the bucket: it is in {service}'s")
            else:
                await self._say(service, record, {})

    async def _shut(self, service: str, manifest: str) -> None:
        """A store without a record: a new one, or one that was opened before the last run ended."""
        auth = self._records.get("auth")
        opened = auth is not None and auth.body["opening"] is True
        empty = await self._empty(service)
        if not empty and not opened:
            raise NotEmpty(f"The database of {service}")
        if service == "auth" and await (await self.blobs()).entries(limit=1):
            # Of a vault that may live on them: this one would sweep blobs that it does not know.
            raise NotEmpty("The bucket")
        about = {"manifest": manifest, "into": self.name, "whole": not empty, "opening": False}
        store = await self._store(service)
        self._records[service] = await store.insert(MIGRATIONS, shutting(about))

    async def bring_root(self) -> None:
        """It is where the settings say."""

    async def root(self, service: str) -> RootKey:
        if service not in self._roots:
            self._roots[service] = await self._engines[service].root()
        return self._roots[service]

    async def has(self, service: str) -> bool:
        return self._records[service].body["whole"] is True

    @asynccontextmanager
    async def making(self, service: str) -> AsyncIterator[DocStore]:
        """Empty, whatever an earlier run had left there."""
        await self.forget(service)
        yield await self._store(service)
        await self._say(service, self._records[service], {"whole": True})

    async def forget(self, service: str) -> None:
        await self._say(service, self._records[service], {"whole": False})
        store = await self._store(service)
        for collection in _collections(service):
            async for document in pages(store, collection):
                if document.id != SHUT:
                    await _remove(store, collection, document)

    @asynccontextmanager
    async def made(self, service: str) -> AsyncIterator[DocStore]:
        yield await self._store(service)

    async def blobs(self) -> BlobStore:
        if self._blobs is None:
            self._blobs = await self._engines["ingest"].blobs()
        return self._blobs

    async def open(self) -> None:
        # Said first, so that whoever goes on knows an opened store from one that was lost.
        await self._say("auth", self._records["auth"], {"opening": True})
        for service in (*AS_THEY_ARE, "auth"):
            await (await self._store(service)).delete(MIGRATIONS, self._records.pop(service))

    async def opened(self) -> bool:
        # Its first start alone would make a deployment, and no tenants.
        store = await self._store("auth")
        return await self._record("auth") is None and bool(await store.scan(TENANTS, limit=1))

    async def _store(self, service: str) -> DocStore:
        if service not in self._stores:
            self._stores[service] = await self._engines[service].opened(STORES[service])
        return self._stores[service]

    async def _record(self, service: str) -> Document | None:
        return await (await self._store(service)).get(MIGRATIONS, SHUT)

    async def _empty(self, service: str) -> bool:
        store = await self._store(service)
        return not any([await store.scan(each, limit=1) for each in _collections(service)])

    async def _say(self, service: str, record: Document, about: Mapping[str, bool]) -> None:
        """Raises VersionConflict: another run has taken over."""
        said = replace(record, body={**record.body, **about})
        self._records[service] = await (await self._store(service)).replace(MIGRATIONS, said)


def _collections(service: str) -> tuple[Collection, ...]:
    return (*STORES[service].collections, MIGRATIONS)


async def _remove(store: DocStore, collection: Collection, document: Document) -> None:
    # Settled first: what a deleted document still carries is published.
    await store.settle(collection, document.id, {event.id for event in document.pending})
    with suppress(VersionConflict):  # it went with its last event
        await store.delete(collection, document)


@asynccontextmanager
async def into_engines(folder: Path) -> AsyncIterator[IntoEngines]:
    """By each service's settings, in a folder of its own in this one. Raises SettingsRefused."""
    settings = read(DeploymentSettings)
    told = {service: _told(service, folder) for service in STORES}
    _require_apart(told)
    token = Token()
    async with AsyncExitStack() as running:
        running.push_async_callback(token.close)
        engines = {
            service: Engines(
                service, settings, each, running=running, token=token, on_failure=give_up
            )
            for service, each in told.items()
        }
        yield IntoEngines(engines, _name_of(told))


def _name_of(told: Mapping[str, EngineSettings]) -> str:
    """The same for the same databases and bucket, whatever opens them."""
    places = [
        (service, _without_password(each), each.database(service))
        for service, each in sorted(told.items())
    ]
    bucket = told["ingest"].s3_endpoint, told["ingest"].s3_bucket
    return sha256(repr((places, bucket)).encode()).hex()


def _without_password(told: EngineSettings) -> str:
    assert told.mongo_uri is not None, "it was required"
    return urlsplit(told.mongo_uri.get_secret_value()).netloc.rpartition("@")[2]


def _told(service: str, folder: Path) -> EngineSettings:
    own = folder / service
    if not own.is_dir():
        raise SettingsRefused(f"{folder} has no folder {service} with its settings.")
    told = read(EngineSettings, folder=own)
    told.require_restore(service)
    return told


def _require_apart(told: Mapping[str, EngineSettings]) -> None:
    """What is each service's own must not be two services', as the environment would have it."""
    databases = [(each.mongo_uri, each.database(service)) for service, each in told.items()]
    if len(set(databases)) < len(databases):
        raise SettingsRefused(f"Two services can't have one database: {variable('mongo_uri')}.")
    roots = [told[service].root_place for service in sorted(ROOTED)]
    if len(set(roots)) < len(roots):
        raise SettingsRefused(f"auth and audit can't have one root key: {variable('root')}.")
