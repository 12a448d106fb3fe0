"""The change feed: what became of a partner's own recordings, numbered without a gap.

Entries are kept in runs: what one batch of facts brings of a partner is one document, whose id is
partner ‖ (10^12 - its first number). The newest run is the partner's first by id, a page is a few
runs, and a number can be taken only once. A run is written when all before it is there, and whole
or not at all, so whoever read up to n has missed nothing.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from voicefile.docstore.port import (
    VALUES_MAX,
    DocStore,
    Document,
    DocumentExists,
    VersionConflict,
)
from voicefile.docstore.tenant import TenantCollection
from voicefile.eventbus.port import Event, NotNow
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.erase import Erasing, erase_recording, erase_tenant
from voicefile.ingest.events import ERASED, RecordingMoved, TenantErased, heard
from voicefile.ingest.schemas import Change, Changes
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import FEED, TenantFacts

Entry = Mapping[str, Any]
"""What became of a recording, as a run holds it."""
SEQUENCE_MAX: Final = 10**12 - 1
RECORDING_ENTRIES_MAX: Final = 1_000
RUN_MAX: Final = VALUES_MAX
"""Entries of one document: the recordings of so many are asked for at once."""
RUNS_AT_ONCE: Final = 8
HEAR_S_MAX: Final = 20.0
"""A batch that takes longer is waiting for a store: no event of it is to blame."""


class FeedContended(NotNow):
    """Too many instances take numbers of one partner's feed; the batch comes again."""


