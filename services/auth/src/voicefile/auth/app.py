"""Builds auth: one place where keys, records, deeds and routes come together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import httpx
from fastapi import APIRouter, FastAPI

from voicefile.auth import store
from voicefile.auth.credentials.credential_routes import (
    credential_router,
    objection_router,
    search_router,
)
from voicefile.auth.dumping.back_up_keys import keys_of
from voicefile.auth.dumping.dump_documents import documents_of
from voicefile.auth.erasing import erasing_store
from voicefile.auth.erasing import metrics as erasing_metrics
from voicefile.auth.erasing.apply_retention import apply_retention
from voicefile.auth.erasing.erasing_routes import erasure_router, hold_router, retention_router
from voicefile.auth.erasing.expire import expire
from voicefile.auth.erasing.list_routes import list_router
from voicefile.auth.erasing.shred_tenant import shred_tenants
from voicefile.auth.events import TOPIC, Fact, key_of, wrap
from voicefile.auth.forgeries import tell_forgeries
from voicefile.auth.issuing.internal_routes import ingest_router
from voicefile.auth.keys.custody import Custody
from voicefile.auth.keys.held_up import in_the_way
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.keys.signing_keys import OwnKeys
from voicefile.auth.listening import access_metrics, access_routes, access_store
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.doors import Doors, doors_of
from voicefile.auth.listening.outstanding import Outstanding
from voicefile.auth.listening.telephone_routes import telephone_router
from voicefile.auth.ports import Ports, ports_of
from voicefile.auth.problems_table import PROBLEMS
from voicefile.auth.scrub import scrub_if_due
from voicefile.auth.settings import AuthSettings
from voicefile.auth.sweep import sweep
from voicefile.auth.tenants.admin_routes import admin_router, principal_router
from voicefile.auth.tenants.open_tenant import first_start
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.auth.tokens.sign_in_routes import sign_in_router
from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.metrics import shown
from voicefile.chassis.rounds import keep_doing
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.crypto.rootkey import RootKey
from voicefile.deeds.doors import tell_refused_doors
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.lease import ALONE, LEASES, Leadership
from voicefile.docstore.led import led
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import Collection, DocStore
from voicefile.dumps.changes import always_whole
from voicefile.dumps.routes import DUMPS_PATH, KEY_BACKUPS_PATH, Leaving, dump_router
from voicefile.dumps.settings import DumpSettings
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier

COLLECTIONS: Sequence[Collection] = (
    *store.COLLECTIONS,
    *access_store.COLLECTIONS,
    *erasing_store.COLLECTIONS,
    DEEDS,
    LEASES,
)
"""What auth's document store has to know."""
STEPS: Sequence[Step] = ()
"""The migrations of auth's store, in order."""
BODY = BodyLimit(bytes_max=64 * 1024)
"""Public bodies are forms and small JSON."""
INTERNAL_BODY = BodyLimit(bytes_max=512 * 1024)
"""A thousand blob names, or the metadata of an upload as JSON."""


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
    pins: PinPool | None = None,
    dumping: DumpSettings | None = None,
    leadership: Leadership = ALONE,
    now_s: Callable[[], float] = time.time,
) -> Service:
    """The service over its ports; commands that administer find those at `public.state.ports`.

    `client` calls other services with auth's certificate; `on_failure` ends the process, because
    deeds could not be stored. Of instances that share a store, the one that leads keeps house.
    """
    access = access or AccessSettings()
    pool = pins or _pool(access)
    deeds = _deeds(docs, now_s=now_s, on_failure=on_failure)
    custody = Custody(root, docs, deployment=deployment, ttl_s=settings.custody_ttl_s, clock=now_s)
    ports = ports_of(docs, custody, deeds=deeds, pins=pool, settings=settings, now_s=now_s)
    doors = doors_of(
        ports,
        pool=pool,
        audit=client,
        tokens=TokenVerifier(OwnKeys(ports), issuer=deployment, now=now_s),
        settings=access,
        limits=limits,
        outstanding=None if leadership is ALONE else _outstanding(ports),
    )
    public, internal = _apps(ports, doors, dumping or DumpSettings())
    running = partial(_running, Relay(docs, bus, leadership=leadership), ports, doors, leadership)
    return Service("auth", public=public, internal=internal, running=running, ready=docs.ready)


