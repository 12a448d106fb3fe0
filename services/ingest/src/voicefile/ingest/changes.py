"""The change feed: what became of a partner's own recordings, numbered without a gap.

An entry is a document of its own whose id is partner ‖ (10^12 - sequence): the newest entry is
the partner's first by id, a page is a run of ids, and a number can be taken only once. Number n
is only written when n - 1 is there, so whoever read up to n has missed nothing.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.docstore.tenant import TenantCollection
from voicefile.eventbus.port import Event, NotNow
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.erase import Erasing, erase_recording, erase_tenant
from voicefile.ingest.events import ERASED, RecordingMoved, TenantErased, heard
from voicefile.ingest.schemas import Change, Changes
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import FEED, TenantFacts

SEQUENCE_MAX: Final = 10**12 - 1
RECORDING_ENTRIES_MAX: Final = 1_000


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
        newest: dict[Who, int] = {}
        """What we wrote last ourselves: the next number is free then, or taken by somebody else."""
        for moved in several:
            who = Who(moved.tenant, moved.partner)
            number = await self._numbered(who, moved, newest.get(who))
            if number is not None:
                newest[who] = number

    async def _numbered(self, who: Who, moved: RecordingMoved, newest: int | None) -> int | None:
        view = TenantCollection(self._store, FEED, who.tenant)
        for _ in range(self._settings.feed_attempts_max):
            if await self._settled(view, moved):
                return newest
            if newest is None:
                newest = await self._newest(view, who.partner)
            try:
                await view.insert(self._entry(moved, newest + 1))
            except DocumentExists:
                if await view.find("event", moved.event, limit=1):
                    return None
                newest = None  # the number went to another event: another instance was here
                continue
            return newest + 1
        raise FeedContended

    async def page(self, who: Who, *, after: int, limit: int) -> Changes:
        """Entries after that number, in order. Costs the page, however long the feed is."""
        view = TenantCollection(self._store, FEED, who.tenant)
        newest = await self._newest(view, who.partner)
        last = min(newest, after + min(limit, self._settings.feed_page_max))
        if last <= after:
            return Changes(changes=(), next=after)
        documents = await view.find(
            "partner", who.partner, after=_entry_id(who.partner, last + 1), limit=last - after
        )
        changes = tuple(_change(document) for document in reversed(documents))
        return Changes(changes=changes, next=last)

    async def partners(self) -> AsyncIterator[Who]:
        """Everybody who has a feed, of all tenants. Costs one look for each."""
        after = ""
        while found := await self._store.scan(FEED, after=after, limit=1):
            who = Who(found[0].tenant, str(found[0].body["partner"]))
            yield who
            after = _entry_id(who.partner, 0)

    async def _newest(self, view: TenantCollection, partner: str) -> int:
        found = await view.find("partner", partner, limit=1)
        return _number(found[0].body["sequence"]) if found else 0

    async def _settled(self, view: TenantCollection, moved: RecordingMoved) -> bool:
        """Whether the event has its number already, or gets none."""
        entries = await view.find("recording", moved.recording, limit=RECORDING_ENTRIES_MAX)
        # Tombstones win: what was erased stays so, in whatever order the facts arrive.
        return any(
            entry.body["state"] == ERASED or entry.body["event"] == moved.event for entry in entries
        )

    def _entry(self, moved: RecordingMoved, sequence: int) -> Document:
        return Document(
            id=_entry_id(moved.partner, sequence),
            tenant=moved.tenant,
            body={
                "event": moved.event,
                "partner": moved.partner,
                "recording": moved.recording,
                "sequence": sequence,
                "state": moved.state,
                "letter": moved.letter,
                "at_ms": moved.at_ms or int(self._now_s() * 1000),
            },
        )


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


def _change(document: Document) -> Change:
    body = document.body
    at = dt.datetime.fromtimestamp(_number(body["at_ms"]) / 1000, tz=dt.UTC)
    letter = body["letter"]
    return Change(
        sequence=_number(body["sequence"]),
        recording_id=str(body["recording"]),
        state=str(body["state"]),
        letter=None if letter is None else str(letter),
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _number(value: object) -> int:
    assert isinstance(value, int), "a stored number"
    return value