class Feed:
    """All partners' feeds, each reached through its tenant."""

    def __init__(
        self,
        store: DocStore,
        *,
        settings: IngestSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._now_s = now_s

    async def add(self, *several: RecordingMoved) -> None:
        """Gives each event its number, in order, once, whatever how often it comes.

        Raises FeedContended.
        """
        theirs: dict[Who, list[RecordingMoved]] = {}
        for moved in several:
            theirs.setdefault(Who(moved.tenant, moved.partner), []).append(moved)
        for who, of_one in theirs.items():
            for start in range(0, len(of_one), RUN_MAX):
                await self._number(who, of_one[start : start + RUN_MAX])

    async def _number(self, who: Who, several: Sequence[RecordingMoved]) -> None:
        view = TenantCollection(self._store, FEED, who.tenant)
        for _ in range(self._settings.feed_attempts_max):
            unsettled = await self._unsettled(view, several)
            if not unsettled:
                return
            first = await self._newest(view, who.partner) + 1
            try:
                await view.insert(self._run(who, first, unsettled))
            except DocumentExists:
                continue  # a number, or an event, went into another run: another instance was here
            return
        raise FeedContended

    async def page(self, who: Who, *, after: int, limit: int) -> Changes:
        """Entries after that number, in order. Costs the page, however long the feed is."""
        view = TenantCollection(self._store, FEED, who.tenant)
        newest = await self._newest(view, who.partner)
        last = min(newest, after + min(limit, self._settings.feed_page_max))
        if last <= after:
            return Changes(changes=(), next=after)
        found: list[tuple[int, Entry]] = []
        below = last + 1
        while below > after + 1:
            runs_max = min(below - after - 1, RUNS_AT_ONCE)
            runs = await self._runs(view, who.partner, below=below, limit=runs_max)
            if not runs:
                break  # erased meanwhile
            found += [each for run in runs for each in _numbered(run) if after < each[0] <= last]
            below = _first(runs[-1])
        changes = tuple(_change(*each) for each in sorted(found, key=itemgetter(0)))
        return Changes(changes=changes, next=last)

    async def partners(self) -> AsyncIterator[Who]:
        """Everybody who has a feed, of all tenants. Costs one look for each."""
        after = ""
        while found := await self._store.scan(FEED, after=after, limit=1):
            who = Who(found[0].tenant, str(found[0].body["partner"]))
            yield who
            after = _entry_id(who.partner, 0)

    async def _runs(
        self, view: TenantCollection, partner: str, *, below: int, limit: int
    ) -> list[Document]:
        """Runs that begin below this number, the newest first."""
        after = _entry_id(partner, below)
        return await view.find("partner", partner, after=after, limit=limit)

    async def _newest(self, view: TenantCollection, partner: str) -> int:
        runs = await self._runs(view, partner, below=SEQUENCE_MAX, limit=1)
        return _first(runs[0]) + len(_entries(runs[0])) - 1 if runs else 0

    async def _unsettled(
        self, view: TenantCollection, several: Sequence[RecordingMoved]
    ) -> list[RecordingMoved]:
        """Those that have no number yet, and are to get one."""
        recordings = [moved.recording for moved in several]
        runs = await view.find_any("recording", recordings, limit=RECORDING_ENTRIES_MAX * RUN_MAX)
        numbered, erased = set[str](), set[str]()
        for entry in (entry for run in runs for entry in _entries(run)):
            numbered.add(entry["event"])
            if entry["state"] == ERASED:
                erased.add(entry["recording"])
        unsettled = []
        for moved in several:
            # Tombstones win: what was erased stays so, in whatever order the facts arrive.
            if moved.event in numbered or moved.recording in erased:
                continue
            unsettled.append(moved)
            numbered.add(moved.event)
            if moved.state == ERASED:
                erased.add(moved.recording)
        return unsettled

    def _run(self, who: Who, first: int, several: Sequence[RecordingMoved]) -> Document:
        entries = [
            {
                "event": moved.event,
                "recording": moved.recording,
                "state": moved.state,
                "letter": moved.letter,
                "at_ms": moved.at_ms or int(self._now_s() * 1000),
            }
            for moved in several
        ]
        body = {"partner": who.partner, "first": first, "entries": entries}
        return Document(id=_entry_id(who.partner, first), tenant=who.tenant, body=body)


class AuthFacts:
    """Hears what auth says: tenants for the projection, recordings for feeds and blobs."""

    def __init__(self, *, feed: Feed, erasing: Erasing) -> None:
        self._tenants = erasing.tenants
        self._feed = feed
        self._erasing = erasing

    async def hear(self, events: Sequence[Event]) -> None:
        """Every step may be repeated, so a batch that failed half way simply comes again.

        Raises NotNow where the store, or another instance, is in the way.
        """
        try:
            async with asyncio.timeout(HEAR_S_MAX):
                await self._hear(events)
        except (TimeoutError, VersionConflict) as error:
            raise NotNow from error

    async def _hear(self, events: Sequence[Event]) -> None:
        facts = [heard(event.payload) for event in events]
        for fact in facts:
            if isinstance(fact, TenantFacts):
                await self._tenants.learn(fact)
            elif isinstance(fact, TenantErased):
                await erase_tenant(fact.tenant, at=self._erasing)
        moved = [fact for fact in facts if isinstance(fact, RecordingMoved)]
        gone = {who for who in {fact.tenant for fact in moved} if await self._tenants.erased(who)}
        # What is told late of a tenant that is no more begins no feed anew.
        await self._feed.add(*(fact for fact in moved if fact.tenant not in gone))
        for fact in moved:
            if fact.state == ERASED or fact.tenant in gone:
                await erase_recording(fact.recording, tenant=fact.tenant, at=self._erasing)


def _entry_id(partner: str, sequence: int) -> str:
    return f"{partner}{SEQUENCE_MAX - sequence:012d}"


def _first(run: Document) -> int:
    first = run.body["first"]
    assert isinstance(first, int), "a stored number"
    return first


def _entries(run: Document) -> Sequence[Entry]:
    entries = run.body["entries"]
    assert isinstance(entries, list), "a stored run"
    return entries


def _numbered(run: Document) -> Iterator[tuple[int, Entry]]:
    return enumerate(_entries(run), _first(run))


def _change(number: int, entry: Entry) -> Change:
    at = dt.datetime.fromtimestamp(entry["at_ms"] / 1000, tz=dt.UTC)
    return Change(
        sequence=number,
        recording_id=entry["recording"],
        state=entry["state"],
        letter=entry["letter"],
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
