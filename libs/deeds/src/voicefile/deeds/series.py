"""The series of an instance's deeds: one gapless count per start, durable before the answer.

Audit sees from {boot id, n} whether a deed is missing. So a number, once given, is always stored:
with its deed, or, where that write surely came to nothing, with a deed that says so (`void`). A
store that is out of reach is waited for, with the number in hand, and no further number is given
meanwhile; longer than that, or where it refuses, the instance ends.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.metrics import deeds_waiting
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    PendingEvent,
    StoreBroken,
    StoreUnavailable,
)
from voicefile.identity.ids import PLATFORM, new_id

Fact = TypeVar("Fact")
T = TypeVar("T")

Wrap = Callable[[str, DeedMessage, Fact | None], bytes]
"""(event id, numbered deed, fact) -> payload: a service's own event, serialised by its events.py.
Field 1 of every event is the event id, field 2 the deed."""

DEEDS = Collection("deeds", ephemeral=True)
"""Standalone deeds, until they are published. To be declared by every service that records any."""


UNAVAILABLE_S_MAX = 30.0
"""How long a number waits for a store that is out of reach before the instance ends. A document
store that lost its primary has another one within some twelve seconds: that must not end every
instance at once."""
RETRY_FIRST_S = 0.1
RETRY_S_MAX = 2.0
"""The pause before the store is tried again doubles up to this."""


class SeriesBroken(Exception):
    """A deed could not be stored, so nothing may be done any more: the instance has to end."""


@dataclass(frozen=True)
class _Numbered:
    """A deed's number and the event that carries it."""

    n: int
    event: PendingEvent


def _stop_nothing(error: Exception) -> None:
    """For tests and tools; a service brings a function that ends the instance."""


def _no_key(_fact: object) -> str:
    return ""


