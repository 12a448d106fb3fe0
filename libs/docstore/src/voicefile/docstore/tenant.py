"""One tenant's view of a collection: from here no other tenant's document can be reached."""

from collections.abc import Sequence

from voicefile.docstore.port import (
    INT_MIN,
    Collection,
    DocStore,
    Document,
    ForeignTenant,
    Replaced,
)


class TenantCollection:
    """A collection as one tenant sees it, like a chroot: what is foreign is missing."""

    def __init__(self, store: DocStore, collection: Collection, tenant: str) -> None:
        self._store = store
        self._collection = collection
        self._tenant = tenant

    @property
    def tenant(self) -> str:
        return self._tenant

    async def get(self, document_id: str) -> Document | None:
        document = await self._store.get(self._collection, document_id)
        # Not a filter in the query: the same read, and so the same time, for foreign and own.
        return document if document is not None and document.tenant == self._tenant else None

    async def get_many(self, ids: Sequence[str]) -> list[Document]:
        found = await self._store.get_many(self._collection, ids)
        return [each for each in found if each.tenant == self._tenant]

    async def insert(self, document: Document) -> Document:
        return await self._store.insert(self._collection, self._own(document))

    async def insert_many(self, documents: Sequence[Document]) -> None:
        await self._store.insert_many(self._collection, [self._own(each) for each in documents])

    async def replace(self, document: Document) -> Document:
        return await self._store.replace(self._collection, self._own(document))

    async def replace_many(
        self, documents: Sequence[Document], *, unseen: bool = False
    ) -> list[Replaced]:
        own = [self._own(each) for each in documents]
        return await self._store.replace_many(self._collection, own, unseen=unseen)

    async def delete(self, document: Document) -> None:
        await self._store.delete(self._collection, self._own(document))

    async def find(
        self, index: str, value: str | bytes | int, *, after: str = "", limit: int = 100
    ) -> list[Document]:
        return await self._store.find(
            self._collection, index, value, tenant=self._tenant, after=after, limit=limit
        )

    async def find_any(
        self, index: str, values: Sequence[str], *, limit: int = 100
    ) -> list[Document]:
        return await self._store.find_any(
            self._collection, index, values, tenant=self._tenant, limit=limit
        )

    async def scan(self, *, after: str = "", limit: int = 100) -> list[Document]:
        return await self._store.scan(
            self._collection, tenant=self._tenant, after=after, limit=limit
        )

    async def ranged(self, index: str, start: int, *, limit: int = 100) -> list[Document]:
        return await self._store.ranged(
            self._collection, index, start, tenant=self._tenant, limit=limit
        )

    async def newest(self, index: str) -> Document | None:
        return await self._store.newest(self._collection, index, tenant=self._tenant)

    async def due(
        self, index: str, until: int, *, start: int = INT_MIN, limit: int = 100
    ) -> list[Document]:
        return await self._store.due(
            self._collection, index, until, start=start, tenant=self._tenant, limit=limit
        )

    def _own(self, document: Document) -> Document:
        if document.tenant != self._tenant:
            raise ForeignTenant(f"{self._collection.name} {document.id}")
        return document
