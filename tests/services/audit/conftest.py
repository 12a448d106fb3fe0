import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from voicefile.audit.app import COLLECTIONS, build
from voicefile.audit.append import Sequencer
from voicefile.audit.check import Report, check_log
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.events import received
from voicefile.audit.lead import Lead
from voicefile.audit.settings import AuditSettings
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.service import Service
from voicefile.contracts.deed.v1 import Action, Deed, Event, Outcome, Role
from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.eventbus.port import Event as BusEvent
from voicefile.identity.tokens import FixedKeySet, TokenVerifier
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import origin_of

DEPLOYMENT = "test"
NOW_S = 1_800_000_000
LOG_KEY = SigningKey.from_seed(SecretKey(b"log key " * 4))
SIGNER = Ed25519PrivateKey.from_private_bytes(b"token signing key " + bytes(14))


def new_id() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def tenant() -> str:
    return new_id()


@pytest.fixture
def other_tenant() -> str:
    return new_id()


@pytest.fixture
async def docs(tmp_path: Path) -> AsyncIterator[SqliteDocStore]:
    store = await SqliteDocStore.open(tmp_path / "audit.sqlite", COLLECTIONS)
    yield store
    await store.close()


@dataclass
class Instance:
    """A service that does deeds and numbers them."""

    boot: str = field(default_factory=new_id)
    n: int = 0

    def does(
        self,
        tenant: str,
        *,
        action: Action = Action.ACTION_RECORDINGS_LISTED,
        object_id: str = "",
        commitment: bytes = b"",
        actor: str = "",
        n: int | None = None,
        stored_through: int | None = None,
    ) -> BusEvent:
        self.n = self.n + 1 if n is None else n
        deed = Deed(
            deed_id=new_id(),
            tenant=tenant,
            actor=actor or new_id(),
            role=Role.ROLE_CARE,
            action=action,
            object_id=object_id or new_id(),
            outcome=Outcome.OUTCOME_DONE,
            at_ms=NOW_S * 1000 + self.n,
            request_id=new_id(),
            boot_id=self.boot,
            n=self.n,
            commitment=commitment,
            stored_through=max(0, self.n - 1) if stored_through is None else stored_through,
        )
        event_id = new_id()
        payload = Event(event_id=event_id, deed=deed).SerializeToString()
        return BusEvent(event_id, "voicefile.auth.v1", deed.object_id, payload)

    def does_often(self, tenant: str, times: int) -> list[BusEvent]:
        return [self.does(tenant) for _ in range(times)]


@pytest.fixture
def instance() -> Instance:
    return Instance()


class Keeper:
    """Audit's two halves, called step by step: what a start has, and a crash takes away."""

    def __init__(self, docs: DocStore, **settings: int) -> None:
        limits = AuditSettings(**{"segment_deeds_max": 7, "publish_segments_max": 5, **settings})
        self.docs = docs
        self.publisher = Publisher(
            docs, settings=limits, deployment=DEPLOYMENT, now_s=lambda: NOW_S
        )
        self.publisher.use(LOG_KEY)
        self.sequencer = Sequencer(
            docs,
            settings=limits,
            on_appended=self.publisher.appended,
            on_failure=lambda _: None,
            now_s=lambda: NOW_S,
        )
        self.lead = Lead(self.sequencer, self.publisher, 60, None, time.monotonic)

    async def append(self, events: Iterable[BusEvent]) -> None:
        await self.sequencer.append([d for e in events if (d := received(e)) is not None])

    async def publish(self, tenant: str) -> None:
        while await self.publisher.publish(tenant):
            pass


@pytest.fixture
def keeper_of() -> Callable[..., Keeper]:
    return Keeper


def key_of(tenant: str) -> VerifierKey:
    return VerifierKey(origin_of(DEPLOYMENT, tenant), LOG_KEY.public)


@pytest.fixture
def check() -> Callable[[DocStore, str], object]:
    async def checked(docs: DocStore, tenant: str) -> Report:
        return await check_log(docs, tenant, key_of(tenant))

    return checked


@pytest.fixture
def token() -> Callable[..., str]:
    def minted(role: str, tenant: str, principal: str = "") -> str:
        claims = {
            "iss": DEPLOYMENT,
            "aud": "voicefile",
            "sub": principal or new_id(),
            "jti": new_id(),
            "tenant": tenant,
            "role": role,
            "iat": NOW_S,
            "exp": NOW_S + 300,
        }
        return jwt.encode(claims, SIGNER, algorithm="EdDSA", headers={"kid": "k"})

    return minted


@dataclass
class House:
    """Audit as a whole, with a bus to tell it deeds and clients to ask it."""

    service: Service
    bus: MemoryEventBus
    docs: SqliteDocStore

    def client(self, *, peer: str | None = None, bearer: str | None = None) -> httpx.AsyncClient:
        client = in_process_client({"/audit": self.service}, peer=peer)
        if bearer is not None:
            client.headers["Authorization"] = f"Bearer {bearer}"
        return client

    async def get(
        self, path: str, *, bearer: str | None = None, purpose: str | None = None
    ) -> httpx.Response:
        headers = {} if purpose is None else {"Purpose": purpose}
        async with self.client(bearer=bearer) as client:
            return await client.get(f"/audit{path}", headers=headers)

    async def published(self, tenant: str, size: int) -> None:
        """Waits until that many deeds are under a checkpoint."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.get(f"/v1/logs/{tenant or 'platform'}/checkpoint")
                if answer.status_code == 200 and int(answer.text.split("\n")[1]) >= size:
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def house_over(
    docs: SqliteDocStore,
    root: Path,
    *,
    every_s: float = 0.01,
    publishing: bool = True,
    now_s: Callable[[], float] = lambda: NOW_S,
    **outside: Any,
) -> AsyncIterator[House]:
    public = SIGNER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    bus = MemoryEventBus()
    service = build(
        AuditSettings(
            **{"offer_every_s": 0.05, "offer_again_s_max": 0.5, "stamp_look_every_s": 0.05}
            | {"checkpoint_every_s": every_s}
            | outside
        ),
        deployment=DEPLOYMENT,
        docs=docs,
        bus=bus,
        root=FileRootKey(root),
        tokens=TokenVerifier(FixedKeySet({"k": public}), issuer=DEPLOYMENT, now=lambda: NOW_S),
        on_failure=lambda _: None,
        now_s=now_s,
    )
    house = House(service, bus, docs)
    if not publishing:
        yield house
        return
    async with service.running(), bus.running():
        yield house


@pytest.fixture
async def house(docs: SqliteDocStore, tmp_path: Path) -> AsyncIterator[House]:
    async with house_over(docs, tmp_path / "root") as built:
        yield built


@pytest.fixture
def house_of() -> Callable[..., object]:
    return house_over
