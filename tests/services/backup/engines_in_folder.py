"""What services apart stand on, in a folder, where an embedded vault finds it and can serve it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.cli.apart.restore_into_engines import IntoEngines
from voicefile.cli.embedded import BARE, STORES, Fittings
from voicefile.cli.place import Place
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.sqlite import SqliteDocStore


@dataclass
class OfOneService:
    service: str
    place: Place
    fittings: Fittings
    running: AsyncExitStack

    async def opened(self, plan):
        path = self.place.documents(self.service)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = await SqliteDocStore.open(path, (*plan.collections, MIGRATIONS))
        self.running.push_async_callback(store.close)
        return self.fittings.documents(self.service, store)

    async def root(self):
        return FileRootKey(self.place.root(self.service))

    async def blobs(self):
        return self.fittings.blobs("restore", FilesystemBlobStore(self.place.blobs))


@asynccontextmanager
async def engines_in(place: Place, *, fittings: Fittings = BARE) -> AsyncIterator[IntoEngines]:
    async with AsyncExitStack() as running:
        engines = {each: OfOneService(each, place, fittings, running) for each in STORES}
        yield IntoEngines(engines, str(place.data))
