"""Collect: offers each log's new checkpoint to all its witnesses, and keeps what they sign.

Under the lease, beside everything else. All witnesses of a log are offered the same checkpoint,
so that their signatures come together under one. Who is away, slow or hostile holds up nothing
but what it would have signed.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from voicefile.audit.cosigned import keep_cosigned
from voicefile.audit.metrics import logs_contradicted, offers, witness_lag_seconds
from voicefile.audit.offer import Contradicted, Offer, Refused
from voicefile.audit.patience import Patience
from voicefile.audit.settings import AuditSettings, WitnessPlace
from voicefile.audit.store import HEADS, Head, record_of
from voicefile.audit.witness import WitnessAway, WitnessDoor
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import DocStore
from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.note import SignatureLine
from voicefile.translog.origin import log_of

log = structlog.get_logger(__name__)

LOGS_AT_ONCE: Final = 16
PAGE_HEADS: Final = 500


@dataclass
class _Waiting:
    """How it stands between one log and one witness."""

    patience: Patience
    since_s: float | None = None
    """Since when it has news; None if it has none."""
    asked_s: float = float("-inf")
    contradicted: bool = False


class OneWitness:
    """What one witness is to be asked, and when."""

    def __init__(
        self,
        docs: DocStore,
        place: WitnessPlace,
        door: WitnessDoor,
        *,
        settings: AuditSettings,
        monotonic: Callable[[], float],
    ) -> None:
        key = WitnessKey.parse(place.key)
        self.name = key.name
        self._offer = Offer(docs, door, key)
        self._only = frozenset(place.logs)
        self._settings = settings
        self._monotonic = monotonic
        self._patience = self._new_patience()
        self._logs: dict[str, _Waiting] = {}

    @property
    def contradicted(self) -> int:
        """Of how many logs it has seen another history."""
        return sum(each.contradicted for each in self._logs.values())

    @property
    def lag_s(self) -> float:
        """How long the oldest news has been waiting for it."""
        now_s = self._monotonic()
        waiting = [each.since_s for each in self._logs.values() if each.since_s is not None]
        return max((now_s - since_s for since_s in waiting), default=0.0)

    def news(self, tenant: str) -> None:
        """Says that a log has a new checkpoint."""
        if not self._only or log_of(tenant) in self._only:
            waiting = self._logs.setdefault(tenant, _Waiting(self._new_patience()))
            waiting.since_s = self._monotonic() if waiting.since_s is None else waiting.since_s

    def due(self) -> set[str]:
        """Logs that it should be asked about now."""
        return {tenant for tenant in self._logs if self.is_due(tenant)}

    def is_due(self, tenant: str) -> bool:
        waiting, now_s = self._logs.get(tenant), self._monotonic()
        if waiting is None or self._patience.resting(now_s) or waiting.patience.resting(now_s):
            return False
        quiet_s = now_s - waiting.asked_s
        return waiting.since_s is not None or quiet_s >= self._settings.offer_quiet_s

    async def ask(self, tenant: str, head: Head, *, now_s: float) -> SignatureLine | None:
        """Its line under this head, or None; why not is counted and remembered."""
        waiting = self._logs[tenant]
        asked_s = self._monotonic()
        # Taken off before: what is signed meanwhile is news again.
        since_s, waiting.since_s = waiting.since_s or asked_s, None
        line = None
        try:
            line = await self._offer.cosignature(tenant, head, now_s=now_s)
        except WitnessAway as away:
            self._count("away")
            if self._patience.failed(self._monotonic()):
                log.warning("witness_away", **where_it_broke(away))
        except Refused as refused:
            self._count("refused")
            if waiting.patience.failed(self._monotonic()):
                log.warning("witness_refused", tenant=tenant or None, reason=refused.reason)
        except Contradicted as contradicted:
            self._contradicted(tenant, waiting, head, contradicted)
        finally:
            if line is None:
                waiting.since_s = since_s
        if line is not None:
            self._count("cosigned")
            self._patience.worked()
            waiting.patience.worked()
            waiting.asked_s, waiting.contradicted = asked_s, False
        return line

    def _contradicted(
        self, tenant: str, waiting: _Waiting, head: Head, contradicted: Contradicted
    ) -> None:
        self._count("contradicted")
        waiting.contradicted = True
        waiting.patience.failed(self._monotonic())
        log.error(
            "log_contradicted",
            tenant=tenant or None,
            reason=contradicted.reason,
            size=contradicted.size,
            tree_size=head.size,
        )

    def _new_patience(self) -> Patience:
        return Patience(self._settings.offer_every_s, self._settings.offer_again_s_max)

    def _count(self, outcome: str) -> None:
        offers().labels(self.name, outcome).inc()


class Collector:
    """The loop over all logs and witnesses."""

    def __init__(
        self,
        docs: DocStore,
        doors: Sequence[tuple[WitnessPlace, WitnessDoor]],
        *,
        settings: AuditSettings,
        now_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docs = docs
        self._settings = settings
        self._now_s = now_s
        self._doors = doors
        self._monotonic = monotonic
        self._witnesses: list[OneWitness] = []

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
        """What a leader runs: nothing without witnesses."""
        return (self.run,) if self._doors else ()

    def signed(self, tenant: str) -> None:
        """Says that a log has a new checkpoint."""
        for witness in self._witnesses:
            witness.news(tenant)

    async def run(self) -> None:
        """Offers round after round, until cancelled."""
        try:
            begun = False
            while True:
                try:
                    begun = begun or await self.begin()
                    await self.round()
                except Exception as error:  # noqa: BLE001 - the loop's edge: a store that is away
                    # comes back, and what was not offered is still waiting.
                    log.warning("round_failed", loop="witnesses", **where_it_broke(error))
                    loop_failures().labels("witnesses").inc()
                self._show()
                await asyncio.sleep(self._settings.offer_every_s)
        finally:
            # What waits is the next leader's to tell.
            for witness in self._witnesses:
                witness_lag_seconds().labels(witness.name).set(0)
            logs_contradicted().set(0)

    async def begin(self) -> bool:
        """Everything is news to a new leader: only asking shows what witnesses have seen."""
        self._witnesses = [
            OneWitness(self._docs, place, door, settings=self._settings, monotonic=self._monotonic)
            for place, door in self._doors
        ]
        after = ""
        while page := await self._docs.scan(HEADS, after=after, limit=PAGE_HEADS):
            for document in page:
                self.signed(document.tenant)
            after = page[-1].id
        return True

    async def round(self) -> None:
        """Asks each witness about each log that is due."""
        due = sorted(set().union(*(witness.due() for witness in self._witnesses)))
        for at in range(0, len(due), LOGS_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for tenant in due[at : at + LOGS_AT_ONCE]:
                    group.create_task(self._offer(tenant))

    async def _offer(self, tenant: str) -> None:
        stored = await self._docs.get(HEADS, log_of(tenant))
        head = None if stored is None else record_of(stored, Head)
        if head is None or not head.checkpoint:
            return
        asked = [witness for witness in self._witnesses if witness.is_due(tenant)]
        async with asyncio.TaskGroup() as group:
            answers = [
                group.create_task(witness.ask(tenant, head, now_s=self._now_s()))
                for witness in asked
            ]
        lines = [line for answer in answers if (line := answer.result()) is not None]
        if lines and not await keep_cosigned(self._docs, tenant, head, lines):
            self.signed(tenant)

    def _show(self) -> None:
        for witness in self._witnesses:
            witness_lag_seconds().labels(witness.name).set(witness.lag_s)
        logs_contradicted().set(sum(witness.contradicted for witness in self._witnesses))
