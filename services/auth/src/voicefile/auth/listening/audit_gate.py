"""The audit gate: new releases only while what they record can reach the log.

Auth asks the log four times a second whether it can append. Without a yes for three quarters of a
second no new release is given; with what a yes itself may be based on, a second after the log's
last durable write at the latest. And where the log says yes but auth's own deeds do not arrive
(the bus between them is down), new releases end once the oldest of them has waited for half an
hour: one still in the store, one this instance has numbered, or one another instance has.
Listenings under way go on in both cases: they are recorded already.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import structlog
from msgspec import Struct

from voicefile.auth.listening.access_errors import AuditUnavailable
from voicefile.auth.listening.access_metrics import deeds_on_their_way_s, gate_open
from voicefile.auth.listening.outstanding import Outstanding
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import DocStoreError

log = structlog.get_logger(__name__)

PATH = "/audit/internal/v1/appendable"


class GateLimits(Struct, frozen=True):
    """How long silence and delay are borne."""

    ask_every_s: float = 0.25
    answer_within_s: float = 0.5
    yes_lasts_s: float = 0.75
    """An older yes counts no longer."""
    deed_waits_s_max: float = 1_800.0
    """How old auth's oldest deed outside the log may be."""
    look_every_s: float = 10.0
    """How often is looked what former starts of this store have not published yet."""


class AuditGate:
    """Knows whether a new release could be recorded.

    `last_n` is the last number this instance gave a deed; `unpublished_for_s` says how long the
    oldest event in the store has waited, whichever start wrote it. `outstanding` knows what other
    instances have sent; where leaving the store means being in the log, it is not needed.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        boot_id: str,
        last_n: Callable[[], int],
        unpublished_for_s: Callable[[], Awaitable[float]],
        outstanding: Outstanding | None = None,
        limits: GateLimits | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._boot_id = boot_id
        self._given_n = last_n
        self._unpublished_for_s = unpublished_for_s
        self._outstanding = outstanding
        self._sequenced: Mapping[str, int] | None = None
        self._waiting_since_s: float | None = None
        self._limits = limits or GateLimits()
        self._now_s = now_s
        self._last_yes_s: float | None = None
        self._numbered: deque[tuple[int, float]] = deque()
        self._last_n = 0

    async def pass_through(self) -> None:
        """Raises AuditUnavailable unless a new release may be given, within half a second.

        Where the last yes is too old the log is asked once more: a process that was too busy to
        ask in time is no log that can't record.
        """
        if not self._yes_lasts():
            await self.ask()
        self.require_open()

    def require_open(self) -> None:
        """Raises AuditUnavailable unless a new release may be given by what is known already."""
        if not self._is_open():
            raise AuditUnavailable

    async def ask(self) -> None:
        """Asks once; whatever is no clear yes changes nothing, so the last yes runs out."""
        # Counted from before the question: a slow answer is an old one.
        asked_s = self._now_s()
        self._note(self._given_n(), asked_s)
        try:
            response = await self._client.get(PATH, timeout=self._limits.answer_within_s)
            answer = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return
        if not isinstance(answer, Mapping):
            return
        if answer.get("appendable") is True:
            self._last_yes_s = asked_s
        sequenced = answer.get("sequenced")
        if isinstance(sequenced, Mapping):
            self._sequenced = {
                boot: n for boot, n in sequenced.items() if isinstance(boot, str) and type(n) is int
            }
            self._arrived(self._sequenced.get(self._boot_id, 0))

    async def look(self) -> None:
        """Looks how long deeds have waited; a restart does not make them younger."""
        waiting_s = await self._unpublished_for_s()
        if self._outstanding is not None and self._sequenced is not None:
            sent_s = await self._outstanding.for_s(self._sequenced)
            waiting_s = max(waiting_s, sent_s)
        self._waiting_since_s = self._now_s() - waiting_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps asking while entered."""
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._keep_asking())
            try:
                yield
            finally:
                asking.cancel()

    async def _keep_asking(self) -> None:
        look_at_s = self._now_s()
        while True:
            await self.ask()
            # Closed by what waits in the store: the relay may have brought it away meanwhile, as
            # it does within moments when the vault was down for longer than deeds may wait.
            if self._now_s() >= look_at_s or self._too_long(self._waiting_since_s):
                await self._look_if_possible()
                look_at_s = self._now_s() + self._limits.look_every_s
            self._show()
            await asyncio.sleep(self._limits.ask_every_s)

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except DocStoreError as error:
            # What was seen before grows older by itself, and without the store no release is
            # given in any case.
            log.warning("round_failed", loop="gate", **where_it_broke(error))
            loop_failures().labels(loop="gate").inc()

    def _show(self) -> None:
        gate_open().set(self._is_open())
        deeds_on_their_way_s().set(self._now_s() - self._oldest_since_s())

    def _is_open(self) -> bool:
        return self._yes_lasts() and not self._too_long(self._oldest_since_s())

    def _oldest_since_s(self) -> float:
        """Since when the oldest deed that is known to be missing in the log has waited."""
        now_s = self._now_s()
        own_s = self._numbered[0][1] if self._numbered else now_s
        return min(own_s, now_s if self._waiting_since_s is None else self._waiting_since_s)

    def _yes_lasts(self) -> bool:
        last = self._last_yes_s
        return last is not None and self._now_s() - last <= self._limits.yes_lasts_s

    def _too_long(self, since_s: float | None) -> bool:
        return since_s is not None and self._now_s() - since_s > self._limits.deed_waits_s_max

    def _note(self, n: int, now_s: float) -> None:
        """Remembers since when numbers wait; one entry a second, however long the bus is down."""
        if n > self._last_n:
            if not self._numbered or now_s - self._numbered[-1][1] >= 1.0:
                self._numbered.append((self._last_n + 1, now_s))
            self._last_n = n

    def _arrived(self, n: int) -> None:
        """Forgets what is in the log: all numbers up to n."""
        while len(self._numbered) > 1 and self._numbered[1][0] <= n + 1:
            self._numbered.popleft()
        if n >= self._last_n:
            self._numbered.clear()
