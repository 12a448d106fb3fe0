"""Builds auth: one place where keys, records, deeds and routes come together."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import structlog
from fastapi import FastAPI

from voicefile.auth import store
from voicefile.auth.credentials.credential_routes import credential_router, search_router
from voicefile.auth.events import TOPIC, Fact, wrap
from voicefile.auth.forgeries import tell_forgeries
from voicefile.auth.issuing.internal_routes import ingest_router
from voicefile.auth.keys.custody import Custody
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.listening import access_routes, access_store
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.doors import Doors, doors_of
from voicefile.auth.ports import Ports, ports_of
from voicefile.auth.problems_table import PROBLEMS
from voicefile.auth.scrub import scrub
from voicefile.auth.settings import AuthSettings
from voicefile.auth.sweep import sweep
from voicefile.auth.tenants.admin_routes import admin_router, principal_router
from voicefile.auth.tenants.open_tenant import first_start
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.auth.tokens.sign_in_routes import sign_in_router
from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.service import Service, new_app
from voicefile.crypto.rootkey import RootKey
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import Collection, DocStore
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.ids import PLATFORM
from voicefile.identity.tokens import TokenVerifier

COLLECTIONS: Sequence[Collection] = (*store.COLLECTIONS, *access_store.COLLECTIONS, DEEDS)
"""What auth's document store has to know."""
STEPS: Sequence[Step] = ()
"""The migrations of auth's store, in order."""
BODY = BodyLimit(bytes_max=64 * 1024)
"""Public bodies are forms and small JSON."""
INTERNAL_BODY = BodyLimit(bytes_max=512 * 1024)
"""A thousand blob names, or the metadata of an upload as JSON."""

log = structlog.get_logger(__name__)


def build(
    settings: AuthSettings,
    *,
    deployment: str,
    docs: DocStore,
    bus: EventBus,
    root: RootKey,
    client: httpx.AsyncClient,
    on_failure: Callable[[Exception], None],
    access: AccessSettings | None = None,
    limits: Limits | None = None,
    now_s: Callable[[], float] = time.time,
) -> Service:
    """The service over its ports.

    `client` calls other services with auth's certificate; `on_failure` ends the process, because
    deeds could not be stored. Commands that administer find the ports at `public.state.ports`.
    """
    access = access or AccessSettings()
    pool = _pool(access)
    deeds: DeedSeries[Fact] = DeedSeries(
        docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure
    )
    custody = Custody(root, docs, deployment=deployment, ttl_s=settings.custody_ttl_s)
    ports = ports_of(docs, custody, deeds=deeds, pins=pool, settings=settings, now_s=now_s)
    tokens = TokenVerifier(OwnKeys(custody), issuer=deployment, now=now_s)
    doors = doors_of(ports, pool=pool, audit=client, tokens=tokens, settings=access, limits=limits)
    relay = Relay(docs, bus)
    public, internal = _apps(ports, doors)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await first_start(ports)
        try:
            async with relay.running(), doors.running(), _housekeeping(ports):
                yield
        finally:
            pool.close()

    return Service("auth", public=public, internal=internal, running=running, ready=docs.ready)


def _pool(access: AccessSettings) -> PinPool:
    return PinPool(
        threads=access.pin_threads,
        waiting_max=access.pin_waiting_max,
        strangers_max=access.pin_strangers_waiting_max,
    )


def _apps(ports: Ports, doors: Doors) -> tuple[FastAPI, FastAPI]:
    public = new_app("voiceFileServer auth", problems=PROBLEMS, tokens=doors.tokens, body=BODY)
    public.state.ports = ports
    for router in (
        sign_in_router(ports, doors.throttles),
        access_routes.public_router(doors),
        search_router(ports),
        credential_router(ports),
        admin_router(ports),
        principal_router(ports),
    ):
        public.include_router(router)
    internal = new_app(
        "voiceFileServer auth, internal",
        problems=PROBLEMS,
        tokens=doors.tokens,
        body=INTERNAL_BODY,
        openapi_path=None,
    )
    internal.include_router(ingest_router(ports))
    internal.include_router(access_routes.internal_router(doors))
    for app in (public, internal):
        tell_forgeries(app, ports.deeds)
    return public, internal


class OwnKeys:
    """The keys auth signs tokens with, as its own routes check them."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody

    async def find(self, kid: str) -> bytes | None:
        published = await self._custody.published_keys(PLATFORM)
        return next((public for found, public in published if found == kid), None)


@asynccontextmanager
async def _housekeeping(ports: Ports) -> AsyncIterator[None]:
    async def forget() -> None:
        ports.custody.forget_old()

    async def turn() -> None:
        await rotate(ports)

    async def clear() -> None:
        await sweep(ports)

    async def look() -> None:
        # Once a day and not at the start: it reads every record there is.
        await asyncio.sleep(ports.settings.scrub_every_s)
        await scrub(ports)

    async with asyncio.TaskGroup() as loops:
        tasks = [
            loops.create_task(_every(0, look, name="scrub")),
            loops.create_task(_every(ports.settings.custody_ttl_s / 10, forget, name="custody")),
            loops.create_task(_every(ports.settings.rotate_every_s, turn, name="rotate")),
            loops.create_task(_every(ports.settings.sweep_every_s, clear, name="sweep")),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _every(pause_s: float, work: Callable[[], Awaitable[None]], *, name: str) -> None:
    while True:
        try:
            await work()
        except Exception:
            # The loop's edge: each round reads anew what is to do, so the next one makes up for
            # this; a failure that stays shows in the count.
            log.exception("housekeeping_failed", loop=name)
            loop_failures().labels(loop=name).inc()
        await asyncio.sleep(pause_s)
