"""Audit: the transparency log. Builds; nothing else does.

Of instances over one store, the one that leads appends and publishes, and all of them answer.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from fastapi import APIRouter, FastAPI

from voicefile.audit import errors, metrics, reading_routes, routes
from voicefile.audit.append import Sequencer
from voicefile.audit.appendable import Appendable
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.collect import Collector
from voicefile.audit.events import TOPIC, wrap
from voicefile.audit.indexing import Indexer
from voicefile.audit.lead import Lead, Loop
from voicefile.audit.outside import outside
from voicefile.audit.pulse import Pulse
from voicefile.audit.reading import Readings
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.settings import BACKUP_TOPIC, AuditSettings
from voicefile.audit.signing_key import signing_key
from voicefile.audit.stamp_day import DayStamps
from voicefile.audit.store import (
    BOOTS,
    COLLECTIONS,
    COSIGNED,
    DAY_STAMPS,
    FINDABLE,
    HEADS,
    INDEXED,
    KEYS,
    SEGMENTS,
    STAMPED_HEADS,
    TILES,
    UNREADABLE,
    WATCHED,
)
from voicefile.chassis.metrics import shown
from voicefile.chassis.problems import INVALID_REQUEST, NOT_FOUND, Problem
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.rootkey import RootKey
from voicefile.deeds.doors import tell_refused_doors
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.lease import ALONE, Leadership
from voicefile.docstore.led import led
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.dumps.routes import PROBLEMS as DUMP_PROBLEMS
from voicefile.dumps.routes import store_router
from voicefile.dumps.settings import DumpSettings
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier

__all__ = ["COLLECTIONS", "GROUP", "STEPS", "build"]

GROUP: Final = "audit"
"""The bus group that hears deeds."""
PROBES: Final = frozenset({"/internal/v1/appendable"})
"""Auth asks it four times a second."""
DUMPED: Final = (
    *(DEEDS, DAY_STAMPS, STAMPED_HEADS, COSIGNED, INDEXED, HEADS, BOOTS, WATCHED, FINDABLE),
    *(TILES, SEGMENTS, KEYS, UNREADABLE),
)
"""What a backup has of it: all but who leads just now. What is written last is read first: the log
goes on meanwhile, and nothing may tell of segments that were read before they were there."""
STEPS: Final[Sequence[Step]] = ()
"""The migrations audit's store has gone through; none yet."""
PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.NotFound: NOT_FOUND,
    errors.CursorUnknown: INVALID_REQUEST,
    **DUMP_PROBLEMS,
}


def build(
    settings: AuditSettings,
    *,
    deployment: str,
    docs: DocStore,
    bus: EventBus,
    root: RootKey,
    tokens: TokenVerifier,
    on_failure: Callable[[Exception], None],
    dumping: DumpSettings | None = None,
    leadership: Leadership = ALONE,
    now_s: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Service:
    """`root` is audit's own and wraps nothing but the log key; `on_failure` ends the instance."""
    lead = _lead(
        settings,
        docs,
        deployment,
        pulsing=leadership is not ALONE,
        on_failure=on_failure,
        now_s=now_s,
        monotonic=monotonic,
    )
    series = DeedSeries[None](docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure)
    for topic in _topics(settings, dumping):
        bus.subscribe(topic, group=GROUP, handler=lead.sequencer.handle)
    appendable = Appendable(
        docs, lead, settings=settings, leadership=leadership, now_s=now_s, monotonic=monotonic
    )
    relay = Relay(docs, bus, leadership=leadership)
    dumps = store_router("audit", docs, DUMPED, series.record, deployment=deployment, to=dumping)
    log_key = partial(signing_key, docs, root, deployment=deployment, now_s=now_s)
    return Service(
        name="audit",
        public=_public(settings, docs, lead.publisher, series, tokens),
        internal=_internal(settings, docs, lead.publisher, appendable, dumps),
        running=partial(_running, relay, lead, leadership, log_key),
        ready=partial(_ready, docs, lead.sequencer, leadership),
    )


def _topics(settings: AuditSettings, dumping: DumpSettings | None) -> tuple[str, ...]:
    """What is heard: of backup where there are backups, for else nobody may have made its topic."""
    backups = (BACKUP_TOPIC,) if dumping is not None and dumping.recipients else ()
    return (*settings.topics, *backups, TOPIC)


def _lead(
    settings: AuditSettings,
    docs: DocStore,
    deployment: str,
    *,
    pulsing: bool,
    on_failure: Callable[[Exception], None],
    now_s: Callable[[], float],
    monotonic: Callable[[], float],
) -> Lead:
    ways_out = outside(settings)
    collector = Collector(
        docs, ways_out.witnesses, settings=settings, now_s=now_s, monotonic=monotonic
    )
    publisher = Publisher(
        docs, settings=settings, deployment=deployment, on_signed=collector.signed, now_s=now_s
    )
    releases = ReleaseWatch(docs, settings=settings, now_s=now_s)
    indexer = Indexer(docs, settings=settings, watch=releases)
    sequencer = Sequencer(
        docs,
        settings=settings,
        on_appended=partial(_appended, publisher, indexer),
        on_failure=on_failure,
        now_s=now_s,
        monotonic=monotonic,
    )
    pulse = Pulse(docs, settings=settings, monotonic=monotonic) if pulsing else None
    stamps = DayStamps(
        docs,
        ways_out.stamper,
        publisher.sign,
        settings=settings,
        deployment=deployment,
        now_s=now_s,
    )
    others: tuple[Loop, ...] = (*collector.loops, *stamps.loops, indexer.run, releases.run)
    lead = Lead(sequencer, publisher, settings.gap_after_s, pulse, monotonic)
    return replace(lead, outside=ways_out, others=others)


def _appended(publisher: Publisher, indexer: Indexer, tenant: str) -> None:
    publisher.appended(tenant)
    indexer.appended(tenant)


@asynccontextmanager
async def _running(
    relay: Relay,
    lead: Lead,
    leadership: Leadership,
    log_key: Callable[[], Awaitable[SigningKey]],
) -> AsyncIterator[None]:
    shown(*metrics.SHOWN)
    # In every instance: whoever serves a log says which key signs it.
    lead.publisher.use(await log_key())
    async with lead.outside.open(), led(leadership, lead.term), relay.running():
        yield


async def _ready(docs: DocStore, sequencer: Sequencer, leadership: Leadership) -> bool:
    return (sequencer.alive or not leadership.leading) and await docs.ready()


def _public(
    settings: AuditSettings,
    docs: DocStore,
    publisher: Publisher,
    series: DeedSeries[None],
    tokens: TokenVerifier,
) -> FastAPI:
    app = new_app("voiceFileServer audit", problems=PROBLEMS, tokens=tokens)
    app.state.docs = docs
    app.state.settings = settings
    app.state.publisher = publisher
    app.state.readings = Readings(docs, series)
    serve_routes(app, routes.public, reading_routes.public)
    tell_refused_doors(app, series)
    return app


def _internal(
    settings: AuditSettings,
    docs: DocStore,
    publisher: Publisher,
    appendable: Appendable,
    dumps: APIRouter,
) -> FastAPI:
    app = new_app(
        "voiceFileServer audit, internal", problems=PROBLEMS, openapi_path=None, probes=PROBES
    )
    app.state.docs = docs
    app.state.settings = settings
    app.state.publisher = publisher
    app.state.appendable = appendable
    serve_routes(app, routes.internal, reading_routes.internal, dumps)
    return app
