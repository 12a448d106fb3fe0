"""Ingest: takes voice files in and seals them while they arrive. Builds; nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx

from voicefile.blobstore.port import BlobStore
from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.service import Service, new_app
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier
from voicefile.ingest.ask_auth import Auth
from voicefile.ingest.changes import AuthFacts, Feed
from voicefile.ingest.decoder import Decoders
from voicefile.ingest.events import AUTH_TOPIC, GROUP, TOPIC, RecordingStored, wrap
from voicefile.ingest.issue import Issuing
from voicefile.ingest.linger import Lingering
from voicefile.ingest.mark import Marking
from voicefile.ingest.problem_table import problem_table
from voicefile.ingest.receive import Desk, Places
from voicefile.ingest.reservations import Reservations
from voicefile.ingest.routes import RECORDINGS_PATH, router
from voicefile.ingest.settings import KIB, IngestSettings
from voicefile.ingest.store import FEED, RESERVATIONS, TENANTS
from voicefile.ingest.sweep import Sweeper
from voicefile.ingest.tenants import SealingKeys, Tenants

COLLECTIONS: Final = (DEEDS, RESERVATIONS, TENANTS, FEED)
"""What ingest's store has to declare."""
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
    now_s: Callable[[], float] = time.time,
) -> Service:
    """`client` reaches auth as the peer `ingest`; `on_failure` ends the instance."""
    auth = Auth(client, timeout_s=settings.auth_timeout_s)
    reservations = Reservations(docs, settings=settings, now_s=now_s)
    tenants = Tenants(docs)
    feed = Feed(docs, settings=settings, now_s=now_s)
    deeds: DeedSeries[RecordingStored] = DeedSeries(
        docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure
    )
    marking = Marking(auth=auth, blobs=blobs, reservations=reservations, deeds=deeds)
    decoders = decoders or Decoders()
    sweeper = Sweeper(marking, settings=settings, now_s=now_s)
    relay = Relay(docs, bus)
    facts = AuthFacts(tenants=tenants, feed=feed, reservations=reservations)
    bus.subscribe(AUTH_TOPIC, group=GROUP, handler=facts.hear)

    app = new_app(
        "voiceFileServer ingest",
        problems=problem_table(settings),
        tokens=tokens,
        bodies={RECORDINGS_PATH: upload_limit(settings)},
    )
    app.add_middleware(
        Lingering,
        discard_bytes_max=settings.refused_discard_bytes_max,
        discard_s=settings.refused_discard_s,
    )
    keys = SealingKeys(auth.signing_keys, deployment=deployment, ttl_s=settings.signing_keys_ttl_s)
    app.state.feed = feed
    app.state.sweeper = sweeper
    app.state.desk = Desk(
        issuing=Issuing(auth=auth, keys=keys, deployment=deployment, settings=settings),
        marking=marking,
        tenants=tenants,
        decoders=decoders,
        places=Places(settings.uploads_max),
        now_s=now_s,
    )
    app.include_router(router)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with relay.running(), decoders.running(), asyncio.TaskGroup() as tasks:
            sweeping = tasks.create_task(sweeper.keep_sweeping())
            try:
                yield
            finally:
                sweeping.cancel()

    async def ready() -> bool:
        return decoders.ready and await docs.ready()

    return Service(name="ingest", public=app, running=running, ready=ready)


def upload_limit(settings: IngestSettings) -> BodyLimit:
    """What the connection may bring; the parts' own limits are inside of it."""
    return BodyLimit(
        bytes_max=settings.upload_bytes_max + settings.metadata_bytes_max + FRAMING_BYTES,
        whole_s_max=settings.upload_total_s_max,
        idle_s_max=settings.upload_idle_s,
    )
