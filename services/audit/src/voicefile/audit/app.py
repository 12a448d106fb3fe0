"""Audit: the transparency log. Builds; nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from voicefile.audit import errors, routes
from voicefile.audit.append import Sequencer
from voicefile.audit.appendable import Appendable
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.events import TOPIC, wrap
from voicefile.audit.gaps import GapWatch
from voicefile.audit.reading import Readings
from voicefile.audit.settings import AuditSettings
from voicefile.audit.signing_key import signing_key
from voicefile.audit.store import COLLECTIONS
from voicefile.chassis.problems import NOT_FOUND, Problem
from voicefile.chassis.service import Service, new_app
from voicefile.crypto.rootkey import RootKey
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.identity.tokens import TokenVerifier

__all__ = ["COLLECTIONS", "GROUP", "STEPS", "build"]

GROUP: Final = "audit"
"""The bus group that hears deeds."""
PROBES: Final = frozenset({"/internal/v1/appendable"})
"""Auth asks it four times a second."""
STEPS: Final[Sequence[Step]] = ()
"""The migrations audit's store has gone through; none yet."""
PROBLEMS: Final[Mapping[type[Exception], Problem]] = {errors.NotFound: NOT_FOUND}


def build(
    settings: AuditSettings,
    *,
    deployment: str,
    docs: DocStore,
    bus: EventBus,
    root: RootKey,
    tokens: TokenVerifier,
    on_failure: Callable[[Exception], None],
    now_s: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Service:
    """`root` is audit's own and wraps nothing but the log key; `on_failure` ends the instance."""
    publisher = Publisher(docs, settings=settings, deployment=deployment, now_s=now_s)
    sequencer = Sequencer(
        docs,
        settings=settings,
        on_appended=publisher.appended,
        on_failure=on_failure,
        now_s=now_s,
        monotonic=monotonic,
    )
    gaps = GapWatch(sequencer.boots, gap_after_s=settings.gap_after_s, monotonic=monotonic)
    series: DeedSeries[None] = DeedSeries(
        docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure
    )
    for topic in (*settings.topics, TOPIC):
        bus.subscribe(topic, group=GROUP, handler=sequencer.handle)

    public = new_app("voiceFileServer audit", problems=PROBLEMS, tokens=tokens)
    public.state.docs = docs
    public.state.settings = settings
    public.state.publisher = publisher
    public.state.readings = Readings(docs, series)
    public.include_router(routes.public)
    internal = _internal(Appendable(docs, sequencer, settings=settings, monotonic=monotonic))

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        publisher.use(await signing_key(docs, root, deployment=deployment, now_s=now_s))
        await sequencer.recover()
        async with _at_work(sequencer, publisher, gaps), Relay(docs, bus).running():
            yield

    async def ready() -> bool:
        return sequencer.alive and await docs.ready()

    return Service(name="audit", public=public, internal=internal, running=running, ready=ready)


@asynccontextmanager
async def _at_work(
    sequencer: Sequencer, publisher: Publisher, gaps: GapWatch
) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(publisher.run())
        sequencing = tasks.create_task(sequencer.run())
        watching = tasks.create_task(gaps.run())
        try:
            yield
        finally:
            # Appended first, published then: what was taken in leaves under a checkpoint.
            watching.cancel()
            await sequencer.stop()
            await asyncio.wait({sequencing})
            publisher.stop()
            await asyncio.wait({publishing})


def _internal(appendable: Appendable) -> FastAPI:
    app = new_app("voiceFileServer audit, internal", openapi_path=None, probes=PROBES)
    app.state.appendable = appendable
    app.include_router(routes.internal)
    return app
