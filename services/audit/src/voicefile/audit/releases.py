"""Releases: each key that was given out finds the end of its listening in the log, or is told of.

Two services write the two halves, so they come in any order. Whichever comes first waits in the
store for the other; what waits too long is looked up in the log itself, and then reported once.
Nothing is kept in memory, and each half is looked at once.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from voicefile.audit.events import deed_of
from voicefile.audit.findable import token, with_token
from voicefile.audit.metrics import releases_unmatched
from voicefile.audit.settings import AuditSettings
from voicefile.audit.store import (
    SEGMENTS,
    WATCHED,
    Segment,
    Watched,
    body_of,
    record_of,
    segment_id,
)
from voicefile.chassis.rounds import keep_doing
from voicefile.contracts.deed.v1 import Action, Deed, Outcome
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.docstore.tenant import TenantCollection

log = structlog.get_logger(__name__)

BATCH_DOCUMENTS: Final = 100
SEGMENTS_LOOKED_AT_MAX: Final = 16
"""A release's id stands in its release, in those that joined it, and in the end: not in more."""


@dataclass
class _Halves:
    """What some segments say of releases."""

    granted: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    def take(self, deed: Deed) -> None:
        if deed.action == Action.ACTION_LISTENING_ENDED:
            self.ended.add(deed.object_id)
        elif deed.related_id and _is_grant(deed):
            self.granted.add(deed.related_id)

    @classmethod
    def of(cls, segments: Iterable[Segment]) -> "_Halves":
        found = cls()
        for segment in segments:
            for entry in segment.entries:
                found.take(deed_of(entry))
        return found


def _is_grant(deed: Deed) -> bool:
    done = deed.outcome == Outcome.OUTCOME_DONE
    return done and deed.action == Action.ACTION_RELEASE_GRANTED


class ReleaseWatch:
    """Pairs releases with the ends of their listenings."""

    def __init__(
        self,
        docs: DocStore,
        *,
        settings: AuditSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._docs = docs
        self._within_s = settings.outcome_within_s
        self._look_every_s = settings.outcome_look_s
        self._now_s = now_s

    async def run(self) -> None:
        """Looks now and then, until cancelled."""
        await keep_doing(self.look, every_s=self._look_every_s, name="audit_releases")

    async def note(self, tenant: str, segments: Iterable[Segment]) -> None:
        """Takes in what these segments say; done twice it changes nothing that `look` relies on."""
        halves = _Halves.of(segments)
        for release in sorted(halves.granted | halves.ended):
            await self._note(
                tenant, release, granted=release in halves.granted, ended=release in halves.ended
            )

    async def _note(self, tenant: str, release: str, *, granted: bool, ended: bool) -> None:
        watched = TenantCollection(self._docs, WATCHED, tenant)
        stored = await watched.get(release)
        if stored is not None:
            before = record_of(stored, Watched)
            granted, ended = granted or before.granted, ended or before.ended
        try:
            if granted and ended:
                if stored is not None:
                    await watched.delete(stored)
            elif stored is None:
                due_s = int(self._now_s()) + self._within_s
                await watched.insert(
                    Document(release, tenant, body_of(Watched(granted, ended, due_s)))
                )
        except (DocumentExists, VersionConflict):
            return  # another leader noted it; `look` asks the log before it says anything

    async def look(self) -> int:
        """Reports what waits for its other half too long, each once; answers how many."""
        told = 0
        while due := await self._docs.due(
            WATCHED, "due", int(self._now_s()), limit=BATCH_DOCUMENTS
        ):
            for document in due:
                told += await self._look_at(document)
        return told

    async def _look_at(self, document: Document) -> bool:
        halves = await self._in_the_log(document.tenant, document.id)
        whole = document.id in halves.granted and document.id in halves.ended
        try:
            if whole:
                await self._docs.delete(WATCHED, document)
                return False
            watched = record_of(document, Watched)
            told = body_of(Watched(watched.granted, watched.ended, due_at_s=None))
            replaced = Document(document.id, document.tenant, told, document.version)
            await self._docs.replace(WATCHED, replaced)
        except VersionConflict:
            return False  # its other half came just now
        missing = "outcome" if watched.granted else "release"
        releases_unmatched().labels(missing).inc()
        log.error("release_unmatched", release=document.id, reason=missing)
        return True

    async def _in_the_log(self, tenant: str, release: str) -> _Halves:
        halves = _Halves()
        segments = TenantCollection(self._docs, SEGMENTS, tenant)
        for found in await with_token(
            self._docs, tenant, token("object", release), start=0, limit=SEGMENTS_LOOKED_AT_MAX
        ):
            stored = await segments.get(segment_id(tenant, found.first))
            if stored is not None:
                for entry in record_of(stored, Segment).entries:
                    halves.take(deed_of(entry))
        return halves
