"""Restores into a folder, which becomes an embedded vault's."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.private_file import sync, write_private
from voicefile.cli.embedded import BARE, STORES, Fittings
from voicefile.cli.place import Place
from voicefile.cli.restore import NoRoot, give_up
from voicefile.crypto.rootkey import RootKey
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import DocStore
from voicefile.docstore.sqlite import SqliteDocStore

_ROOTED: Final = ("auth", "audit")


class IntoFolder:
    """The Destination port over the folder that also has the mark: it can't be served meanwhile."""

    name = "folder"
    destroys_roots = True
    """The root key is a copy."""

    def __init__(self, place: Place, root: Path, fittings: Fittings = BARE) -> None:
        """`root`: the folder of the root key's files, auth's and audit's."""
        self._place = place
        self._root = root
        self._fittings = fittings

    async def begin(self, manifest: str) -> None:
        """The mark in the folder has done it."""

    async def bring_root(self) -> None:
        """Copies it anew until auth is there: who gave the wrong files first gives others now."""
        if await self.has("auth"):
            return
        if not all(any((self._root / service).glob("*.root")) for service in _ROOTED):
            raise NoRoot
        target = self._place.root("auth").parent
        fresh = target.with_name(".root.new")
        for leftover in (fresh, target):
            shutil.rmtree(leftover, ignore_errors=True)
        for service in _ROOTED:
            (fresh / service).mkdir(mode=0o700, parents=True)
            for file in (self._root / service).glob("*.root"):
                write_private(fresh / service / file.name, file.read_bytes())
        fresh.chmod(0o700)
        fresh.rename(target)
        sync(self._place.data)

    async def root(self, service: str) -> RootKey:
        return FileRootKey(self._place.root(service))

    async def has(self, service: str) -> bool:
        return self._place.documents(service).exists()

    @asynccontextmanager
    async def making(self, service: str) -> AsyncIterator[DocStore]:
        """It gets its name when it is full: one that was killed is begun anew."""
        path = self._place.documents(service)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        # The journal of one that had the name before would be read into this one.
        await self.forget(service)
        for leftover in path.parent.glob(f"{fresh.name}*"):
            leftover.unlink()
        plan = STORES[service]
        collections = (*plan.collections, MIGRATIONS)
        store = await SqliteDocStore.open(fresh, collections, on_broken=give_up)
        try:
            yield self._fittings.documents(service, store)
        finally:
            await store.close()
        sync(fresh)
        fresh.rename(path)
        sync(path.parent)

    async def forget(self, service: str) -> None:
        path = self._place.documents(service)
        # Itself first: what its journal alone still holds is nothing that anybody opens.
        for leftover in (path, *path.parent.glob(f"{path.name}-*")):
            leftover.unlink(missing_ok=True)

    @asynccontextmanager
    async def made(self, service: str) -> AsyncIterator[DocStore]:
        collections = (*STORES[service].collections, MIGRATIONS)
        store = await SqliteDocStore.open(self._place.documents(service), collections)
        try:
            yield store
        finally:
            await store.close()

    async def blobs(self) -> BlobStore:
        blobs = self._fittings.blobs("restore", FilesystemBlobStore(self._place.blobs))
        await blobs.sweep_unfinished(0)
        return blobs

    async def open(self) -> None:
        """The mark's end does it."""

    async def opened(self) -> bool:
        return not self._place.restoring.exists()
