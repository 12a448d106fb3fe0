"""Reservations: of many uploads under one Idempotency-Key, one works and the others wait for it.

A reservation is a lease. Whoever holds it renews it while bytes flow; when it lapses, another
takes it over with new blob names, so a worker believed dead can never write under the same ones.

A lease has lapsed when the clock says so, or when nobody renewed it for as long while we watched.
Instances' clocks may differ by two renewals (`lease_s` - `lease_renew_s`) without any effect. Where
they differ by more, one that is ahead takes work away from one that lives, which costs that upload
a retry, and one that died keeps nobody waiting for longer than a lease.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from voicefile.blobstore.names import new_blob_name
from voicefile.crypto.secret import SecretText
from voicefile.docstore.port import (
    DocStore,
    DocumentExists,
    PendingEvent,
    StoreUnavailable,
    VersionConflict,
)
from voicefile.docstore.tenant import TenantCollection
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal
from voicefile.ingest.errors import IdempotencyKeyUnfit, UploadInProgress, UploadOvertaken
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import RESERVATIONS, Reservation, Role
from voicefile.ingest.together import together

KEY_CHARS_MIN: Final = 22
"""128 random bits as base64url."""
KEY_CHARS_MAX: Final = 128
KEY_SIGNS_MIN: Final = 10
"""Different signs in a key: 22 random ones have fewer once in 10^8, an order number always."""
KEY_HEX_SIGNS_MIN: Final = 7
"""The same for 32 hexadecimal digits and more, of which there are but sixteen."""
EARLIER_NAMES_MAX: Final = 24
RENEW_AGAIN_S: Final = 1.0
"""Pause before a renewal is tried again that the store could not take."""

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]{32,}", re.ASCII)
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-(?P<version>[0-9a-f])[0-9a-f]{3}-(?P<variant>[0-9a-f])[0-9a-f]{3}"
    r"-[0-9a-f]{12}",
    re.ASCII | re.IGNORECASE,
)


def idempotency_key(header: str | None) -> SecretText:
    """The key as sent. Raises IdempotencyKeyUnfit for one that somebody could guess.

    It opens the kept answer, PIN included, so it is as secret as the PIN.
    """
    key = (header or "").strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    looks_like_uuid = _UUID.fullmatch(key)
    if looks_like_uuid:
        fit = looks_like_uuid["version"] == "4" and looks_like_uuid["variant"].lower() in "89ab"
    else:
        fit = (
            KEY_CHARS_MIN <= len(key) <= KEY_CHARS_MAX
            and _BASE64URL.fullmatch(key) is not None
            and len(set(key)) >= (KEY_HEX_SIGNS_MIN if _HEX.fullmatch(key) else KEY_SIGNS_MIN)
        )
    if not fit:
        raise IdempotencyKeyUnfit
    return SecretText(key)


def reservation_id(client: str, key: SecretText) -> str:
    """Client and key in one; the key itself is stored nowhere."""
    return hashlib.sha256(client.encode() + key.expose().encode()).hexdigest()


@dataclass(frozen=True)
class Claim:
    """How a wait ended: the recording is issued, or this upload has the work in hand."""

    reservation: Reservation
    issued: bool


class _Watch:
    """Since when a lease has stood as it is, by this process's own clock."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._version = 0
        self._since_s = 0.0

    def unrenewed_s(self, found: Reservation) -> float:
        """How long it has not changed while we looked."""
        if found.version != self._version:
            self._version, self._since_s = found.version, self._monotonic_s()
        return self._monotonic_s() - self._since_s