@asynccontextmanager
async def _running(
    relay: Relay, ports: Ports, doors: Doors, leadership: Leadership
) -> AsyncIterator[None]:
    shown(*access_metrics.SHOWN, *erasing_metrics.SHOWN, in_the_way)
    await first_start(ports)
    housekeeping = led(leadership, partial(_housekeeping, ports, doors))
    try:
        async with relay.running(), doors.gate.running(), _forgetting(ports), housekeeping:
            yield
    finally:
        doors.pool.close()


def _outstanding(ports: Ports) -> Outstanding:
    """Not in a vault of one process: there, a deed that left the store is in the log."""
    return Outstanding(
        ports.store,
        boot_id=ports.deeds.boot_id,
        stored_through=lambda: ports.deeds.stored_through,
        now_s=ports.now_s,
    )


def _deeds(
    docs: DocStore, *, now_s: Callable[[], float], on_failure: Callable[[Exception], None]
) -> DeedSeries[Fact]:
    return DeedSeries(
        docs, topic=TOPIC, wrap=wrap, key_of=key_of, now_s=now_s, on_failure=on_failure
    )


def _pool(access: AccessSettings) -> PinPool:
    return PinPool(
        threads=access.pin_threads,
        waiting_max=access.pin_waiting_max,
        strangers_max=access.pin_strangers_waiting_max,
    )


def _apps(ports: Ports, doors: Doors, dumping: DumpSettings) -> tuple[FastAPI, FastAPI]:
    public = new_app("voiceFileServer auth", problems=PROBLEMS, tokens=doors.tokens, body=BODY)
    public.state.ports = ports
    serve_routes(
        public,
        sign_in_router(ports, doors.throttles),
        access_routes.public_router(doors),
        search_router(ports),
        credential_router(ports),
        objection_router(ports),
        admin_router(ports),
        principal_router(ports),
        hold_router(ports),
        erasure_router(ports),
        retention_router(ports),
        list_router(ports),
    )
    internal = new_app(
        "voiceFileServer auth, internal",
        problems=PROBLEMS,
        tokens=doors.tokens,
        body=INTERNAL_BODY,
        openapi_path=None,
    )
    serve_routes(
        internal,
        ingest_router(ports),
        access_routes.internal_router(doors),
        telephone_router(doors),
        _dumps(ports, dumping),
    )
    for app in (public, internal):
        tell_forgeries(app, ports.deeds)
        tell_refused_doors(app, ports.deeds)
    return public, internal


def _dumps(ports: Ports, dumping: DumpSettings) -> APIRouter:
    """Documents and keys, each apart: neither opens without the other."""
    leaving = (
        Leaving(DUMPS_PATH, "auth", documents_of(ports), dumping.sealed_to),
        Leaving(KEY_BACKUPS_PATH, "keys", always_whole(partial(keys_of, ports)), dumping.sealed_to),
    )
    return dump_router(leaving, deployment=ports.deployment, record=ports.deeds.record)


@asynccontextmanager
async def _forgetting(ports: Ports) -> AsyncIterator[None]:
    """In each instance: what it unlocked is in its own memory."""

    async def forget() -> None:
        ports.custody.forget_old()

    every_s = ports.settings.custody_ttl_s / 10
    async with asyncio.TaskGroup() as loops:
        forgetting = loops.create_task(keep_doing(forget, every_s=every_s, name="custody"))
        try:
            yield
        finally:
            forgetting.cancel()


async def _erase_due(ports: Ports) -> None:
    # In this order: a date that changed rules bring forward is due in the same round.
    await apply_retention(ports)
    await expire(ports)
    await shred_tenants(ports)


@asynccontextmanager
async def _housekeeping(ports: Ports, doors: Doors) -> AsyncIterator[None]:
    """In one instance for all: it reads from the store what is to do, and many would do it twice.

    Each of these is safe to do twice, by an instance that led before and has not noticed.
    """
    of = ports.settings
    async with asyncio.TaskGroup() as loops:
        tasks = [
            loops.create_task(each)
            for each in (
                # Not right at the start: it reads every record there is.
                keep_doing(
                    partial(scrub_if_due, ports),
                    every_s=of.scrub_look_s,
                    name="scrub",
                    first_s=of.scrub_look_s,
                ),
                keep_doing(partial(rotate, ports), every_s=of.rotate_every_s, name="rotate"),
                keep_doing(partial(sweep, ports), every_s=of.sweep_every_s, name="sweep"),
                keep_doing(partial(_erase_due, ports), every_s=of.expire_every_s, name="erase"),
                keep_doing(doors.sweep, every_s=doors.settings.access_sweep_every_s, name="access"),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
