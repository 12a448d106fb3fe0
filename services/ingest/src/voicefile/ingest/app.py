"""Ingest: takes voice files in and seals them while they arrive. Builds; nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import httpx
from fastapi import FastAPI

from voicefile.blobstore.port import BlobStore
from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.metrics import shown
from voicefile.chassis.rounds import keep_doing
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.deeds.doors import tell_refused_doors
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.lease import ALONE, LEASES, Leadership, Work
from voicefile.docstore.led import led
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.dumps.changes import always_whole, documents_of
from voicefile.dumps.routes import CANARIES_PATH, DUMPS_PATH, Leaving, dump_router
from voicefile.dumps.routes import PROBLEMS as DUMP_PROBLEMS
from voicefile.dumps.settings import DumpSettings
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier
from voicefile.ingest import metrics
from voicefile.ingest.ask_auth import Auth
from voicefile.ingest.canaries import CANARIES, Canaries, is_canary
from voicefile.ingest.changes import AuthFacts, Feed
from voicefile.ingest.erase import Erasing
from voicefile.ingest.events import AUTH_TOPIC, GROUP, TOPIC, RecordingStored, wrap
from voicefile.ingest.issue import Issuing
from voicefile.ingest.linger import Lingering
from voicefile.ingest.manifests import Manifests
from voicefile.ingest.mark import Marking
from voicefile.ingest.media.decoder import Decoders
from voicefile.ingest.places import Places
from voicefile.ingest.problem_table import problem_table
from voicefile.ingest.receive import Desk
from voicefile.ingest.reservations import Reservations
from voicefile.ingest.routes import RECORDINGS_PATH, router
from voicefile.ingest.settings import KIB, IngestSettings
from voicefile.ingest.store import FEED, MANIFESTS, RESERVATIONS, TENANTS
from voicefile.ingest.sweep import Sweeper
from voicefile.ingest.tenants import SealingKeys, Tenants

COLLECTIONS: Final = (DEEDS, RESERVATIONS, TENANTS, FEED, MANIFESTS, CANARIES, LEASES)
"""What ingest's store has to declare."""
DUMPED: Final = (DEEDS, RESERVATIONS, TENANTS, FEED, MANIFESTS, CANARIES)
"""What a backup has of it."""
STEPS: Final[Sequence[Step]] = ()
"""The migrations its store has gone through; none yet."""
FRAMING_BYTES: Final = 64 * KIB
"""Boundaries and part headers, on top of what the two parts may have."""