class Reservations:
    """All tenants' reservations, each reached through its tenant."""

    def __init__(
        self,
        store: DocStore,
        *,
        settings: IngestSettings,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._in_hand: dict[str, asyncio.Event] = {}

    async def claim(
        self,
        key: SecretText,
        *,
        by: Principal,
        issued: Callable[[Reservation], Awaitable[bool]],
    ) -> Claim:
        """Waits for its turn. `issued` asks auth. Raises UploadInProgress after a while."""
        reservation = reservation_id(by.id, key)
        deadline_s = self._monotonic_s() + self._settings.duplicate_wait_s
        pause_s = self._settings.duplicate_poll_s
        watch = _Watch(self._monotonic_s)
        while True:
            claim = await self._try(reservation, by=by, issued=issued, watch=watch)
            if claim is not None:
                return claim
            if self._monotonic_s() >= deadline_s:
                raise UploadInProgress
            await self._wait(reservation, pause_s)
            pause_s = min(pause_s * 2, self._settings.duplicate_poll_s_max)

    async def _try(
        self,
        reservation: str,
        *,
        by: Principal,
        issued: Callable[[Reservation], Awaitable[bool]],
        watch: _Watch,
    ) -> Claim | None:
        found = await self.find(reservation, tenant=by.tenant)
        try:
            if found is None:
                return Claim(await self._begin(reservation, by=by), issued=False)
            if found.marked:
                return Claim(found, issued=True)
            if self._lives(found, watch):
                return None
            # Ask before working: the one before us may have got as far as auth.
            if await issued(found):
                return Claim(found, issued=True)
            return Claim(await self._take_over(found), issued=False)
        except (DocumentExists, VersionConflict):
            return None

    def _lives(self, found: Reservation, watch: _Watch) -> bool:
        unrenewed_s = watch.unrenewed_s(found)
        return found.lease_until_ms > self._now_ms() and unrenewed_s < self._settings.lease_s

    async def find(self, reservation: str, *, tenant: str) -> Reservation | None:
        """The reservation as it stands now."""
        document = await self._of(tenant).get(reservation)
        return Reservation.of(document) if document else None

    async def renew(self, held: Reservation) -> Reservation:
        """A new lease for the one who holds it. Raises UploadOvertaken."""
        # Due is put off with it: after a jump of the clock the living must not look a day old.
        alive = replace(held, lease_until_ms=self._lease_ms(), due_at_s=self._due_s())
        try:
            return await self._replace(alive)
        except VersionConflict:
            raise UploadOvertaken from None

    async def mark(
        self, held: Reservation, event: PendingEvent, *, issued: tuple[str, ...]
    ) -> None:
        """Issued with these blobs: it lives as long as its recording. Raises VersionConflict."""
        done = replace(held, marked=True, lease_until_ms=0, due_at_s=None, issued=issued)
        document = replace(done.document, pending=(event,))
        await self._of(held.tenant).replace(document)

    async def let_go(self, held: Reservation) -> None:
        """Ends the lease and keeps the rest: what auth knows of it is still to be asked."""
        mine = await self._still(held)
        if mine is not None:
            with suppress(VersionConflict):
                await self._replace(replace(mine, lease_until_ms=0))

    async def free(self, held: Reservation) -> None:
        """Removes it: the key may be used again, as if it had never come."""
        mine = await self._still(held)
        if mine is not None:
            with suppress(VersionConflict):
                await self._of(held.tenant).delete(mine.document)

    async def of_recording(self, recording: str, *, tenant: str) -> list[Reservation]:
        """The one under which it was taken in; none, if that is over."""
        documents = await self._of(tenant).find("recording", recording)
        return [Reservation.of(document) for document in documents]

    async def forget(self, recording: str, *, tenant: str) -> None:
        """The recording was erased, so its reservation ends as well."""
        for document in await self._of(tenant).find("recording", recording):
            await self._of(tenant).delete(document)

    async def due(self, until_s: float, *, limit: int) -> list[Reservation]:
        """Unmarked ones, of every tenant, that are so old that nobody works on them."""
        documents = await self._store.due(RESERVATIONS, "due", int(until_s), limit=limit)
        return [Reservation.of(document) for document in documents]

    async def naming(self, blob: str) -> Reservation | None:
        """The one that keeps this blob from the sweeper, of whatever tenant."""
        documents = await self._store.find(RESERVATIONS, "named", blob, limit=1)
        return Reservation.of(documents[0]) if documents else None

    def in_hand(self, reservation: Reservation) -> bool:
        """Whether this process works on it, whatever the clock says of its lease."""
        return reservation.id in self._in_hand

    async def _begin(self, reservation: str, *, by: Principal) -> Reservation:
        fresh = Reservation(
            id=reservation,
            tenant=by.tenant,
            client=by.id,
            recording=new_id(),
            attempt=1,
            blobs={role: new_blob_name() for role in Role},
            earlier=(),
            lease_until_ms=self._lease_ms(),
            marked=False,
            due_at_s=self._due_s(),
        )
        stored = await self._of(by.tenant).insert(fresh.document)
        self._in_hand[reservation] = asyncio.Event()
        return replace(fresh, version=stored.version)

    async def _take_over(self, lapsed: Reservation) -> Reservation:
        taken = await self._replace(
            replace(
                lapsed,
                attempt=lapsed.attempt + 1,
                blobs={role: new_blob_name() for role in Role},
                earlier=tuple(lapsed.names[:EARLIER_NAMES_MAX]),
                lease_until_ms=self._lease_ms(),
                due_at_s=self._due_s(),
            )
        )
        self._in_hand[lapsed.id] = asyncio.Event()
        return taken

    async def _still(self, held: Reservation) -> Reservation | None:
        """It as it stands now; None if it was taken over, marked or freed meanwhile."""
        # Not just as we hold it: a renewal may have been cut off after its write.
        found = await self.find(held.id, tenant=held.tenant)
        ours = found is not None and found.attempt == held.attempt and not found.marked
        return found if ours else None

    async def _replace(self, changed: Reservation) -> Reservation:
        stored = await self._of(changed.tenant).replace(changed.document)
        return replace(changed, version=stored.version)

    async def _wait(self, reservation: str, pause_s: float) -> None:
        here = self._in_hand.get(reservation)
        if here is None:
            # Another instance works on it; its store is all we share.
            await asyncio.sleep(pause_s)
            return
        # Not longer than a lease: who holds it here may be stuck, and then its lease lapses.
        try:
            async with asyncio.timeout(self._settings.lease_s):
                await here.wait()
        except TimeoutError:
            return

    def pass_on(self, reservation: str) -> None:
        """Wakes those who wait for it in this process, to look what has become of it."""
        waited_for = self._in_hand.pop(reservation, None)
        if waited_for is not None:
            waited_for.set()

    def _of(self, tenant: str) -> TenantCollection:
        return TenantCollection(self._store, RESERVATIONS, tenant)

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    def _due_s(self) -> int:
        return int(self._now_s() + self._settings.sweep_after_s)

    def _lease_ms(self) -> int:
        return int((self._now_s() + self._settings.lease_s) * 1000)


class Hold:
    """A reservation in hand, kept alive by the bytes that flow."""

    def __init__(
        self,
        reservation: Reservation,
        *,
        reservations: Reservations,
        settings: IngestSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.reservation = reservation
        self._reservations = reservations
        self._settings = settings
        self._now_s = now_s
        self._one_at_a_time = asyncio.Lock()
        self._tried_in_vain_s = float("-inf")

    async def beat(self) -> None:
        """Something moved: renews the lease if it has aged. Raises UploadOvertaken.

        While the store is away what moves goes on, for as long as the lease lives.
        """
        if not self._wants_renewal():
            return
        async with self._one_at_a_time:
            if self._wants_renewal():
                await self._renew()

    async def _renew(self) -> None:
        try:
            self.reservation = await self._reservations.renew(self.reservation)
        except StoreUnavailable:
            if self._left_s() <= 0:
                raise
            self._tried_in_vain_s = self._now_s()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews by itself for as long as it lasts: our own work needs no bytes to be alive."""
        done = asyncio.Event()
        async with together() as group:
            group.create_task(self._keep(done))
            yield
            # Told, not cancelled: a renewal cut off in its write would be one we don't know of.
            done.set()

    async def _keep(self, done: asyncio.Event) -> None:
        while not done.is_set():
            await self.beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.lease_renew_s):
                    await done.wait()

    def _wants_renewal(self) -> bool:
        aged = self._left_s() <= self._settings.lease_s - self._settings.lease_renew_s
        # Not with every piece of bytes while the store is away; a clock may also go back.
        return aged and abs(self._now_s() - self._tried_in_vain_s) >= RENEW_AGAIN_S

    def _left_s(self) -> float:
        return self.reservation.lease_until_ms / 1000 - self._now_s()
