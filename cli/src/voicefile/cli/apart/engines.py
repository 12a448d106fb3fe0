"""Opens what one service needs of the engines, by its settings; closed in turn with the service.

An engine's client is loaded by who uses it: the portal has neither a store's nor a bus's.
"""

# ruff: noqa: PLC0415

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
import structlog
from pydantic import SecretStr

from voicefile.blobstore.port import BlobStore
from voicefile.chassis.calls import engine_client, engine_context, service_client
from voicefile.chassis.health import Check
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.apart.migrating import migrated
from voicefile.cli.engine_settings import EngineSettings
from voicefile.cli.store_plan import StorePlan
from voicefile.crypto.rootkey import RootKey, RootUnavailable
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.rootkey_two import TwoRootKeys
from voicefile.crypto.secret import SecretText
from voicefile.docstore.lease import ALONE, Leadership, Lease
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import DocStore
from voicefile.eventbus.port import EventBus
from voicefile.identity.tokens import RemoteKeySet, TokenVerifier

if TYPE_CHECKING:
    from voicefile.crypto.rootkey_pkcs11 import Pkcs11RootKey

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Token:
    """The PKCS#11 token, or both of them, for the whole life of a process.

    A start that is tried again must not show the token a wrong PIN again: it counts them.
    """

    def __init__(self) -> None:
        self._roots: dict[tuple[Path, str], Pkcs11RootKey] = {}

    def root(self, told: EngineSettings) -> RootKey:
        from voicefile.crypto.rootkey_pkcs11 import Pkcs11RootKey

        assert told.pkcs11_module is not None
        assert told.pkcs11_token is not None
        place = told.pkcs11_module, told.pkcs11_token
        if place not in self._roots:
            self._roots[place] = Pkcs11RootKey(*place, _secret(told.pkcs11_pin))
        return self._roots[place]

    async def close(self) -> None:
        """Logs out, if the token can still be talked to."""
        for root in self._roots.values():
            with suppress(RootUnavailable):
                await root.close()


class Engines:
    """The engines of one service. Each raises what its adapter raises when it is away."""

    def __init__(
        self,
        service: str,
        settings: DeploymentSettings,
        told: EngineSettings,
        *,
        running: AsyncExitStack,
        token: Token,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.service = service
        self.deployment = settings.deployment
        self.on_failure = on_failure
        self.bus_used: EventBus | None = None
        self.checks: dict[str, Check] = {}
        """What, beside the service itself, has to be usable for it to be ready."""
        self._told = told
        self._running = running
        self._token = token
        self._calls: httpx.AsyncClient | None = None

    async def entered(self, manager: AbstractAsyncContextManager[T]) -> T:
        """What the manager gives, until the service is over."""
        return await self._running.enter_async_context(manager)

    async def documents(self, plan: StorePlan) -> DocStore:
        """The service's own store, brought to this version. Raises StoreIsNewer."""
        store = await self.opened(plan)
        await migrated(store, plan)
        return store

    async def opened(self, plan: StorePlan) -> DocStore:
        """The service's own store, as it was left."""
        from voicefile.docstore.mongo import MongoDocStore
        from voicefile.eventbus.sent import SENT

        told = self._told
        store = await MongoDocStore.open(
            _shown(told.mongo_uri),
            told.database(self.service),
            (*plan.collections, MIGRATIONS, SENT),
            tls_ca=told.mongo_ca,
            tls_certificate=told.mongo_certificate,
            on_broken=self.on_failure,
        )
        self._running.push_async_callback(store.close)
        return store

    def leadership(self, store: DocStore) -> Leadership:
        """Of all instances of the service, the one that may do what only one may."""
        return Lease(store, self.service)

    def bus(self, store: DocStore, *, consuming: Leadership = ALONE) -> EventBus:
        """The bus; to be run around the service. `store` keeps what was sent lately."""
        from voicefile.eventbus.kafka import KafkaEventBus
        from voicefile.eventbus.sent import SentJournal

        told = self._told
        assert told.kafka_bootstrap is not None
        sasl = (told.kafka_username, _secret(told.kafka_password)) if told.kafka_username else None
        self.bus_used = bus = KafkaEventBus(
            told.kafka_bootstrap,
            client=self.service,
            ssl=engine_context(told.kafka_certificate, authority=told.kafka_ca),
            sasl=sasl,
            journal=SentJournal(store),
            consuming=consuming,
        )
        return bus

    async def blobs(self) -> BlobStore:
        """The blob store; the same for all who have one."""
        from voicefile.blobstore.s3 import S3BlobStore

        told = self._told
        assert told.s3_endpoint is not None
        assert told.s3_bucket is not None
        assert told.s3_access_key is not None
        store = await S3BlobStore.open(
            told.s3_endpoint,
            told.s3_bucket,
            region=told.s3_region,
            access_key=told.s3_access_key,
            secret_key=_secret(told.s3_secret_key),
            ca=told.s3_ca,
            # Whoever plays or copies takes nothing in: their credentials need not be able to write.
            writes=self.service == "ingest",
        )
        self._running.push_async_callback(store.close)
        self.checks["blobs"] = store.ready
        return store

    async def root(self) -> RootKey:
        """The service's own root key; two, while it is changed."""
        main, other = await self._root(self._told), self._told.other()
        return main if other is None else TwoRootKeys(main, await self._root(other))

    async def other_root(self) -> RootKey | None:
        """The other one alone, to be tried out before anything hangs on it."""
        other = self._told.other()
        return None if other is None else await self._root(other)

    async def _root(self, told: EngineSettings) -> RootKey:
        if told.root == "transit":
            return await self._transit(told)
        if told.root == "pkcs11":
            return self._token.root(told)
        assert told.root_dir is not None
        log.warning("root_key_in_files")
        return FileRootKey(told.root_dir)

    async def _transit(self, told: EngineSettings) -> RootKey:
        from voicefile.crypto.rootkey_transit import TransitRootKey

        assert told.transit_url is not None
        client = engine_client(
            told.transit_url,
            authority=told.transit_ca,
            headers={"X-Vault-Token": _shown(told.transit_token)},
        )
        self._running.push_async_callback(client.aclose)
        root = TransitRootKey(client, mount=told.transit_mount)
        # The token ends if nobody renews it, and all keys with it.
        await self._running.enter_async_context(_beside(root.keep_token(_tell)))
        return root

    def calls(self) -> httpx.AsyncClient:
        """The client that reaches other services as this one."""
        if self._calls is None:
            told = self._told
            assert told.service_certificate is not None
            assert told.service_ca is not None
            addresses = {
                "auth": told.auth_url,
                "audit": told.audit_url,
                "ingest": told.ingest_url,
                "playback": told.playback_url,
            }
            self._calls = service_client(
                addresses, certificate=told.service_certificate, authority=told.service_ca
            )
            self._running.push_async_callback(self._calls.aclose)
        return self._calls

    def tokens(self) -> TokenVerifier:
        """Verifies tokens with the keys that auth publishes."""
        return TokenVerifier(RemoteKeySet(self.calls()), issuer=self.deployment)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    # owned: it ends here. In no task group, which would wrap what is raised around it.
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _tell(code: str) -> None:
    log.warning("root_token", code=code)


def _shown(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _secret(secret: SecretStr | None) -> SecretText:
    return SecretText(_shown(secret))
