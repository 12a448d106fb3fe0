"""The journal of what was sent: a broker that loses everything loses nothing of ours.

Before published events leave their documents they are kept here, with where they lie in the
broker's log. When that log turns out to be lost, a new *epoch* begins: what is kept under an older
one is published again, oldest first, and moves into the new one document by document. So a
successor goes on where this one stopped.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    Index,
    VersionConflict,
)
from voicefile.eventbus.kafka_record import Place
from voicefile.eventbus.port import Event

SENT = Collection(
    "sent", indexes=(Index("number", "number"), Index("until", "until_s")), silent=True
)
"""What was published lately. To be declared by a service whose relay keeps a journal."""

KEPT_S = 24 * 3600
"""How long. An event is lost only if a broker is, and a group was behind by more than this."""
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""One document holds payloads up to this; stores take 16 MiB."""
PAGE_DOCUMENTS = 8
PURGE_DOCUMENTS = 100
PURGE_PAGES_MAX = 20
"""So much is forgotten at once, at most: more than a relay sends in the same time."""
_HEAD = "head"
_TRIES = 5


class Contended(Exception):
    """Others keep taking our place in the journal: somebody else leads, too."""


@dataclass(frozen=True)
class Kept:
    """Events of one document of the journal, published in `epoch`."""

    document: Document
    epoch: int
    last: Mapping[Place, int]
    events: Sequence[Event]


class SentJournal:
    """The journal in a service's own store. Used by one publish at a time."""

    def __init__(
        self, store: DocStore, *, kept_s: int = KEPT_S, now_s: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._kept_s = kept_s
        self._now_s = now_s
        self._number = 0
        self.epoch = 1
        """Counts how often a log was lost."""
        self.behind = False
        """Whether something of an older epoch may still have to be published again."""
        self.cluster = ""
        """Whose log it is; empty until a first loss was looked for."""
        self.last: dict[Place, int] = {}
        """The offset of the last record of each partition in this epoch."""

    async def load(self) -> None:
        """What the store says now: another instance may have led meanwhile."""
        head = await self._store.get(SENT, _HEAD)
        body = {"epoch": 1, "behind": False, "cluster": "", "last": []}
        body |= {} if head is None else dict(head.body)
        self.epoch = _number(body["epoch"])
        self.behind = bool(body["behind"])
        self.cluster = str(body["cluster"])
        self.last = _places(body["last"])
        newest = await self._store.newest(SENT, "number")
        self._number = 0
        if newest is not None:
            self._number = _number(newest.body["number"])
            kept = _kept(newest)
            if kept.epoch == self.epoch:
                self.advance(kept.last)

    def advance(self, last: Mapping[Place, int]) -> None:
        """Takes note of how far the log has grown."""
        for place, offset in last.items():
            self.last[place] = max(offset, self.last.get(place, -1))

    def precedes(self, first: Mapping[Place, int]) -> bool:
        """Whether records lie where others were before: then those are gone."""
        return any(offset <= self.last.get(place, -1) for place, offset in first.items())

    async def keep(self, events: Sequence[Event], last: Mapping[Place, int]) -> None:
        """Durable when it returns."""
        for _ in range(_TRIES):
            self.advance(last)
            documents = [self._document(chunk) for chunk in _chunks(events)]
            try:
                await self._store.insert_many(SENT, documents)
            except DocumentExists:
                # Another instance leads, or led until just now: its numbers come before ours.
                await self.load()
                continue
            return
        raise Contended

    async def begin(self, cluster: str) -> None:
        """Notes whose log it is, the first time."""
        await self._write_head(cluster=cluster)

    async def begin_again(self, cluster: str) -> None:
        """The log is lost: from now on everything kept has to be published again."""
        self.epoch += 1
        self.behind = True
        self.last = {}
        await self._write_head(cluster=cluster)

    async def older(self) -> AsyncIterator[Kept]:
        """What is still to be published again, oldest first. Takes note of the rest in passing."""
        at = 0
        while page := await self._store.ranged(SENT, "number", at, limit=PAGE_DOCUMENTS):
            for document in page:
                at = _number(document.body["number"]) + 1
                kept = _kept(document)
                if kept.epoch == self.epoch:
                    self.advance(kept.last)
                else:
                    yield kept

    async def published_again(self, kept: Kept, last: Mapping[Place, int]) -> None:
        """It lies in the new log now."""
        self.advance(last)
        body = {**kept.document.body, "until_s": self._until_s(), "epoch": self.epoch}
        body["last"] = _written(self.last)
        with suppress(VersionConflict):  # forgotten, or done by another, who led before us
            await self._store.replace(SENT, replace(kept.document, body=body))

    async def caught_up(self) -> None:
        """Everything kept lies in the new log."""
        self.behind = False
        await self._write_head(cluster=self.cluster)

    async def purge(self) -> int:
        """Forgets what is old enough; answers how much. Call it while the log is sound only."""
        purged = 0
        for _ in range(PURGE_PAGES_MAX):
            now_s = int(self._now_s())
            old = await self._store.due(SENT, "until", now_s, limit=PURGE_DOCUMENTS)
            for document in old:
                with suppress(VersionConflict):
                    await self._store.delete(SENT, document)
            purged += len(old)
            if len(old) < PURGE_DOCUMENTS:
                break
        return purged

    def _document(self, events: Sequence[Event]) -> Document:
        self._number += 1
        body = {
            "number": self._number,
            "until_s": self._until_s(),
            "epoch": self.epoch,
            "last": _written(self.last),
            "events": [[each.id, each.topic, each.key, each.payload] for each in events],
        }
        return Document(f"{self._number:020d}", "", body)

    def _until_s(self) -> int:
        return int(self._now_s()) + self._kept_s

    async def _write_head(self, *, cluster: str) -> None:
        self.cluster = cluster
        body = {
            "epoch": self.epoch,
            "behind": self.behind,
            "cluster": cluster,
            "last": _written(self.last),
        }
        head = await self._store.get(SENT, _HEAD)
        try:
            if head is None:
                await self._store.insert(SENT, Document(_HEAD, "", body))
            elif _number(head.body["epoch"]) > self.epoch:
                raise Contended
            else:
                await self._store.replace(SENT, replace(head, body=body))
        except (DocumentExists, VersionConflict):
            raise Contended from None


def _chunks(events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    chunk: list[Event] = []
    size = 0
    for event in events:
        if chunk and size + len(event.payload) > DOCUMENT_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += len(event.payload)
    if chunk:
        yield chunk


def _written(last: Mapping[Place, int]) -> list[list[object]]:
    # Not a dict by topic: a store may not take a name with dots.
    return [[place.topic, place.partition, offset] for place, offset in sorted(last.items())]


def _places(stored: object) -> dict[Place, int]:
    assert isinstance(stored, list | tuple), "as written"
    return {Place(str(topic), _number(part)): _number(offset) for topic, part, offset in stored}


def _kept(document: Document) -> Kept:
    body = document.body
    stored = body["events"]
    assert isinstance(stored, list | tuple), "as written"
    events = [
        Event(str(event_id), str(topic), str(key), bytes(payload))
        for event_id, topic, key, payload in stored
    ]
    return Kept(document, _number(body["epoch"]), _places(body["last"]), events)


def _number(value: object) -> int:
    assert isinstance(value, int), "a stored number"
    return value