def build(
    settings: IngestSettings,
    *,
    deployment: str,
    blobs: BlobStore,
    docs: DocStore,
    bus: EventBus,
    client: httpx.AsyncClient,
    tokens: TokenVerifier,
    on_failure: Callable[[Exception], None],
    decoders: Decoders | None = None,
    dumping: DumpSettings | None = None,
    leadership: Leadership = ALONE,
    now_s: Callable[[], float] = time.time,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Service:
    """`client` reaches auth as the peer `ingest`; `on_failure` ends the instance."""
    auth = Auth(client, timeout_s=settings.auth_timeout_s)
    reservations = Reservations(docs, settings=settings, now_s=now_s)
    deeds = _deeds(docs, now_s=now_s, on_failure=on_failure)
    desk = Desk(
        issuing=_issuing(auth, deployment=deployment, settings=settings),
        marking=Marking(auth=auth, blobs=blobs, reservations=reservations, deeds=deeds),
        tenants=Tenants(docs),
        decoders=decoders or Decoders(),
        places=Places(settings),
        now_s=now_s,
    )
    feed = Feed(docs, settings=settings, now_s=now_s)
    app = _public(settings, desk=desk, feed=feed, tokens=tokens)
    app.state.manifests = Manifests(docs, auth=auth, feed=feed, deeds=deeds, now_s=now_s)
    erasing = Erasing(docs, blobs, reservations, desk.tenants)
    sweeper = partial(Sweeper, desk.marking, erasing, settings=settings, now_s=now_s)
    app.state.sweeper = sweeper(spared=partial(is_canary, docs), monotonic_s=monotonic_s)
    bus.subscribe(AUTH_TOPIC, group=GROUP, handler=AuthFacts(feed=feed, erasing=erasing).hear)
    leading = partial(led, leadership, partial(_leading, app, settings))
    running = partial(_running, Relay(docs, bus, leadership=leadership), desk.decoders, leading)
    internal = _internal(docs, blobs, deeds, dumping or DumpSettings(), deployment=deployment)
    ready = partial(_ready, desk.decoders, docs)
    return Service("ingest", app, internal, running=running, ready=ready)


def _deeds(
    docs: DocStore, *, now_s: Callable[[], float], on_failure: Callable[[Exception], None]
) -> DeedSeries[RecordingStored]:
    return DeedSeries(docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure)


def _issuing(auth: Auth, *, deployment: str, settings: IngestSettings) -> Issuing:
    keys = SealingKeys(auth.signing_keys, deployment=deployment, ttl_s=settings.signing_keys_ttl_s)
    return Issuing(auth=auth, keys=keys, deployment=deployment, settings=settings)


async def _ready(decoders: Decoders, docs: DocStore) -> bool:
    return decoders.ready and await docs.ready()


def _public(settings: IngestSettings, *, desk: Desk, feed: Feed, tokens: TokenVerifier) -> FastAPI:
    app = new_app(
        "voiceFileServer ingest",
        problems=problem_table(settings),
        tokens=tokens,
        bodies={RECORDINGS_PATH: _upload_limit(settings)},
    )
    # Added last, so it stands outermost: what it drops counts for no limit of the app's own.
    app.add_middleware(
        Lingering,
        discard_bytes_max=settings.refused_discard_bytes_max,
        discard_s=settings.refused_discard_s,
    )
    app.state.desk = desk
    app.state.feed = feed
    serve_routes(app, router)
    tell_refused_doors(app, desk.marking.deeds)
    return app


def _internal(
    docs: DocStore,
    blobs: BlobStore,
    deeds: DeedSeries[RecordingStored],
    dumping: DumpSettings,
    *,
    deployment: str,
) -> FastAPI:
    """For backup alone: what ingest keeps, and canaries for the drill of it."""
    app = new_app("voiceFileServer ingest, internal", problems=DUMP_PROBLEMS, openapi_path=None)
    canaries = Canaries(docs, blobs, dumping, deployment=deployment)
    leaving = (
        Leaving(DUMPS_PATH, "ingest", documents_of(docs, DUMPED), dumping.sealed_to),
        Leaving(CANARIES_PATH, "canaries", always_whole(canaries.all), dumping.drilled_by),
    )
    serve_routes(app, dump_router(leaving, deployment=deployment, record=deeds.record))
    tell_refused_doors(app, deeds)
    return app


@asynccontextmanager
async def _running(relay: Relay, decoders: Decoders, leading: Work) -> AsyncIterator[None]:
    shown(*metrics.SHOWN)
    async with relay.running(), decoders.running(), leading():
        yield


@asynccontextmanager
async def _leading(app: FastAPI, settings: IngestSettings) -> AsyncIterator[None]:
    """In one instance for all: each of them would ask auth about every blob and partner."""
    sweeper: Sweeper = app.state.sweeper
    manifests: Manifests = app.state.manifests
    every_s = settings.sweep_interval_s
    sweeping = keep_doing(sweeper.sweep, every_s=every_s, name="sweep", first_s=every_s)
    signing = manifests.keep_signing(every_s=settings.manifests_interval_s)
    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(each) for each in (sweeping, signing)]
        try:
            yield
        finally:
            for each in loops:
                each.cancel()


def _upload_limit(settings: IngestSettings) -> BodyLimit:
    """What the connection may bring; the parts' own limits are inside of it."""
    return BodyLimit(
        bytes_max=settings.upload_bytes_max + settings.metadata_bytes_max + FRAMING_BYTES,
        whole_s_max=settings.upload_total_s_max,
        idle_s_max=settings.upload_idle_s,
    )
