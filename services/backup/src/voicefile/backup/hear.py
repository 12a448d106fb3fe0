"""Hears what there is to copy and what was erased: written down here first, done by a loop.

So a target that is away holds up neither the bus nor another target.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from voicefile.backup.events import Buried, blobs_in, graves_in
from voicefile.backup.store import GRAVES, WANTED, at
from voicefile.docstore.port import DocStore, Document, DocumentExists
from voicefile.eventbus.port import Event


class Ears:
    """Both topics' handlers. Safe to repeat: what is written down already stays as it is."""

    def __init__(
        self, docs: DocStore, targets: Sequence[str], *, now_s: Callable[[], float] = time.time
    ) -> None:
        self._docs = docs
        self._targets = targets
        self._now_s = now_s

    async def stored(self, events: Sequence[Event]) -> None:
        """Of ingest: blobs to copy."""
        names = dict.fromkeys(name for event in events for name in blobs_in(event.payload))
        documents = [
            Document(at(target, name), "", {"target": target, "blob": name})
            for target in self._targets
            for name in names
        ]
        with suppress(DocumentExists):
            await self._docs.insert_many(WANTED, documents)

    async def erased(self, events: Sequence[Event]) -> None:
        """Of auth: what is to stay erased."""
        at_s = int(self._now_s())
        buried = [each for event in events for each in graves_in(event.payload, at_s=at_s)]
        unique = {(each.grave.what, each.grave.id): each for each in buried}.values()
        documents = [_waiting(target, each) for target in self._targets for each in unique]
        with suppress(DocumentExists):
            await self._docs.insert_many(GRAVES, documents)


def _waiting(target: str, buried: Buried) -> Document:
    grave = buried.grave
    body = {
        "what": grave.what,
        "id": grave.id,
        "at_s": grave.at_s,
        "blobs": grave.blobs,
        "left": buried.left,
        "waiting": target,
    }
    return Document(at(target, f"{grave.what}:{grave.id}"), "", body)
