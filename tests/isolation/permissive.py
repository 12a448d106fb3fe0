"""A vault without authorisation: auth hands anybody's records to whoever asks, unchecked.

Nothing is patched: auth's own verbs and routes are composed over access records that lie, and
playback over an auth that gives. What is left to keep tenants apart then is how things are sealed.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from pathlib import Path

import httpx
from msgspec.structs import replace
from tests.isolation.world import World

from voicefile.auth.app import OwnKeys
from voicefile.auth.listening.access_routes import internal_router
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.doors import Doors, doors_of
from voicefile.auth.ports import Ports
from voicefile.auth.problems_table import PROBLEMS
from voicefile.auth.records import Records, Stored
from voicefile.auth.store import Access, Recording
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import seal_to
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.eventbus.memory import MemoryEventBus
from voicefile.identity.tokens import TokenVerifier
from voicefile.playback import app as playback
from voicefile.playback.settings import PlaybackSettings


class LyingRecords:
    """Access records as any tenant may have them: with these recordings in each, unasked."""

    def __init__(self, real: Records[Access]) -> None:
        self._real = real
        self.slipped_in: tuple[Recording, ...] = ()
        self.handed_over: Stored[Access] | None = None
        """Somebody's whole record, given for any question as the asking tenant's own."""

    def of(self, tenant: str) -> "LyingView":
        return LyingView(self, self._real, tenant)


class LyingView:
    """What one tenant is told."""

    def __init__(self, lies: LyingRecords, real: Records[Access], tenant: str) -> None:
        self._lies = lies
        self._real = real.of(tenant)
        self._tenant = tenant

    async def get(self, document_id: str) -> Stored[Access] | None:
        return self._told(await self._real.get(document_id))

    async def find_one(self, index: str, value: str) -> Stored[Access] | None:
        return self._told(await self._real.find_one(index, value))

    async def find(self, index: str, value: object, **_: object) -> list[Stored[Access]]:
        told = self._told(None)
        return [told] if told else []

    def _told(self, found: Stored[Access] | None) -> Stored[Access] | None:
        if self._lies.handed_over is not None:
            handed = self._lies.handed_over
            # The tenant's own, says the document; nobody checks a MAC here.
            return Stored(handed.record, with_fields(handed.document, tenant=self._tenant))
        if found is None:
            return None
        recordings = (*self._lies.slipped_in, *found.record.recordings)
        return Stored(replace(found.record, recordings=recordings), found.document)


@dataclass
class Permissive:
    """The composed vault, and the lies it is told."""

    lies: LyingRecords
    ports: Ports
    auth: httpx.AsyncClient = field(repr=False)
    """Reaches the permissive auth as playback."""
    client: httpx.AsyncClient = field(repr=False)
    """Reaches playback over it, as nobody in particular."""


@asynccontextmanager
async def permissive(world: World, place: Path) -> AsyncIterator[Permissive]:
    """Auth and playback over the stand's stores, with auth's access checks left out."""
    s = world.stand
    lies = LyingRecords(s.ports.access)
    ports = with_fields(s.ports, access=lies)
    pool = PinPool()
    tokens = TokenVerifier(OwnKeys(ports), issuer=ports.deployment)
    async with s.vault.client(peer="auth") as log:
        doors = doors_of(ports, pool=pool, audit=log, tokens=tokens, settings=AccessSettings())
        services = {"/auth": _auth(world, doors, tokens)}
        auth = in_process_client(services, peer="playback")
        docs = await SqliteDocStore.open(place / "playback.db", playback.COLLECTIONS)
        player = _playback(world, docs, tokens, auth)
        client = in_process_client({"/playback": player})
        try:
            async with doors.gate.running(), player.running():
                yield Permissive(lies, ports, auth, client)
        finally:
            for each in (client, auth):
                await each.aclose()
            await docs.close()
            pool.close()


def _auth(world: World, doors: Doors, tokens: TokenVerifier) -> Service:
    internal = new_app("auth without checks", problems=PROBLEMS, tokens=tokens, openapi_path=None)
    serve_routes(internal, internal_router(doors))
    real = world.stand.vault.services["/auth"]
    return Service("auth", public=real.public, internal=internal)


def _playback(
    world: World, docs: SqliteDocStore, tokens: TokenVerifier, client: httpx.AsyncClient
) -> Service:
    s = world.stand
    return playback.build(
        PlaybackSettings(),
        deployment=s.ports.deployment,
        blobs=s.blobs,
        docs=docs,
        bus=MemoryEventBus(),
        client=client,
        tokens=tokens,
        on_failure=lambda _: None,
    )


@dataclass(frozen=True)
class Gift:
    """What an auth that gives everything gives: any key, under any tenant's name."""

    tenant: str
    key: SecretKey = field(repr=False)
    blobs: dict[str, str]
    true_bytes: int


def giving(gift: Gift, deployment: bytes) -> httpx.AsyncClient:
    """An auth that asks nobody anything and releases the gift."""

    async def release(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if not request.url.path.endswith("/releases"):
            return httpx.Response(200, json={"lease_s": 45})
        context = Context(
            deployment,
            gift.tenant,
            object_id(asked["recording_id"], "slip"),
            Kind.WRAPPED_KEY,
            wrapping_key=b"given",
        )
        box = seal_to(base64.b64decode(asked["instance_key"]), context.encode(), gift.key)
        answer = {
            "release_id": "given",
            "lease_s": 45,
            "tenant": gift.tenant,
            "blobs": {role: {"name": name} for role, name in gift.blobs.items()},
            "media": {f"{role}_bytes": gift.true_bytes for role in gift.blobs}
            | {"media_type": "audio/wav"},
            "sealed_key": base64.b64encode(box).decode(),
        }
        return httpx.Response(201, json=answer)

    return httpx.AsyncClient(transport=httpx.MockTransport(release), base_url="https://vault")


@asynccontextmanager
async def player_over(world: World, gift: Gift, place: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of playback over an auth that gives."""
    deployment = world.stand.ports.custody.deployment
    tokens = TokenVerifier(OwnKeys(world.stand.ports.custody), issuer=world.stand.ports.deployment)
    docs = await SqliteDocStore.open(place, playback.COLLECTIONS)
    async with giving(gift, deployment) as auth:
        player = _playback(world, docs, tokens, auth)
        async with in_process_client({"/playback": player}) as client, player.running():
            yield client
    await docs.close()


def names_of(recordings: Iterable[Recording]) -> list[dict[str, str]]:
    """Where the blobs of each lie."""
    return [{role: blob.name for role, blob in each.blobs.items()} for each in recordings]
