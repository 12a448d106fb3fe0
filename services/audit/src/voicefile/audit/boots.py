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
                self._known[document.id] = _numbers_of(document)
            # The index orders by second: a whole page within one second is paged past it.
            start = record_of(page[-1], Boot).seen_at_s + (0 if fresh else 1)
            if len(page) < PAGE_DOCUMENTS:
                return

    async def of(self, boot: str) -> Numbers:
        """The numbers of one instance."""
        numbers = self._known.get(boot)
        if numbers is None:
            document = await self._docs.get(BOOTS, boot)
            # Whoever asked meanwhile may have added to it already.
            numbers = self._known.setdefault(boot, _numbers_of(document))
        return numbers

    async def note(self, segment: Segment) -> None:
        """Takes in what a stored segment holds."""
        for boot in segment.numbers:
            _take_in(await self.of(boot), segment, boot)

    def known(self) -> Mapping[str, Numbers]:
        """All instances in memory."""
        return self._known


async def publish_numbers(docs: DocStore, segments: Iterable[Segment], *, now_s: float) -> None:
    """Brings the stored boots up to these segments; done twice it changes nothing."""
    arrived: dict[str, Numbers] = {}
    for segment in segments:
        for boot in segment.numbers:
            _take_in(arrived.setdefault(boot, Numbers()), segment, boot)
    async with asyncio.TaskGroup() as merges:
        for boot, numbers in arrived.items():
            merges.create_task(_merge(docs, boot, numbers, int(now_s)))


async def _merge(docs: DocStore, boot: str, numbers: Numbers, now_s: int) -> None:
    for _ in range(WRITE_TRIES_MAX):
        stored = await docs.get(BOOTS, boot)
        merged = _numbers_of(stored)
        before = (merged.runs, merged.stored_through)
        merged.merge(numbers)
        after = (merged.runs, merged.stored_through)
        body = body_of(Boot(runs=after[0], seen_at_s=now_s, stored_through=after[1]))
        try:
            if stored is None:
                await docs.insert(BOOTS, Document(boot, "", body))
            elif after != before:
                await docs.replace(BOOTS, Document(boot, "", body, stored.version))
        except (DocumentExists, VersionConflict):
            continue  # another log's publisher was quicker: merge with what it wrote
        return
    raise VersionConflict(f"{BOOTS.name} {boot}")


def _numbers_of(document: Document | None) -> Numbers:
    if document is None:
        return Numbers()
    boot = record_of(document, Boot)
    return Numbers(boot.runs, stored_through=boot.stored_through)


def _take_in(numbers: Numbers, segment: Segment, boot: str) -> None:
    through = segment.stored_through.get(boot, 0)
    for n in segment.numbers[boot]:
        numbers.heard(n, stored_through=through)
