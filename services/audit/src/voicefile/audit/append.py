"""Append: the one place where deeds get their numbers in a log.

A deed is *sequenced* when a segment that holds it is durable. The segment's id is its log and
first index, so of two sequencers exactly one gets a place, and the other reads again. From the
segments follow the tiles (*integrated*) and the checkpoint (*published*): `checkpoint.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from voicefile.audit.boots import Boots
from voicefile.audit.errors import AppendFailed, AppendStopped, LogMoved, Unreadable
from voicefile.audit.events import Received, received
from voicefile.audit.metrics import deeds_appended, events_unreadable, sequencing_seconds
from voicefile.audit.segments import document_of, newest_frontier, segment_of, segments_from
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import (
    HEADS,
    SEGMENTS,
    UNREADABLE,
    Head,
    Segment,
    body_of,
    mark_of,
    record_of,
)
from voicefile.audit.store import Unreadable as UnreadableRecord
from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import (
    DocStore,
    DocStoreError,
    Document,
    DocumentExists,
    StoreBroken,
)
from voicefile.eventbus.port import Event, NotNow
from voicefile.translog.merkle import EMPTY_ROOT, Frontier
from voicefile.translog.origin import log_of

log = structlog.get_logger(__name__)

PAGE_DOCUMENTS = 500
PAGE_SEGMENTS = 64
PAGE_MARKED = 16
LOGS_AT_ONCE = 64
"""Logs read side by side when another leader takes over: thousands of them must not take long."""


@dataclass(frozen=True)
class _Parcel:
    """What one call of the bus brought, and who waits for it to be durable."""

    deeds: Sequence[Received]
    durable: "asyncio.Future[None]"


class Sequencer:
    """Appends to every log of the deployment; of all instances', one runs at a time.

    `handle` is the bus's handler and returns when its deeds are durable; `run` does the work,
    after `begin`, until `stop`, and again when this instance leads again.
    """

    def __init__(
        self,
        docs: DocStore,
        *,
        settings: AuditSettings,
        on_appended: Callable[[str], None],
        on_failure: Callable[[Exception], None],
        now_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.boots = Boots(docs)
        self._docs = docs
        self._settings = settings
        self._on_appended = on_appended
        self._on_failure = on_failure
        self._now_s = now_s
        self._monotonic = monotonic
        self._frontiers: dict[str, Frontier] = {}
        self._behind = True
        self._parcels: asyncio.Queue[_Parcel | None] = asyncio.Queue(settings.queue_batches_max)
        self._running = False
        self._stopped = False
        self._writing_since_s: float | None = None
        self.durable_at_s: float | None = None
        """When, on the monotonic clock, the last durable write began that has succeeded."""

    @property
    def alive(self) -> bool:
        """Whether deeds would be appended now."""
        since_s = self._writing_since_s
        stuck = since_s is not None and self._monotonic() - since_s > self._settings.stuck_after_s
        return self._running and not stuck

    def begin(self) -> None:
        """Before `run`. Nothing is believed of what was known before: another may have led."""
        self._stopped = False
        self._behind = True

    async def handle(self, events: Sequence[Event]) -> None:
        """Returns when every deed among the events is durable in its log.

        Raises NotNow, or what the store raises: then all of them are to come again.
        """
        deeds: list[Received] = []
        for event in events:
            try:
                deed = received(event)
            except Unreadable:
                await self._put_aside(event)
                continue
            if deed is not None:
                deeds.append(deed)
        if deeds:
            await self._made_durable(deeds)

    async def _made_durable(self, deeds: Sequence[Received]) -> None:
        if self._stopped:
            raise AppendStopped
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._settings.handle_s_max):
                await self._parcels.put(_Parcel(deeds, durable))
                await durable
        except TimeoutError as error:
            raise AppendFailed from error

    async def run(self) -> None:
        """Takes up what has queued, writes it, tells who waits; until `stop`."""
        self._running = True
        try:
            while parcels := await self._take():
                await self._write(parcels)
        finally:
            self._running = False
            self._stopped = True
            self._refuse_waiting()

    async def stop(self) -> None:
        """Ends `run` after what has queued up to now."""
        if self._running:
            await self._parcels.put(None)

    async def _take(self) -> list[_Parcel]:
        parcels: list[_Parcel] = []
        deeds = 0
        while (parcel := await self._parcels.get()) is not None:
            # Nobody waits for a parcel whose time has run out: the bus has brought its deeds again,
            # and a log that is behind would fall further behind with each of them.
            if not parcel.durable.done():
                parcels.append(parcel)
                deeds += len(parcel.deeds)
            if parcels and (self._parcels.empty() or deeds >= self._settings.batch_deeds_max):
                return parcels
        if parcels:
            self._parcels.put_nowait(None)  # stop with the next round
        return parcels

    async def _write(self, parcels: Sequence[_Parcel]) -> None:
        self._writing_since_s = self._monotonic()
        error: Exception | None = AppendStopped()  # if this is cut off in the middle
        try:
            await self.append([deed for parcel in parcels for deed in parcel.deeds])
            error = None
        except Exception as failure:  # noqa: BLE001 - the loop's edge: see below
            # Nobody was told that anything is durable: the bus brings the deeds again, and
            # before the next write all that is in memory is read again from the store.
            log.warning("append_failed", **where_it_broke(failure))
            error = _outage(failure)
            if isinstance(failure, StoreBroken):
                self._on_failure(failure)
        finally:
            self._writing_since_s = None
            for parcel in parcels:
                _answer(parcel, error)

    def _refuse_waiting(self) -> None:
        while not self._parcels.empty():
            parcel = self._parcels.get_nowait()
            if parcel is not None and not parcel.durable.done():
                parcel.durable.set_exception(AppendStopped())

    async def append(self, deeds: Sequence[Received]) -> None:
        """One durable write of those deeds that are not in their logs yet."""
        if self._behind:
            await self.recover()
        waiting: dict[str, list[Received]] = {}
        for deed in await self._fresh(deeds):
            waiting.setdefault(deed.tenant, []).append(deed)
        size = self._settings.segment_deeds_max
        while waiting:
            # One segment of a log at a time: no store could keep the second without the first.
            await self._append_one_each({tenant: deeds[:size] for tenant, deeds in waiting.items()})
            waiting = {tenant: deeds[size:] for tenant, deeds in waiting.items() if deeds[size:]}

    async def _append_one_each(self, deeds: Mapping[str, Sequence[Received]]) -> None:
        """One durable write: a segment for each of these logs."""
        begun_s, at_ms = self._monotonic(), int(self._now_s() * 1000)
        segments = {
            tenant: segment_of(theirs, after=await self._frontier(tenant), at_ms=at_ms)
            for tenant, theirs in deeds.items()
        }
        # From here until the write has succeeded, what is in memory may be behind the store.
        self._behind = True
        try:
            await self._docs.insert_many(
                SEGMENTS, [document_of(tenant, segment) for tenant, segment in segments.items()]
            )
        except DocumentExists as taken:
            raise LogMoved from taken
        for tenant, segment in segments.items():
            self._frontiers[tenant] = segment.frontier
            await self.boots.note(segment)
            self._on_appended(tenant)
            deeds_appended().inc(len(segment.entries))
            oldest_ms = min(deed.at_ms for deed in deeds[tenant])
            sequencing_seconds().observe(max(0.0, (at_ms - oldest_ms) / 1000))
        self._behind = False
        self.durable_at_s = begun_s

    async def recover(self) -> None:
        """Reads from the store what is sequenced: heads, then boots, then segments beyond.

        In this order, because they are stored in the opposite one: whatever boots may lack is
        in segments beyond the heads that were read before.
        """
        self._frontiers.clear()
        published = [head async for head in self._heads()]
        await self.boots.load(seen_since_s=int(self._now_s()) - self._settings.boots_kept_s)
        for at in range(0, len(published), LOGS_AT_ONCE):
            try:
                async with asyncio.TaskGroup() as logs:
                    for tenant, size in published[at : at + LOGS_AT_ONCE]:
                        logs.create_task(self._recover_log(tenant, size))
            except ExceptionGroup as failed:
                # The store is away or broken, and for one log that means as much as for all.
                raise failed.exceptions[0] from failed
        self._behind = False

    async def _heads(self) -> AsyncIterator[tuple[str, int]]:
        after = ""
        while page := await self._docs.scan(HEADS, after=after, limit=PAGE_DOCUMENTS):
            for document in page:
                yield document.tenant, record_of(document, Head).size
            after = page[-1].id

    async def _recover_log(self, tenant: str, published: int) -> None:
        frontier = await newest_frontier(self._docs, tenant)
        at = published
        while at < frontier.size:
            segments = await segments_from(self._docs, tenant, at, limit=PAGE_SEGMENTS)
            for segment in segments:
                await self.boots.note(segment)
            at = segments[-1].stop
        self._frontiers[tenant] = frontier
        if published < frontier.size:
            self._on_appended(tenant)

    async def _fresh(self, deeds: Sequence[Received]) -> list[Received]:
        """Those not sequenced yet, each once.

        A number that is new to its instance proves a deed new. Where it is not, or there is
        none, the event ids in the segments of its mark decide.
        """
        fresh: dict[str, Received] = {}
        taken: set[tuple[str, int]] = set()
        looked_up: dict[str, set[str]] = {}
        for deed in deeds:
            if deed.event_id in fresh:
                continue
            place = (deed.boot, deed.n)
            if deed.n and place not in taken and deed.n not in await self.boots.of(deed.boot):
                taken.add(place)
            elif await self._is_sequenced(deed, looked_up):
                continue
            elif deed.n:
                log.error("deed_number_used_twice", boot=deed.boot, n=deed.n)
            fresh[deed.event_id] = deed
        return list(fresh.values())

    async def _is_sequenced(self, deed: Received, looked_up: dict[str, set[str]]) -> bool:
        mark = mark_of(deed.event_id, deed.boot, deed.n)
        place = f"{deed.tenant} {mark}"
        if place not in looked_up:
            # What was delivered with it then is delivered with it again: look once.
            looked_up[place] = await self._marked(deed.tenant, mark)
        return deed.event_id in looked_up[place]

    async def _marked(self, tenant: str, mark: str) -> set[str]:
        """The events in all segments with this mark."""
        found: set[str] = set()
        after = ""
        while page := await self._docs.find(
            SEGMENTS, "mark", mark, tenant=tenant, after=after, limit=PAGE_MARKED
        ):
            for document in page:
                found.update(record_of(document, Segment).event_ids)
            after = page[-1].id
        return found

    async def _frontier(self, tenant: str) -> Frontier:
        frontier = self._frontiers.get(tenant)
        if frontier is not None:
            return frontier
        # The head first: a log is found again at start by its head alone.
        empty = Head(size=0, root=EMPTY_ROOT, checkpoint="", signed_at_ms=0)
        try:
            await self._docs.insert(HEADS, Document(log_of(tenant), tenant, body_of(empty)))
        except DocumentExists as taken:
            # Another sequencer has this log, and in it perhaps the very deeds in hand.
            self._behind = True
            raise LogMoved from taken
        frontier = self._frontiers[tenant] = Frontier()
        return frontier

    async def _put_aside(self, event: Event) -> None:
        record = UnreadableRecord(event.topic, event.payload, int(self._now_s() * 1000))
        try:
            await self._docs.insert(UNREADABLE, Document(event.id, "", body_of(record)))
        except DocumentExists:
            return  # it came again
        events_unreadable().inc()
        log.error("event_unreadable", event_id=event.id, topic=event.topic)


def _outage(failure: Exception) -> Exception:
    """What the bus is told: whatever hinders the log, no deed is to blame."""
    if isinstance(failure, NotNow | DocStoreError):
        return failure
    outage = AppendFailed()
    outage.__cause__ = failure
    return outage


def _answer(parcel: _Parcel, error: Exception | None) -> None:
    if parcel.durable.done():
        return  # its caller was cancelled
    if error is None:
        parcel.durable.set_result(None)
    else:
        parcel.durable.set_exception(error)
