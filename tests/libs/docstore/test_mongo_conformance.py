"""MongoDB keeps the document store's law; so does the stand-in where no mongod is installed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest
from tests.libs.docstore.mongo_places import Place, shared_place

from voicefile.docstore.changes_conformance import DocStoreChangesConformance
from voicefile.docstore.conformance import COLLECTIONS, DocStoreConformance
from voicefile.docstore.index_conformance import DocStoreIndexConformance
from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.outbox_conformance import (
    DocStoreCrashConformance,
    DocStoreOutboxConformance,
)
from voicefile.docstore.port import DocStore

WRITER = """
import asyncio, pathlib, sys
from voicefile.docstore.conformance import COLLECTIONS
from voicefile.docstore.mongo import MongoDocStore
from voicefile.docstore.outbox_conformance import write_and_acknowledge

async def main():
    uri, database, ca = sys.argv[1:]
    store = await MongoDocStore.open(uri, database, COLLECTIONS, tls_ca=pathlib.Path(ca))
    await write_and_acknowledge(store)

asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with shared_place() as place:
        yield place


async def opened(place: Place) -> MongoDocStore:
    return await MongoDocStore.open(place.uri, place.database, COLLECTIONS, tls_ca=place.ca)


class _Mongo:
    @pytest.fixture
    async def store(self, place: Place) -> AsyncIterator[DocStore]:
        store = await opened(place)
        yield store
        await store.close()


class TestMongo(_Mongo, DocStoreConformance):
    pass


class TestMongoIndexes(_Mongo, DocStoreIndexConformance):
    pass


class TestMongoOutbox(_Mongo, DocStoreOutboxConformance):
    pass


class TestMongoChanges(_Mongo, DocStoreChangesConformance):
    pass


class TestMongoCrashes(DocStoreCrashConformance):
    @pytest.fixture(params=[1, 40, 400])
    def acknowledged_min(self, request: pytest.FixtureRequest) -> int:
        return request.param

    @pytest.fixture
    def writer_argv(self, place: Place) -> Sequence[str]:
        return ["-c", WRITER, place.uri, place.database, str(place.ca)]

    @pytest.fixture
    async def reopened(self, place: Place) -> AsyncIterator[Callable[[], Awaitable[DocStore]]]:
        stores: list[MongoDocStore] = []

        async def reopen() -> DocStore:
            stores.append(await opened(place))
            return stores[-1]

        yield reopen
        for store in stores:
            await store.close()
