"""Boots: which deeds of which instance are in a log, so that none is missed or taken twice."""

import asyncio
from collections.abc import Iterable, Mapping

from voicefile.audit.numbering import Numbers
from voicefile.audit.store import BOOTS, Boot, Segment, body_of, record_of
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict

PAGE_DOCUMENTS = 500
WRITE_TRIES_MAX = 10


class Boots:
    """Each instance's numbers as sequenced, in memory; filled from the store on first sight."""

    def __init__(self, docs: DocStore) -> None:
        self._docs = docs
        self._known: dict[str, Numbers] = {}

    async def load(self, *, seen_since_s: int) -> None:
        """Forgets all, then loads the instances heard of since then."""
        self._known.clear()
        start = seen_since_s
        while page := await self._docs.ranged(BOOTS, "seen", start, limit=PAGE_DOCUMENTS):
            fresh = [document for document in page if document.id not in self._known]
            for document in page:
                self._known[document.id] = Numbers(record_of(document, Boot).runs)
            # The index orders by second: a whole page within one second is paged past it.
            start = record_of(page[-1], Boot).seen_at_s + (0 if fresh else 1)
            if len(page) < PAGE_DOCUMENTS:
                return

    async def of(self, boot: str) -> Numbers:
        """The numbers of one instance."""
        numbers = self._known.get(boot)
        if numbers is None:
            document = await self._docs.get(BOOTS, boot)
            runs = record_of(document, Boot).runs if document else ()
            # Whoever asked meanwhile may have added to it already.
            numbers = self._known.setdefault(boot, Numbers(runs))
        return numbers

    async def note(self, segment: Segment) -> None:
        """Takes in what a stored segment holds."""
        for boot, listed in segment.numbers.items():
            numbers = await self.of(boot)
            for n in listed:
                numbers.add(n)

    def known(self) -> Mapping[str, Numbers]:
        """All instances in memory."""
        return self._known


async def publish_numbers(docs: DocStore, segments: Iterable[Segment], *, now_s: float) -> None:
    """Brings the stored boots up to these segments; done twice it changes nothing."""
    arrived: dict[str, Numbers] = {}
    for segment in segments:
        for boot, listed in segment.numbers.items():
            numbers = arrived.setdefault(boot, Numbers())
            for n in listed:
                numbers.add(n)
    async with asyncio.TaskGroup() as merges:
        for boot, numbers in arrived.items():
            merges.create_task(_merge(docs, boot, numbers, int(now_s)))


async def _merge(docs: DocStore, boot: str, numbers: Numbers, now_s: int) -> None:
    for _ in range(WRITE_TRIES_MAX):
        stored = await docs.get(BOOTS, boot)
        merged = Numbers(record_of(stored, Boot).runs if stored else ())
        merged.merge(numbers)
        body = body_of(Boot(runs=merged.runs, seen_at_s=now_s))
        try:
            if stored is None:
                await docs.insert(BOOTS, Document(boot, "", body))
            elif body["runs"] != stored.body["runs"]:
                await docs.replace(BOOTS, Document(boot, "", body, stored.version))
        except (DocumentExists, VersionConflict):
            continue  # another log's publisher was quicker: merge with what it wrote
        return
    raise VersionConflict(f"{BOOTS.name} {boot}")
