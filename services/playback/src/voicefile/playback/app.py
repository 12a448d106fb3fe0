"""Playback: opens ranges of a recording for whoever holds a release. Builds; nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import httpx
from fastapi import APIRouter, FastAPI

from voicefile.blobstore.port import BlobStore
from voicefile.chassis.metrics import shown
from voicefile.chassis.problems import NOT_FOUND, NOT_IDENTIFIED, UNAVAILABLE, Problem
from voicefile.chassis.rounds import keep_doing
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.contracts.playback.v1 import ListeningEnded
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.deeds.doors import tell_refused_doors
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.lease import ALONE, LEASES, Leadership, Work
from voicefile.docstore.led import led
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.dumps.routes import PROBLEMS as DUMP_PROBLEMS
from voicefile.dumps.routes import store_router
from voicefile.dumps.settings import DumpSettings
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier
from voicefile.playback import errors, metrics
from voicefile.playback.ask_auth import Auth
from voicefile.playback.byte_range import RangeNotSatisfiable
from voicefile.playback.events import TOPIC, wrap
from voicefile.playback.listenings import Listenings
from voicefile.playback.outcomes import LISTENINGS, Outcomes
from voicefile.playback.play import Playback
from voicefile.playback.routes import router
from voicefile.playback.settings import PlaybackSettings
from voicefile.playback.telephone import call_metrics
from voicefile.playback.telephone.build import Telephone, build_telephone
from voicefile.playback.telephone.calls import CALLS
from voicefile.playback.telephone.posts import NotAPost
from voicefile.playback.telephone.prompts import Prompts

COLLECTIONS = (DEEDS, LISTENINGS, CALLS, LEASES)
"""What playback's store has to declare."""
DUMPED: Final = (DEEDS, LISTENINGS, CALLS)
"""What a backup has of it: how listenings ended that the log has not been told of."""
STEPS: Final[Sequence[Step]] = ()
"""The migrations its store has gone through; none yet."""

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.NotSignedIn: NOT_IDENTIFIED,
    errors.RecordingNotFound: NOT_FOUND,
    errors.ReleaseOver: NOT_IDENTIFIED,
    errors.PurposeMissing: Problem("purpose-missing", 422, "Say for which purpose"),
    errors.ReleaseRefused: Problem(
        "audit-unavailable", 503, "Nobody listens while deeds can't be recorded", retry_after_s=2
    ),
    errors.AuthUnavailable: UNAVAILABLE,
    errors.ProofPending: Problem(
        "proof-pending", 503, "The log has no proof of it yet", retry_after_s=2
    ),
    errors.TooManyListenings: UNAVAILABLE,
    errors.RecordingDamaged: Problem("recording-damaged", 500, "The recording is damaged"),
    **DUMP_PROBLEMS,
    NotAPost: Problem("not-a-post", 400, "Not what an edge sends"),
    RangeNotSatisfiable: Problem("range-not-satisfiable", 416, "Range not satisfiable"),
}


def build(
    settings: PlaybackSettings,
    *,
    deployment: str,
    blobs: BlobStore,
    docs: DocStore,
    bus: EventBus,
    client: httpx.AsyncClient,
    tokens: TokenVerifier,
    on_failure: Callable[[Exception], None],
    prompts: Prompts | None = None,
    dumping: DumpSettings | None = None,
    leadership: Leadership = ALONE,
    now_s: Callable[[], float] = time.time,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Service:
    """`client` reaches auth as the peer `playback`; `on_failure` ends the instance.

    With prompts it answers calls. Raises LinesInvalid. Of instances that share a store, the one
    that leads publishes and sweeps for all.
    """
    series = _deeds(docs, now_s=now_s, on_failure=on_failure)
    # A key pair per start, in memory only: a data key sealed to it dies with the process.
    keys = SealingKeyPair.generate()
    auth = Auth(client, deployment=deployment, keys=keys, timeout_s=settings.auth_timeout_s)
    outcomes = Outcomes(docs, series, now_s=now_s)
    listenings = Listenings(auth=auth, settings=settings, outcomes=outcomes, now=monotonic_s)
    playback = Playback(
        deployment=deployment, auth=auth, blobs=blobs, listenings=listenings, outcomes=outcomes
    )
    telephone = build_telephone(
        settings, prompts, docs=docs, deeds=series, auth=auth, playback=playback, now_s=now_s
    )
    dumps = store_router("playback", docs, DUMPED, series.record, deployment=deployment, to=dumping)
    public, internal = _apps(playback, telephone, dumps, tokens=tokens, deeds=series)
    sweeping = partial(led, leadership, partial(_sweeping, listenings, telephone, settings))
    relay = Relay(docs, bus, leadership=leadership)
    running = partial(_running, relay, listenings, telephone, sweeping)
    return Service("playback", public, internal=internal, running=running, ready=docs.ready)


def _deeds(
    docs: DocStore, *, now_s: Callable[[], float], on_failure: Callable[[Exception], None]
) -> DeedSeries[ListeningEnded]:
    return DeedSeries(docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure)


def _apps(
    playback: Playback,
    telephone: Telephone | None,
    dumps: APIRouter,
    *,
    tokens: TokenVerifier,
    deeds: DeedSeries[ListeningEnded],
) -> tuple[FastAPI, FastAPI]:
    public = _public(playback, tokens=tokens)
    internal = _internal(telephone, tokens=tokens)
    serve_routes(internal, dumps)
    for app in (public, internal):
        tell_refused_doors(app, deeds)
    return public, internal


def _public(playback: Playback, *, tokens: TokenVerifier) -> FastAPI:
    app = new_app("voiceFileServer playback", problems=PROBLEMS, tokens=tokens)
    app.state.playback = playback
    serve_routes(app, router)
    return app


def _internal(telephone: Telephone | None, *, tokens: TokenVerifier) -> FastAPI:
    app = new_app(
        "voiceFileServer playback, internal", problems=PROBLEMS, tokens=tokens, openapi_path=None
    )
    if telephone is not None:
        serve_routes(app, telephone.router)
    return app


@asynccontextmanager
async def _running(
    relay: Relay, listenings: Listenings, telephone: Telephone | None, sweeping: Work
) -> AsyncIterator[None]:
    shown(*metrics.SHOWN)
    if telephone is not None:
        shown(*call_metrics.SHOWN)
        call_metrics.prompts_missing().set(telephone.missing)
    async with relay.running(), sweeping(), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(listenings.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await listenings.end_all()


@asynccontextmanager
async def _sweeping(
    listenings: Listenings, telephone: Telephone | None, settings: PlaybackSettings
) -> AsyncIterator[None]:
    every_s = settings.housekeeping_s
    sweeps = [listenings.sweep_lost, *([] if telephone is None else [telephone.calls.sweep])]
    async with asyncio.TaskGroup() as tasks:
        loops = [
            tasks.create_task(keep_doing(each, every_s=every_s, name="lost", first_s=every_s))
            for each in sweeps
        ]
        try:
            yield
        finally:
            for each in loops:
                each.cancel()
