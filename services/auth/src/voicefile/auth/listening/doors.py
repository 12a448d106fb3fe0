"""The doors: what checking and releasing need beside auth's ports, built once by `app.build`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import (
    CHALLENGES,
    LOGINS,
    RELEASES,
    Challenge,
    Release,
    TelephoneLogin,
)
from voicefile.auth.listening.audit_gate import AuditGate
from voicefile.auth.listening.customer_sessions import Sessions
from voicefile.auth.listening.outstanding import Outstanding
from voicefile.auth.listening.pace import Pace
from voicefile.auth.ports import Ports
from voicefile.auth.stamped import Stamped
from voicefile.auth.throttling.buckets import Buckets
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.auth.throttling.throttles import Throttles
from voicefile.contracts.deed.v1 import Event
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.port import DocStore
from voicefile.identity.ids import PLATFORM
from voicefile.identity.tokens import TokenVerifier


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
    logins: Stamped[TelephoneLogin]
    releases: Stamped[Release]
    gate: AuditGate
    tokens: TokenVerifier
    audit: httpx.AsyncClient
    """Reaches the log with auth's certificate."""

    async def sweep(self) -> int:
        """Removes what lapsed: sessions, challenges, logins, releases, buckets."""
        return (
            await self.sessions.sweep()
            + await self.challenges.sweep()
            + await self.logins.sweep()
            + await self.releases.sweep()
            + await self.buckets.sweep()
        )


def doors_of(
    ports: Ports,
    *,
    pool: PinPool,
    audit: httpx.AsyncClient,
    tokens: TokenVerifier,
    settings: AccessSettings,
    limits: Limits | None = None,
    outstanding: Outstanding | None = None,
    monotonic_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Doors:
    """The doors over auth's ports. `audit`: a client with auth's certificate.

    `outstanding`: where deeds travel on after they have left the store.
    """
    store, custody, now_s = ports.store, ports.custody, ports.now_s

    async def bucket_key() -> SecretKey:
        return (await custody.identity(PLATFORM)).derive(Purpose.THROTTLES)

    buckets = Buckets(store, key=bucket_key, now_s=now_s)
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
        logins=Stamped(
            store, collection=LOGINS, kind=TelephoneLogin, identities=custody, now_s=now_s
        ),
        releases=Stamped(store, collection=RELEASES, kind=Release, identities=custody, now_s=now_s),
        gate=_gate(ports, audit, outstanding, monotonic_s),
        tokens=tokens,
        audit=audit,
    )


def _gate(
    ports: Ports,
    audit: httpx.AsyncClient,
    outstanding: Outstanding | None,
    monotonic_s: Callable[[], float],
) -> AuditGate:
    async def unpublished_for_s() -> float:
        return await _unpublished_for_s(ports.store, ports.now_s())

    return AuditGate(
        audit,
        boot_id=ports.deeds.boot_id,
        last_n=lambda: ports.deeds.n,
        unpublished_for_s=unpublished_for_s,
        outstanding=outstanding,
        now_s=monotonic_s,
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
