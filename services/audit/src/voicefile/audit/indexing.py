"""Indexing: makes segments findable by what is in them, behind the log and never in its way.

A segment is appended and published without it; a reader reads what is not indexed yet. Each step
can be done again and finds what it did before.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from voicefile.audit.findable import document_of, indexed_document
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.segments import segments_from
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import FINDABLE, HEADS, INDEXED, Indexed, body_of, record_of
from voicefile.chassis.metrics import loop_failures
from voicefile.chassis.stack import where_it_broke
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.translog.origin import log_of

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How far a reader may have to read for itself: what came in a second."""
LOGS_AT_ONCE: Final = 16
PAGE_DOCUMENTS: Final = 500


class Indexer:
    """Indexes every log that has news; in the instance that leads."""

    def __init__(self, docs: DocStore, *, settings: AuditSettings, watch: ReleaseWatch) -> None:
        self._docs = docs
        self._settings = settings
        self._watch = watch
        self._with_news: set[str] = set()

    def appended(self, tenant: str) -> None:
        """Says that a log has news."""
        self._with_news.add(tenant)

    async def run(self) -> None:
        """Takes up every log where the leader before has left off, then what is new; for ever."""
        behind = True
        while True:
            if behind:
                behind = not await self._surviving(None)
            await self._round()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _round(self) -> None:
        waiting, self._with_news = sorted(self._with_news), set()
        for at in range(0, len(waiting), LOGS_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for tenant in waiting[at : at + LOGS_AT_ONCE]:
                    group.create_task(self._surviving(tenant))

    async def _surviving(self, tenant: str | None) -> bool:
        """Indexes a log, or notes all logs there are; whether it came to its end."""
        try:
            if tenant is None:
                await self._note_all()
            else:
                while await self.index(tenant):
                    pass
        except Exception as error:  # noqa: BLE001 - the loop's edge: see below
            # Nothing is lost: what is not indexed is read, and the next round begins again here.
            loop_failures().labels("audit_index").inc()
            log.warning("round_failed", loop="audit_index", **where_it_broke(error))
            if tenant is not None:
                self.appended(tenant)
            return False
        return True

    async def _note_all(self) -> None:
        after = ""
        while page := await self._docs.scan(HEADS, after=after, limit=PAGE_DOCUMENTS):
            self._with_news.update(document.tenant for document in page)
            after = page[-1].id

    async def index(self, tenant: str) -> bool:
        """One step; whether there may be more."""
        stored = await indexed_document(self._docs, tenant)
        done = 0 if stored is None else record_of(stored, Indexed).stop
        limit = self._settings.index_segments_max
        segments = await segments_from(self._docs, tenant, done, limit=limit)
        if not segments:
            return False
        await self._watch.note(tenant, segments)
        await self._make_findable([document_of(tenant, segment) for segment in segments])
        # Said last: a reader believes it and reads nothing below it that has no token.
        await self._say(tenant, stored, segments[-1].stop)
        return len(segments) == limit

    async def _make_findable(self, documents: Sequence[Document]) -> None:
        try:
            await self._docs.insert_many(FINDABLE, documents)
        except DocumentExists:
            return  # done before a crash, or by another leader; those that were missing are in

    async def _say(self, tenant: str, stored: Document | None, stop: int) -> None:
        body = body_of(Indexed(stop))
        try:
            if stored is None:
                await self._docs.insert(INDEXED, Document(log_of(tenant), tenant, body))
            else:
                document = Document(stored.id, tenant, body, stored.version)
                await self._docs.replace(INDEXED, document)
        except (DocumentExists, VersionConflict):
            return  # another leader is at it, and has said what is true
