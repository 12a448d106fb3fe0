"""Checkpoint: brings a log's tiles up to its segments, then signs the new head.

The order is the law: segment, tiles, boots, head. Each step can be done again and finds what it
did before, so a crash between any two is mended by doing them all again.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from voicefile.audit.boots import publish_numbers
from voicefile.audit.errors import LogDamaged
from voicefile.audit.metrics import checkpoint_seconds, publish_lag_seconds
from voicefile.audit.segments import segments_from
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import HEADS, Head, Segment, body_of, record_of
from voicefile.audit.tiles import edge_of, grown, hashes_of, store_tiles
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.crypto.primitives import SigningKey
from voicefile.docstore.port import DocStore, Document
from voicefile.translog.checkpoint import Checkpoint, sign_checkpoint
from voicefile.translog.merkle import Frontier
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import log_of, origin_of
from voicefile.translog.tiles import TileId, hash_reader

log = structlog.get_logger(__name__)


LOGS_AT_ONCE = 64
"""Logs integrated side by side; each holds a few tiles and segments in memory."""
T = TypeVar("T")


@dataclass(frozen=True)
class _Step:
    """A log whose tiles are stored, and what is to be signed."""

    tenant: str
    head: Document
    """As it was before."""
    segments: list[Segment]


def _tell_nobody(_tenant: str) -> None:
    """Where no witness waits for heads."""


class Publisher:
    """Signs a checkpoint of every log that has news, as often as the settings say."""

    def __init__(
        self,
        docs: DocStore,
        *,
        settings: AuditSettings,
        deployment: str,
        on_signed: Callable[[str], None] = _tell_nobody,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._docs = docs
        self._on_signed = on_signed
        self._settings = settings
        self._deployment = deployment
        self._now_s = now_s
        self._key: SigningKey | None = None
        self._with_news: set[str] = set()
        self._news = asyncio.Event()
        self._stopping = False

    def use(self, key: SigningKey) -> None:
        """The key to sign with; nothing is published before."""
        self._key = key

    def verifier_key(self, tenant: str) -> VerifierKey:
        """What a log's checkpoints are checked with."""
        assert self._key is not None, "audit is not running"
        return VerifierKey(origin_of(self._deployment, tenant), self._key.public)

    def sign(self, checkpoint: Checkpoint) -> str:
        """Signs something that is no log's head, under a name that no log has."""
        assert self._key is not None, "audit is not running"
        return sign_checkpoint(checkpoint, self._key)

    def appended(self, tenant: str) -> None:
        """Says that a log has news."""
        self._with_news.add(tenant)
        self._news.set()

    def begin(self) -> None:
        """Before `run`; what has news, the sequencer's recovery says."""
        self._stopping = False
        self._with_news.clear()

    def stop(self) -> None:
        """Ends `run` after one last round."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Publishes what is new, round after round; until `stop`."""
        while not self._stopping:
            await self._news.wait()
            self._news.clear()
            if not await self.publish_all() and not self._stopping:
                await asyncio.sleep(self._settings.checkpoint_every_s)
        while await self.publish_all():
            pass

    async def publish_all(self) -> bool:
        """One step of every log with news; whether some log has more than a step could take.

        A log that fails keeps its news for the next time.
        """
        waiting, self._with_news = sorted(self._with_news), set()
        failed: set[str] = set()
        unfinished: set[str] = set()
        for at in range(0, len(waiting), LOGS_AT_ONCE):
            unfinished.update(await self._round(waiting[at : at + LOGS_AT_ONCE], failed))
        for tenant in failed | unfinished:
            self.appended(tenant)
        if not failed and not unfinished:
            publish_lag_seconds().set(0)
        return bool(unfinished)

    async def publish(self, tenant: str) -> bool:
        """Takes one step: some segments integrated, one checkpoint signed; whether it did."""
        step = await self._integrate(tenant)
        if step is None:
            return False
        await publish_numbers(self._docs, step.segments, now_s=self._now_s())
        await self._sign(step)
        return True

    async def _round(self, tenants: Sequence[str], failed: set[str]) -> list[str]:
        """One step of several logs side by side, so that they share commits; which have more."""
        async with asyncio.TaskGroup() as group:
            steps = [
                group.create_task(self._surviving(tenant, failed, self._integrate(tenant)))
                for tenant in tenants
            ]
        integrated = [step for task in steps if (step := task.result()) is not None]
        segments = [segment for step in integrated for segment in step.segments]
        if segments:
            oldest_ms = min(segment.sequenced_at_ms for segment in segments)
            publish_lag_seconds().set(self._now_s() - oldest_ms / 1000)
        try:
            await publish_numbers(self._docs, segments, now_s=self._now_s())
        except Exception as error:  # noqa: BLE001 - as in `_surviving`
            _report(error)
            failed.update(step.tenant for step in integrated)
            return []
        async with asyncio.TaskGroup() as group:
            for step in integrated:
                group.create_task(self._surviving(step.tenant, failed, self._sign(step)))
        full = self._settings.publish_segments_max
        return [s.tenant for s in integrated if len(s.segments) == full and s.tenant not in failed]

    async def _surviving(
        self, tenant: str, failed: set[str], work: Coroutine[object, object, T]
    ) -> T | None:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - the loop's edge: see below
            # Segments are durable and stay: the next round does the same steps again, and one
            # log that fails does not hold up the others.
            _report(error, tenant=tenant)
            failed.add(tenant)
            return None

    async def _integrate(self, tenant: str) -> "_Step | None":
        stored = await self._docs.get(HEADS, log_of(tenant))
        if stored is None:
            return None
        head = record_of(stored, Head)
        segments = await segments_from(
            self._docs, tenant, head.size, limit=self._settings.publish_segments_max
        )
        if not segments:
            return None
        _check_gapless(head.size, segments)
        leaves = [
            segment.leaf(at) for segment in segments for at in range(segment.stop - segment.first)
        ]
        edge = await edge_of(self._docs, tenant, head.size)
        changed = grown(head.size, leaves, edge)
        self._check_roots(head, segments[-1], before=hashes_of(edge), after=hashes_of(changed))
        await store_tiles(self._docs, tenant, changed)
        return _Step(tenant, stored, segments)

    def _check_roots(
        self, head: Head, last: Segment, *, before: dict[TileId, bytes], after: dict[TileId, bytes]
    ) -> None:
        """Signs nothing unless what was signed leads to it, and two ways of counting agree."""
        old = Frontier.read(head.size, hash_reader(before))
        new = Frontier.read(last.stop, hash_reader(before | after))
        if old.root() != head.root:
            raise LogDamaged("the tiles lead to another root than the one signed")
        if new != last.frontier:
            raise LogDamaged("the tiles lead to another root than the segments")

    async def _sign(self, step: "_Step") -> None:
        assert self._key is not None, "audit is not running"
        frontier = step.segments[-1].frontier
        origin = origin_of(self._deployment, step.tenant)
        checkpoint = Checkpoint(origin, frontier.size, frontier.root())
        head = Head(
            size=checkpoint.size,
            root=checkpoint.root,
            checkpoint=sign_checkpoint(checkpoint, self._key),
            signed_at_ms=int(self._now_s() * 1000),
        )
        # The version says that nobody signed another head meanwhile.
        before = step.head
        document = Document(before.id, step.tenant, body_of(head), before.version)
        await self._docs.replace(HEADS, document)
        waited_s = self._now_s() - step.segments[0].sequenced_at_ms / 1000
        checkpoint_seconds().observe(max(0.0, waited_s))
        self._on_signed(step.tenant)


def _report(error: Exception, *, tenant: str = "") -> None:
    loop_failures().labels("audit_publish").inc()
    log.warning("publish_failed", tenant=tenant or None, **where_it_broke(error))


def _check_gapless(size: int, segments: list[Segment]) -> None:
    for segment in segments:
        if segment.first != size:
            raise LogDamaged("the segments leave a gap or overlap")
        size = segment.stop
