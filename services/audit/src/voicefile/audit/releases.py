"""Releases: what auth says of each key it gave out is held against what playback says was heard.

Auth writes that it gave a key to an instance of playback and, when that gives it back, how many
bytes it was told were sent by it. Playback writes how the listening ended, and after how many
bytes. The two go different ways into the log, in any order. Each key must have its end, each end
its key, and bytes that auth was told of must stand in an end: a deed that is dropped or made
smaller on either way is missed by the other.

Each deed is looked at once. What is not even yet waits in the store; what waits too long is looked
up in the log itself, and then reported once. Nothing is kept in memory.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.docstore.port import (
    DocStore,
    Document,
    DocumentExists,
    Value,
    VersionConflict,
)
from voicefile.docstore.tenant import TenantCollection

log = structlog.get_logger(__name__)

BATCH_DOCUMENTS: Final = 100
BATCH_SEGMENTS: Final = 16
_GIVEN: Final = frozenset({Action.ACTION_RELEASE_GRANTED, Action.ACTION_RELEASE_JOINED})


@dataclass
class _Account:
    """What the log says of one release; each deed by its index, so that twice counts once."""

    given: set[int] = field(default_factory=set)
    ended: dict[int, int] = field(default_factory=dict)
    returned: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, watched: Watched) -> "_Account":
        return cls(set(watched.given), dict(watched.ended), dict(watched.returned))

    def add(self, other: "_Account") -> None:
        self.given |= other.given
        self.ended |= other.ended
        self.returned |= other.returned

    def stored(self, due_at_s: int | None) -> Mapping[str, Value]:
        """As it waits for more."""
        ended, returned = sorted(self.ended.items()), sorted(self.returned.items())
        return body_of(Watched(due_at_s, tuple(sorted(self.given)), tuple(ended), tuple(returned)))

    @property
    def is_even(self) -> bool:
        """Everybody says the same; most releases come to that at once."""
        ended, returned = sorted(self.ended.values()), sorted(self.returned.values())
        return len(self.given) == len(ended) and ended == returned

    @property
    def missing(self) -> str:
        """What the log should have and has not, now that no more is to come; empty if nothing.

        A key need not come back: its instance may have died, or auth have been away. One that
        came back after no byte may have no end: its listening had not begun.
        """
        untold = Counter(self.returned.values()) - Counter(self.ended.values())
        not_begun = untold.pop(0, 0)
        if len(self.given) > len(self.ended) + not_begun:
            return "outcome"
        if len(self.given) < max(len(self.ended), len(self.returned)):
            return "release"
        return "bytes" if untold else ""


def _accounts(segments: Iterable[Segment]) -> dict[str, _Account]:
    """By release: what these segments say of it."""
    found: defaultdict[str, _Account] = defaultdict(_Account)
    for segment in segments:
        for index, entry in enumerate(segment.entries, segment.first):
            deed = deed_of(entry)
            if deed.action == Action.ACTION_LISTENING_ENDED:
                found[deed.object_id].ended[index] = deed.bytes_sent
            elif deed.action == Action.ACTION_RELEASE_RETURNED:
                found[deed.object_id].returned[index] = deed.bytes_sent
            elif deed.action in _GIVEN and deed.outcome == Outcome.OUTCOME_DONE:
                found[deed.related_id].given.add(index)
    return found


class ReleaseWatch:
    """Holds releases, the ends of their listenings and the keys that came back together."""

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
        accounts = _accounts(segments)
        if not accounts:
            return
        watched = TenantCollection(self._docs, WATCHED, tenant)
        stored = {each.id: each for each in await watched.get_many(sorted(accounts))}
        new, more, even = list[Document](), list[Document](), list[Document]()
        # From the newest deed on: an instance that joined late may go on for as long again.
        due_at_s = int(self._now_s()) + self._within_s
        for release, account in sorted(accounts.items()):
            before = stored.get(release)
            if before is None:
                if not account.is_even:
                    new.append(Document(release, tenant, account.stored(due_at_s)))
                continue
            known = _Account.of(record_of(before, Watched))
            account.add(known)
            if account.is_even:
                even.append(before)
            elif account != known:
                more.append(replace(before, body=account.stored(due_at_s)))
        # Where another leader was faster it has noted the same; `look` asks the log before it says
        # anything.
        if new:
            with suppress(DocumentExists):
                await watched.insert_many(new)
        if more:
            await watched.replace_many(more)
        for each in even:
            with suppress(VersionConflict):
                await watched.delete(each)

    async def look(self) -> int:
        """Reports what waits for the rest too long, each once; answers how many."""
        told = 0
        while due := await self._docs.due(
            WATCHED, "due", int(self._now_s()), limit=BATCH_DOCUMENTS
        ):
            for document in due:
                told += await self._look_at(document)
        return told

    async def _look_at(self, document: Document) -> bool:
        account = await self._in_the_log(document.tenant, document.id)
        try:
            if not account.missing:
                await self._docs.delete(WATCHED, document)
                return False
            body = account.stored(due_at_s=None)
            await self._docs.replace(WATCHED, replace(document, body=body))
        except VersionConflict:
            return False  # more of it came just now
        releases_unmatched().labels(account.missing).inc()
        log.error("release_unmatched", release=document.id, reason=account.missing)
        return True

    async def _in_the_log(self, tenant: str, release: str) -> _Account:
        account, start = _Account(), 0
        segments = TenantCollection(self._docs, SEGMENTS, tenant)
        while page := await with_token(
            self._docs, tenant, token("object", release), start=start, limit=BATCH_SEGMENTS
        ):
            for found in page:
                stored = await segments.get(segment_id(tenant, found.first))
                if stored is not None:
                    said = _accounts([record_of(stored, Segment)])
                    account.add(said.get(release, _Account()))
            start = page[-1].stop
        return account
