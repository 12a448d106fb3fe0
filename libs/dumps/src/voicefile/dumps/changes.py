"""Changes: what of a service's documents has changed since an earlier dump, or all of them.

The mark is made before anything is read, so what is written meanwhile is in the next dump for
certain, and perhaps in this one as well: whoever applies one after the other has each as it was
last. Each document is in a dump of changes once, as it is when it is read, or as gone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection, DocStore, Document, MarkUnknown
from voicefile.dumps.dump import (
    PAGE_DOCUMENTS,
    Begun,
    Item,
    Items,
    LeftOut,
    as_item,
    gone,
    pages,
)

CHANGES_MAX: Final = 200_000
"""Ids that are held at a time; where more have changed in one collection, all are dumped."""
_ALL: Final = 2**31

Source = Callable[[str], Awaitable[Begun]]
"""Begins a dump: since that mark if it can, of all there is else."""


def always_whole(items: Callable[[], Items]) -> Source:
    """For what is dumped as a whole each time."""

    async def begin(_since: str) -> Begun:
        return Begun(items())

    return begin


def following(
    store: DocStore,
    collections: Sequence[Collection],
    *,
    everything: Callable[[], Items],
    changes: Callable[[str], Items],
    changes_max: int = CHANGES_MAX,
) -> Source:
    """For documents: what comes out of these collections, all or changed since a mark."""

    async def begin(since: str) -> Begun:
        mark = await store.mark()
        if not since or not await _few(store, collections, since, changes_max):
            return Begun(everything(), mark=mark)
        whole = tuple(each.name for each in collections if not each.follows)
        return Begun(changes(since), since, mark, whole)

    return begin


async def _few(
    store: DocStore, collections: Sequence[Collection], since: str, changes_max: int
) -> bool:
    """Whether the store knows what has changed since, and it is worth a dump of its own."""
    try:
        for each in collections:
            if not each.follows:
                continue
            if len(await store.changed(each, since, limit=changes_max)) == changes_max:
                return False
    except MarkUnknown:
        return False
    return True


def documents_of(
    store: DocStore, collections: Sequence[Collection], *, changes_max: int = CHANGES_MAX
) -> Source:
    """The documents of these collections as they are, and how far the store was migrated."""
    every = (MIGRATIONS, *collections)
    return following(
        store,
        every,
        everything=partial(_all, store, every),
        changes=partial(_changed, store, every),
        changes_max=changes_max,
    )


async def _all(store: DocStore, collections: Sequence[Collection]) -> Items:
    for collection in collections:
        async for document in pages(store, collection):
            yield as_item(collection.name, document)


async def _changed(store: DocStore, collections: Sequence[Collection], since: str) -> Items:
    for collection in collections:
        async for item in changes_as_they_are(store, collection, since):
            yield item


async def changes_as_they_are(store: DocStore, collection: Collection, since: str) -> Items:
    """What has changed in one collection; all of it, where nobody knows what has."""
    if not collection.follows:
        async for item in _all(store, [collection]):
            yield item
        return

    async def as_it_is(document: Document) -> Item:
        return as_item(collection.name, document)

    async for item in changes_made(store, collection, since, as_it_is):
        yield item


async def changes_made(
    store: DocStore,
    collection: Collection,
    since: str,
    make: Callable[[Document], Awaitable[Item | LeftOut]],
) -> Items:
    """What has changed in one collection, as `make` has it; what is left out is gone, too."""
    missing: list[str] = []
    ids = await changed_ids(store, collection, since)
    async for document in these(store, collection, ids, missing):
        item = await make(document)
        if isinstance(item, LeftOut):
            missing.append(document.id)
        yield item
    for document_id in sorted(missing):
        yield gone(collection.name, document_id)


async def changed_ids(store: DocStore, collection: Collection, since: str) -> list[str]:
    """Ids of what was changed or deleted, in their order. Raises MarkUnknown."""
    return await store.changed(collection, since, limit=_ALL)


async def these(
    store: DocStore, collection: Collection, ids: Sequence[str], missing: list[str]
) -> AsyncIterator[Document]:
    """The documents of those ids, a page in memory at a time; adds ids of no document."""
    for start in range(0, len(ids), PAGE_DOCUMENTS):
        page = ids[start : start + PAGE_DOCUMENTS]
        found = {each.id: each for each in await store.get_many(collection, page)}
        for document_id in page:
            if document_id in found:
                yield found[document_id]
            else:
                missing.append(document_id)
