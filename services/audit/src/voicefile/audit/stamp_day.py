"""Stamp a day: once a day all logs' heads go under one time stamp.

One for all logs, because authorities count and charge; a tree, because no tenant is to learn of
another's. The heads' places are drawn by lot and the tree is filled up to a power of two, so that
a proof tells the order of magnitude of how many logs there are, and nothing else.

The order: stamped, then each head's part, then the day itself. Parts are named after the tree
they belong to, so those of a day that was begun twice are never taken for one another's.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from voicefile.audit.metrics import stamp_age_seconds
from voicefile.audit.patience import Patience
from voicefile.audit.settings import AuditSettings
from voicefile.audit.stamper import StamperAway, TimeStamper
from voicefile.audit.store import (
    DAY_STAMPS,
    HEADS,
    STAMPED_HEADS,
    DayStamp,
    Head,
    StampedHead,
    body_of,
    record_of,
)
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.crypto.primitives import sha256
from voicefile.docstore.port import DocStore, Document, DocumentExists
from voicefile.translog.checkpoint import Checkpoint
from voicefile.translog.errors import StampInvalid
from voicefile.translog.merkle import HASH_BYTES, Frontier, leaf_hash
from voicefile.translog.origin import heads_origin, log_of
from voicefile.translog.proofs import inclusion_proof
from voicefile.translog.tiles import grown_tiles, hash_reader

log = structlog.get_logger(__name__)

PAGE: Final = 500
CLOCK_S_MAX: Final = 300
"""A stamp whose time is further from our clock tells of a clock that is wrong: ours, or theirs."""


class ClocksDisagree(Exception):
    """The authority's time is far from ours."""


@dataclass(frozen=True)
class _Place:
    """A head and its leaf in the day's tree."""

    tenant: str
    checkpoint: str
    index: int


class DayStamps:
    """Looks whether the day has its stamp, and gets it if not."""

    def __init__(
        self,
        docs: DocStore,
        stamper: TimeStamper | None,
        sign: Callable[[Checkpoint], str],
        *,
        settings: AuditSettings,
        deployment: str,
        now_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docs = docs
        self._stamper = stamper
        self._sign = sign
        self._settings = settings
        self._deployment = deployment
        self._now_s = now_s
        self._monotonic = monotonic
        self._patience = Patience(settings.stamp_look_every_s, settings.stamp_again_s_max)

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
        """What a leader runs: nothing where nobody stamps."""
        return () if self._stamper is None else (self.run,)

    async def run(self) -> None:
        """Looks every minute or so, until cancelled."""
        begun_s = self._now_s()
        try:
            while True:
                if not self._patience.resting(self._monotonic()):
                    await self._look()
                await self._show(begun_s)
                await asyncio.sleep(self._settings.stamp_look_every_s)
        finally:
            stamp_age_seconds().set(0)

    async def stamp_today(self) -> bool:
        """Whether there was something to do. Raises StamperAway, StampInvalid, ClocksDisagree."""
        assert self._stamper is not None, "there is nobody to ask"
        day = datetime.fromtimestamp(self._now_s(), UTC).date().isoformat()
        if await self._docs.get(DAY_STAMPS, day) is not None:
            return False
        heads = await self._heads()
        if not heads:
            return False
        hashes = _filled([leaf_hash(place.checkpoint.encode()) for place in heads])
        root = Frontier().extended(hashes).root()
        note = self._sign(Checkpoint(heads_origin(self._deployment, day), len(hashes), root))
        stamp = await self._stamper.stamp(note.encode())
        if abs(stamp.at_s - self._now_s()) > CLOCK_S_MAX:
            raise ClocksDisagree
        await self._keep_parts(day, note, heads, hashes)
        record = DayStamp(heads=note, response=stamp.response, stamped_at_s=int(stamp.at_s))
        try:
            await self._docs.insert(DAY_STAMPS, Document(day, "", body_of(record)))
        except DocumentExists:
            # Another instance was quicker; its parts are the ones that count.
            return False
        log.info("day_stamped", count=len(heads))
        return True

    async def _look(self) -> None:
        try:
            await self.stamp_today()
        except Exception as error:  # noqa: BLE001 - the loop's edge: the log goes on without a stamp, and its age shows
            loop_failures().labels("time_stamps").inc()
            if self._patience.failed(self._monotonic()):
                log.warning("day_not_stamped", reason=_reason(error), **where_it_broke(error))
        else:
            self._patience.worked()

    async def _show(self, begun_s: float) -> None:
        try:
            newest = await self._docs.newest(DAY_STAMPS, "stamped")
        except Exception as error:  # noqa: BLE001 - the loop's edge: the gauge stays as it was
            log.warning("round_failed", loop="time_stamps", **where_it_broke(error))
            return
        since_s = begun_s if newest is None else record_of(newest, DayStamp).stamped_at_s
        stamp_age_seconds().set(max(0.0, self._now_s() - since_s))

    async def _heads(self) -> list[_Place]:
        found: list[tuple[str, str]] = []
        after = ""
        while page := await self._docs.scan(HEADS, after=after, limit=PAGE):
            heads = [(document.tenant, record_of(document, Head)) for document in page]
            found += [(tenant, head.checkpoint) for tenant, head in heads if head.checkpoint]
            after = page[-1].id
        secrets.SystemRandom().shuffle(found)
        return [_Place(tenant, checkpoint, at) for at, (tenant, checkpoint) in enumerate(found)]

    async def _keep_parts(
        self, day: str, note: str, heads: list[_Place], hashes: list[bytes]
    ) -> None:
        read = hash_reader(grown_tiles(0, hashes, {}))
        for at in range(0, len(heads), PAGE):
            parts = []
            for place in heads[at : at + PAGE]:
                proof = inclusion_proof(place.index, len(hashes), read)
                part = StampedHead(day, place.checkpoint, place.index, proof)
                name = part_id(place.tenant, day, note)
                parts.append(Document(name, place.tenant, body_of(part)))
            await self._docs.insert_many(STAMPED_HEADS, parts)


def part_id(tenant: str, day: str, note: str) -> str:
    """Log, day and tree: a day that was begun twice has two trees, and one of them counts."""
    return f"{log_of(tenant)}:{day}:{sha256(note.encode()).hex()}"


def _filled(hashes: list[bytes]) -> list[bytes]:
    """As many leaves as the next power of two has; what is added, nobody knows a leaf of."""
    missing = (1 << (len(hashes) - 1).bit_length()) - len(hashes)
    return hashes + [secrets.token_bytes(HASH_BYTES) for _ in range(missing)]


_REASONS: Final[dict[type[Exception], str]] = {
    StamperAway: "away",
    StampInvalid: "stamp-invalid",
    ClocksDisagree: "clocks-disagree",
}


def _reason(error: Exception) -> str:
    return _REASONS.get(type(error), "failed")
