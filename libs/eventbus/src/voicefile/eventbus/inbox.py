"""The inbox: remembers which events a group has handled, so that a second delivery does nothing."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    DocumentExists,
    Index,
    VersionConflict,
)
from voicefile.eventbus.port import Event

INBOX = Collection("inbox", indexes=(Index("expires", "expires_at_s"),), silent=True)
"""Document id: group and event id. To be declared by a service that uses an Inbox."""

KEEP_S = 14 * 24 * 3600
"""How long a handled event is remembered. One that comes later still is handled again, so
handlers stay harmless to repeat: the inbox saves work, it is no proof."""


class Inbox:
    """What one group has handled: `fresh`, then the work, then `mark`."""

    def __init__(
        self,
        store: DocStore,
        *,
        group: str,
        keep_s: int = KEEP_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._group = group
        self._keep_s = keep_s
        self._now_s = now_s

    async def fresh(self, events: Sequence[Event]) -> list[Event]:
        """Those not yet handled, each once, in their order."""
        once = list({event.id: event for event in events}.values())
        async with asyncio.TaskGroup() as reads:
            known = [
                reads.create_task(self._store.get(INBOX, self._name(event.id))) for event in once
            ]
        return [event for event, read in zip(once, known, strict=True) if read.result() is None]

    async def mark(self, events: Sequence[Event]) -> None:
        """Remembers them as handled; call it after the work is durable."""
        expires_at_s = int(self._now_s()) + self._keep_s
        handled = [
            Document(self._name(event_id), "", {"expires_at_s": expires_at_s})
            for event_id in {event.id for event in events}
        ]
        with suppress(DocumentExists):  # handled twice side by side: known either way
            await self._store.insert_many(INBOX, handled)
        # Forgets twice as fast as it learns: it needs no job of its own to stay small.
        await self.forget_expired(limit=2 * len(handled))

    async def forget_expired(self, *, limit: int = 500) -> int:
        """Drops what is older than it has to be; answers how much."""
        now_s = int(self._now_s())
        expired = await self._store.due(INBOX, "expires", now_s, limit=limit)
        async with asyncio.TaskGroup() as writes:
            for document in expired:
                writes.create_task(self._forget(document))
        return len(expired)

    async def _forget(self, document: Document) -> None:
        with suppress(VersionConflict):  # another instance was quicker
            await self._store.delete(INBOX, document)

    def _name(self, event_id: str) -> str:
        return f"{self._group}:{event_id}"
