"""The doors: what checking and releasing need beside auth's ports, built once by `app.build`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import structlog

from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import CHALLENGES, RELEASES, Challenge, Release
from voicefile.auth.listening.audit_gate import AuditGate
from voicefile.auth.listening.customer_sessions import Sessions
from voicefile.auth.listening.pace import Pace
from voicefile.auth.ports import Ports
from voicefile.auth.stamped import Stamped
from voicefile.auth.throttling.buckets import Buckets
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.auth.throttling.throttles import Throttles
from voicefile.chassis.metrics import loop_failures
from voicefile.contracts.deed.v1 import Event
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.port import DocStore
from voicefile.identity.ids import PLATFORM
from voicefile.identity.tokens import TokenVerifier

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Doors:
    """Everything the verbs of this half reach the outside through."""

    ports: Ports
    settings: AccessSettings
    buckets: Buckets
    throttles: Throttles
    pool: PinPool
    pace: Pace
    sessions: Sessions
    challenges: Stamped[Challenge]
    releases: Stamped[Release]
    gate: AuditGate
    tokens: TokenVerifier

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Asks audit and sweeps while entered."""
        async with self.gate.running(), asyncio.TaskGroup() as group:
            sweeping = group.create_task(self._keep_sweeping())
            try:
                yield
            finally:
                sweeping.cancel()

    async def sweep(self) -> int:
        """Removes what lapsed: sessions, challenges, releases, buckets."""
        return (
            await self.sessions.sweep()
            + await self.challenges.sweep()
            + await self.releases.sweep()
            + await self.buckets.sweep()
        )

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                # What lapsed is refused whether it is swept or not; the next round tries again.
                log.exception("housekeeping_failed", loop="access")
                loop_failures().labels(loop="access").inc()
            await asyncio.sleep(self.settings.access_sweep_every_s)


def doors_of(
    ports: Ports,
    *,
    pool: PinPool,
    audit: httpx.AsyncClient,
    tokens: TokenVerifier,
    settings: AccessSettings,
    limits: Limits | None = None,
    monotonic_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Doors:
    """The doors over auth's ports. `audit`: a client with auth's certificate."""
    store, custody, now_s = ports.store, ports.custody, ports.now_s

    async def bucket_key() -> SecretKey:
        return (await custody.identity(PLATFORM)).derive(Purpose.THROTTLES)

    async def unpublished_for_s() -> float:
        return await _unpublished_for_s(store, now_s())

    buckets = Buckets(store, key=bucket_key, now_s=now_s)
    deeds = ports.deeds
    return Doors(
        ports=ports,
        settings=settings,
        buckets=buckets,
        throttles=Throttles(buckets, limits=limits),
        pool=pool,
        pace=Pace(settings, now_s=monotonic_s, sleep=sleep),
        sessions=Sessions(store, identities=custody, settings=settings, now_s=now_s),
        challenges=Stamped(
            store, collection=CHALLENGES, kind=Challenge, identities=custody, now_s=now_s
        ),
        releases=Stamped(store, collection=RELEASES, kind=Release, identities=custody, now_s=now_s),
        gate=AuditGate(
            audit,
            boot_id=deeds.boot_id,
            last_n=lambda: deeds.n,
            unpublished_for_s=unpublished_for_s,
            now_s=monotonic_s,
        ),
        tokens=tokens,
    )


async def _unpublished_for_s(store: DocStore, now_s: float) -> float:
    """How long the deed that waits longest in the store has waited."""
    written_ms = [
        Event.FromString(event.payload).deed.at_ms
        for _, document in await store.pending(limit=1)
        for event in document.pending
    ]
    # A fact beside a deed has no time of its own.
    oldest_ms = min((at_ms for at_ms in written_ms if at_ms), default=None)
    return 0.0 if oldest_ms is None else max(0.0, now_s - oldest_ms / 1000)
