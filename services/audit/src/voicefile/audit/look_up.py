"""Looking up: deeds of a log by who, what, on which object, when and with what outcome.

What is asked for decides what is read: segments that hold the object or the actor, or of the
hours or days asked about. Each call does a bounded amount of work and answers where to go on, so
a search over years is many small ones. What the index does not know yet is read as it stands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from voicefile.audit.errors import CursorUnknown, LogDamaged
from voicefile.audit.events import deed_of
from voicefile.audit.findable import DAY_MS, HEARD, HOUR_MS, indexed_to, token, with_token
from voicefile.audit.prove import Entry
from voicefile.audit.segments import segments_from
from voicefile.audit.store import SEGMENTS, Head, Segment, record_of, segment_id
from voicefile.contracts.deed.v1 import Deed, Outcome
from voicefile.docstore.port import DocStore
from voicefile.docstore.tenant import TenantCollection

HOURLY_MS_MAX: Final = 2 * DAY_MS
"""A longer period is looked through by days."""
PAGE_DOCUMENTS: Final = 32
PAGE_SEGMENTS: Final = 8
_CURSOR: Final = re.compile(r"(\d{1,18})(?:-(\d{1,12})-(\d{1,18}))?", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is left out is no matter."""

    actor: str = ""
    role: int | None = None
    actions: frozenset[int] = frozenset()
    object_id: str = ""
    """Also what the deed ties its object to."""
    outcome: int | None = None
    from_ms: int = 0
    """The first moment of the period."""
    until_ms: int | None = None
    """The first moment after it."""

    def fits(self, deed: Deed) -> bool:
        return (
            (not self.actor or deed.actor == self.actor)
            and (self.role is None or deed.role == self.role)
            and (not self.actions or deed.action in self.actions)
            and (not self.object_id or self.object_id in (deed.object_id, deed.related_id))
            and (self.outcome is None or deed.outcome == self.outcome)
            and deed.at_ms >= self.from_ms
            and (self.until_ms is None or deed.at_ms < self.until_ms)
        )

    @property
    def token(self) -> int | None:
        """What finds all of it and the least beside it; none if a period does, or nothing."""
        if self.object_id:
            done = self.outcome == Outcome.OUTCOME_DONE and self.actions == HEARD
            return token("heard" if done else "object", self.object_id)
        if self.actor:
            return token("actor", self.actor)
        if self.from_ms:
            return None
        return self._rough_token

    @property
    def _rough_token(self) -> int | None:
        if len(self.actions) == 1:
            (action,) = self.actions
            if self.outcome is not None:
                return token("action, outcome", action, self.outcome)
            return token("action", action)
        if self.outcome is not None:
            return token("outcome", self.outcome)
        return None if self.role is None else token("role", self.role)

    def spans(self, *, until_ms: int) -> "Spans | None":
        """The hours or days to look through, if that is what finds it; none is after `until_ms`."""
        if self.token is not None or not self.from_ms:
            return None
        if self.until_ms is not None:
            until_ms = min(until_ms, self.until_ms)
        hourly = until_ms - self.from_ms <= HOURLY_MS_MAX
        long_ms, kind = (HOUR_MS, "hour") if hourly else (DAY_MS, "day")
        return Spans(kind, long_ms, self.from_ms // long_ms, -(-until_ms // long_ms))


@dataclass(frozen=True)
class Spans:
    """A period as the hours or days that it touches."""

    kind: str
    long_ms: int
    first: int
    stop: int


@dataclass(frozen=True)
class Cursor:
    """Where a search goes on: at an entry; of a period at an entry of one of its hours or days."""

    at: int = 0
    span: int = 0
    upto: int = 0
    """What the index knew when the search began: every entry is looked at in one way only."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises CursorUnknown."""
        found = _CURSOR.fullmatch(text or "0")
        if found is None:
            raise CursorUnknown
        return cls(*(int(number or 0) for number in found.groups()))

    def __str__(self) -> str:
        return f"{self.at}-{self.span}-{self.upto}" if self.span else str(self.at)


@dataclass(frozen=True)
class Found:
    """Some of what was looked for, and where to go on; None: that was all."""

    entries: list[Entry]
    cursor: Cursor | None


async def look_up(
    docs: DocStore,
    tenant: str,
    wanted: Wanted,
    *,
    head: Head,
    cursor: Cursor,
    bounds: "Bounds",
) -> Found:
    """Published entries that fit, up to this head.

    In the log's order; of a period, hour by hour or day by day, and in the log's order within.
    """
    search = _Search(docs, tenant, wanted, head=head, bounds=bounds)
    indexed = min(await indexed_to(docs, tenant), head.size)
    spans = wanted.spans(until_ms=head.signed_at_ms + DAY_MS)
    if spans is None:
        at = await search.one_by_one(cursor.at, indexed)
        return search.found(Cursor(at))
    return await search.span_by_span(cursor, spans, upto=cursor.upto if cursor.span else indexed)


@dataclass(frozen=True)
class Bounds:
    """How much one call may answer, and how much it may look at."""

    entries: int
    steps: int


@dataclass
class _Search:
    docs: DocStore
    tenant: str
    wanted: Wanted
    head: Head
    bounds: Bounds
    entries: list[Entry] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self._segments = TenantCollection(self.docs, SEGMENTS, self.tenant)

    @property
    def full(self) -> bool:
        return len(self.entries) >= self.bounds.entries or self.steps >= self.bounds.steps

    def found(self, cursor: Cursor) -> Found:
        return Found(self.entries, None if cursor.at >= self.head.size else cursor)

    async def one_by_one(self, at: int, indexed: int) -> int:
        """In the log's order, by token as far as there is one; answers where it stopped."""
        wanted = self.wanted.token
        if wanted is not None and at < indexed:
            at = await self._by_token(wanted, at, indexed)
        if wanted is None or at >= indexed:
            at = await self._as_it_stands(at)
        return at

    async def span_by_span(self, cursor: Cursor, spans: Spans, *, upto: int) -> Found:
        at, span = cursor.at, max(cursor.span, spans.first)
        while span < spans.stop:
            at = await self._by_token(
                token(spans.kind, span), at, upto, of=(span * spans.long_ms, spans.long_ms)
            )
            if at < upto:
                return self.found(Cursor(at, span, upto))
            at, span = 0, span + 1
            if self.full:
                return Found(self.entries, Cursor(0 if span < spans.stop else upto, span, upto))
        at = await self._as_it_stands(max(at, upto))
        return self.found(Cursor(at, span, upto))

    async def _by_token(
        self, wanted: int, at: int, upto: int, *, of: tuple[int, int] | None = None
    ) -> int:
        """Through the segments with that token below `upto`; `of`: only as of then, for so long."""
        while at < upto and not self.full:
            self.steps += 1
            found = await with_token(self.docs, self.tenant, wanted, start=at, limit=PAGE_DOCUMENTS)
            for findable in found:
                if findable.first >= upto:
                    return upto
                at = self._take(await self._segment(findable.first), at, upto, of=of)
                if self.full:
                    return at
            if len(found) < PAGE_DOCUMENTS:
                return upto
        return at

    async def _as_it_stands(self, at: int) -> int:
        while at < self.head.size and not self.full:
            segments = await segments_from(self.docs, self.tenant, at, limit=PAGE_SEGMENTS)
            if not segments or segments[0].first > at:
                raise LogDamaged("a published segment is missing")
            for segment in segments:
                at = self._take(segment, at, self.head.size)
                if self.full:
                    break
        return at

    async def _segment(self, first: int) -> Segment:
        stored = await self._segments.get(segment_id(self.tenant, first))
        if stored is None:
            raise LogDamaged("a published segment is missing")
        return record_of(stored, Segment)

    def _take(
        self, segment: Segment, at: int, upto: int, *, of: tuple[int, int] | None = None
    ) -> int:
        """Takes from a segment what fits; answers the entry after the last one looked at."""
        self.steps += 1
        for index, deed in _deeds(segment, at, min(segment.stop, upto)):
            if of is not None and not of[0] <= deed.at_ms < of[0] + of[1]:
                continue
            if self.wanted.fits(deed):
                place = index - segment.first
                self.entries.append(Entry(index, segment.salt(place), segment.entries[place]))
                if len(self.entries) >= self.bounds.entries:
                    return index + 1
        return min(segment.stop, upto)


def _deeds(segment: Segment, at: int, stop: int) -> Iterator[tuple[int, Deed]]:
    for index in range(max(at, segment.first), stop):
        yield index, deed_of(segment.entries[index - segment.first])
