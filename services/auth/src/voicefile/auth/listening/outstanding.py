"""Outstanding: deeds that left auth's store for the bus, and are not in the log yet.

Each instance knows its own numbers. What an instance that died has numbered, nobody would know;
so each one writes down now and then up to which number all of its deeds are stored: a mark. What
was under way when it died may never have been stored, and nobody waits for that. A mark is past
when the log has all numbers up to it; until then it says since when a deed has been on its way,
whoever looks.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog
from msgspec import Struct, convert, to_builtins

from voicefile.auth.listening.access_store import OUTSTANDING
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.identity.ids import PLATFORM

log = structlog.get_logger(__name__)

MARKS_MAX = 1_000
"""Marks that are looked at: one for each instance that lives, or whose deeds are on their way."""
IDLE_S = 3_600
"""A mark that is past goes after this, unless its instance makes a new one."""
FORGOTTEN_S = 86_400
"""What was sent is kept for a day and sent again if the bus lost it; what has not arrived by then
will not, and is told as lost."""


class Mark(Struct, frozen=True):
    """At that time an instance had all its deeds stored up to n. The document's id: its boot id."""

    n: int
    at_s: int


class Outstanding:
    """The marks of all instances over one store."""

    def __init__(
        self,
        store: DocStore,
        *,
        boot_id: str,
        stored_through: Callable[[], int],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._boot_id = boot_id
        self._stored_through = stored_through
        self._now_s = now_s

    async def for_s(self, sequenced: Mapping[str, int]) -> float:
        """How long the oldest deed of any instance has been on its way; 0 if none is.

        `sequenced`: how far the log has got, by instance.
        """
        now_s, longest_s = int(self._now_s()), 0.0
        own: Document | None = None
        for document in await self._store.scan(OUTSTANDING, limit=MARKS_MAX):
            mark = convert(document.body, Mark)
            on_its_way = sequenced.get(document.id, 0) < mark.n
            age_s = now_s - mark.at_s
            if document.id == self._boot_id:
                own = document
            elif age_s > (FORGOTTEN_S if on_its_way else IDLE_S):
                await self._forget(document, lost=on_its_way)
                continue
            if on_its_way:
                longest_s = max(longest_s, age_s)
        await self._mark(own, sequenced.get(self._boot_id, 0))
        return longest_s

    async def _mark(self, own: Document | None, sequenced: int) -> None:
        n = self._stored_through()
        before = 0 if own is None else convert(own.body, Mark).n
        # A mark on its way stays as it is: its time is that of the oldest deed that is missing.
        if n <= before or sequenced < before:
            return
        body = to_builtins(Mark(n, int(self._now_s())))
        with suppress(DocumentExists, VersionConflict):  # cleared away just now: the next time
            if own is None:
                await self._store.insert(OUTSTANDING, Document(self._boot_id, PLATFORM, body))
            else:
                await self._store.replace(OUTSTANDING, replace(own, body=body))

    async def _forget(self, document: Document, *, lost: bool) -> None:
        if lost:
            log.error("deeds_never_arrived", boot=document.id)
        with suppress(VersionConflict):
            await self._store.delete(OUTSTANDING, document)