class DeedSeries(Generic[Fact]):
    """Numbers and records the deeds of one instance. One per service and process.

    `write` for a change, whose deed travels in the changed document; `record` for what changes
    no document. Both return after the deed is durable, and let go of a cancelled caller only
    when the fate of the number is known.
    """

    def __init__(
        self,
        store: DocStore,
        *,
        topic: str,
        wrap: Wrap[Fact],
        key_of: Callable[[Fact], str] = _no_key,
        now_s: Callable[[], float] = time.time,
        on_failure: Callable[[Exception], None] = _stop_nothing,
        unavailable_s_max: float = UNAVAILABLE_S_MAX,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.boot_id = new_id()
        self._store = store
        self._topic = topic
        self._wrap = wrap
        self._key_of = key_of
        self._now_s = now_s
        self._on_failure = on_failure
        self._unavailable_s_max = unavailable_s_max
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._n = 0
        self._under_way: dict[int, None] = {}
        """Numbers whose deeds are not stored yet, in their order."""
        self._waiting = 0
        self._broken = False

    @property
    def n(self) -> int:
        """The last number given."""
        return self._n

    @property
    def stored_through(self) -> int:
        """All numbers up to this one are stored, whatever becomes of this instance."""
        return next(iter(self._under_way), self._n + 1) - 1

    def pending(self, deed: Deed, fact: Fact | None = None) -> PendingEvent:
        """Numbers a deed. Whoever calls this stores the event, come what may; `write` does.

        Of a number given like this nobody hears when it is stored: `stored_through` stays below.
        """
        return self._numbered(deed, fact).event

    async def write(
        self,
        deed: Deed,
        write: Callable[[PendingEvent], Awaitable[T]],
        fact: Fact | None = None,
    ) -> T:
        """Does one write to the store, whose document carries the deed.

        `write` does nothing after that write: whatever it raises but StoreBroken has to mean that
        nothing was stored. Then its number is filled by a void deed, and the error goes on.
        """
        return await self.write_many([(deed, fact)], lambda events: write(events[0]))

    async def write_many(
        self,
        deeds: Sequence[tuple[Deed, Fact | None]],
        write: Callable[[tuple[PendingEvent, ...]], Awaitable[T]],
    ) -> T:
        """Like `write`, for one document that carries several deeds."""
        numbered = [self._numbered(deed, fact) for deed, fact in deeds]
        return await _undisturbed(self._write(numbered, write))

    async def record(self, deed: Deed, fact: Fact | None = None) -> None:
        """Stores a deed that changes no document: a read, a refusal."""
        await _undisturbed(self._store_alone([self._numbered(deed, fact)]))

    async def _write(
        self,
        numbered: Sequence[_Numbered],
        write: Callable[[tuple[PendingEvent, ...]], Awaitable[T]],
    ) -> T:
        try:
            written = await write(tuple(each.event for each in numbered))
        except StoreBroken as error:
            self._fail(error)
            raise
        except Exception:
            await self._store_alone([self._void(each.n) for each in numbered])
            raise
        self._stored(numbered)
        return written

    async def _store_alone(self, numbered: Sequence[_Numbered]) -> None:
        documents = [
            Document(each.event.id, PLATFORM, {}, pending=(each.event,)) for each in numbered
        ]
        try:
            try:
                await self._store.insert_many(DEEDS, documents)
            except StoreUnavailable:
                await self._insert_in_the_end(documents)
        except Exception as error:
            self._fail(error)
            raise
        self._stored(numbered)

    def _stored(self, numbered: Sequence[_Numbered]) -> None:
        for each in numbered:
            del self._under_way[each.n]

    async def _insert_in_the_end(self, documents: Sequence[Document]) -> None:
        """Waits for the store to come back. Raises StoreUnavailable when it took too long."""
        self._waiting += 1
        try:
            with deeds_waiting(self._topic, len(documents)):
                await self._insert_again(documents)
        finally:
            self._waiting -= 1

    async def _insert_again(self, documents: Sequence[Document]) -> None:
        give_up_s = self._monotonic_s() + self._unavailable_s_max
        pause_s = RETRY_FIRST_S
        while True:
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)
            try:
                await self._store.insert_many(DEEDS, documents)
            except DocumentExists:
                return  # A try of ours came through: nobody else draws these ids.
            except StoreUnavailable:
                if self._monotonic_s() >= give_up_s:
                    raise
            else:
                return

    def _numbered(self, deed: Deed, fact: Fact | None) -> _Numbered:
        if self._broken:
            raise SeriesBroken
        if self._waiting:
            # Told at once, and nothing begun: who waits with a number holds up nobody else.
            raise StoreUnavailable
        # The payload first: a fact that cannot be serialised must not use up a number.
        n = self._n + 1
        numbered = self._as_event(deed, fact, n)
        self._n = n
        self._under_way[n] = None
        return numbered

    def _void(self, n: int) -> _Numbered:
        nothing = Deed(
            actor=Actor.service(), action=Action.ACTION_VOID, outcome=Outcome.OUTCOME_FAILED
        )
        return self._as_event(nothing, None, n)

    def _as_event(self, deed: Deed, fact: Fact | None, n: int) -> _Numbered:
        event_id = new_id()
        message = DeedMessage(
            deed_id=deed.deed_id or new_id(),
            tenant=deed.tenant,
            actor=deed.actor.pseudonym,
            role=deed.actor.role,
            action=deed.action,
            object_id=deed.object_id,
            purpose=deed.purpose,
            outcome=deed.outcome,
            at_ms=deed.at_ms or int(self._now_s() * 1000),
            request_id=deed.request_id,
            boot_id=self.boot_id,
            n=n,
            commitment=deed.commitment,
            stored_through=self.stored_through,
            related_id=deed.related_id,
            bytes_sent=deed.bytes_sent,
        )
        # By what the fact says, else by object, so that all that is told about one recording or
        # tenant keeps its order.
        own = "" if fact is None else self._key_of(fact)
        key = own or deed.object_id or deed.tenant or self.boot_id
        payload = self._wrap(event_id, message, fact)
        return _Numbered(n, PendingEvent(event_id, self._topic, key, payload))

    def _fail(self, error: Exception) -> None:
        self._broken = True
        self._on_failure(error)


async def _undisturbed(work: Coroutine[object, object, T]) -> T:
    """Finishes the work even if its caller is cancelled, and then lets the cancellation pass.

    Structured like a task group of one, but for its point: a task group would hand the
    cancellation on, and a write given up half way leaves a number of unknown fate.
    """
    # owned: awaited below to its end, whatever happens to its caller.
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        if not task.cancelled():
            task.exception()  # seen: its caller has left
        raise interrupted
    return task.result()
