"""Restore: a repository, a recipient's key and the root key make a vault in an empty folder.

Step by step, each whole or not at all, so that whoever is killed begins again where it was. Until
the last step a mark in the folder keeps it from being served: only a vault that has the newest
tombstones behind it may speak. The backup itself is only read.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from voicefile.audit.store import SEGMENTS, Segment
from voicefile.auth import app as auth
from voicefile.auth.dumping.bring_back import BroughtBack, Erased, bring_back
from voicefile.auth.ports import Ports
from voicefile.auth.settings import AuthSettings
from voicefile.auth.store import ACCESS
from voicefile.backup.errors import Damaged
from voicefile.backup.events import ACCESS as ACCESS_GRAVE
from voicefile.backup.events import RECORDING, TENANT
from voicefile.backup.layers import Layers
from voicefile.backup.manifest import Copied, Found
from voicefile.backup.read_back import LATEST, Reading
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.private_file import sync, write_private
from voicefile.cli.embedded import STORES
from voicefile.cli.engine_settings import read
from voicefile.cli.place import Place
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.deeds.deed import Actor, Deed, Role
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection, DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.dump import pages
from voicefile.dumps.segment import END, unpacked
from voicefile.eventbus.memory import MemoryEventBus

AS_THEY_ARE: Final = ("ingest", "playback", "audit")
"""Services whose documents are dumped, and come back, as they are."""
BATCH_DOCUMENTS: Final = 200
BLOBS_TOGETHER: Final = 8
"""At a time, each held in memory: waiting for the disk is most of what it costs."""


class NotEmpty(Exception):
    """The folder has something in it that is not of this restore."""


class NoRoot(Exception):
    """The root key's folder has no root key of auth and audit."""


@dataclass
class Restored:
    """What was restored, and what was not."""

    manifest: int
    taken_at_s: int
    auth: BroughtBack
    blobs: int = 0
    blobs_missing: list[str] = field(default_factory=list)
    """Blobs that documents name and the backup does not have, or not whole."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing but what was erased."""
        return not (self.blobs_missing or self.auth.without_keys or self.auth.refused)


def _go_on(_step: str) -> None:
    """Nothing happens between two steps, but in fault tests."""


async def restore(
    reading: Reading,
    place: Place,
    *,
    root: Path,
    at_s: float = LATEST,
    now_s: Callable[[], float] = time.time,
    between: Callable[[str], None] = _go_on,
) -> Restored:
    """Raises NotEmpty, NoRoot, ListTooOld, NothingToRestore, Damaged, Tampered, OtherDeployment."""
    found = await reading.manifest(at_s=at_s)
    _begin(place, found)
    between("begun")
    _copy_root(root, place)
    between("root copied")
    erased = await _erased(reading)
    for service in AS_THEY_ARE:
        if not place.documents(service).exists():
            await _bring_documents(await reading.dump(found, service), service, place)
        between(f"{service} restored")
    report = place.data / "restored-auth.json"
    if not place.documents("auth").exists():
        done = await _bring_auth(reading, found, erased, place, now_s=now_s)
        write_private(report, msgspec.json.encode(done))
    between("auth restored")
    restored = Restored(
        found.manifest.n,
        found.manifest.taken_at_s,
        msgspec.json.decode(report.read_bytes(), type=BroughtBack),
    )
    await _bring_blobs(reading, place, restored)
    between("blobs restored")
    report.unlink()
    place.restoring.unlink()
    return restored


def require_ours(place: Place) -> None:
    """That the folder is empty, or holds a restore that was not finished. Raises NotEmpty."""
    if place.restoring.exists() or not place.data.exists():
        return
    if any(path.name != "lock" for path in place.data.iterdir()):
        raise NotEmpty


def _begin(place: Place, found: Found) -> None:
    mark = {"manifest": found.note.sha256}
    require_ours(place)
    if place.restoring.exists():
        if msgspec.json.decode(place.restoring.read_bytes()) != mark:
            raise NotEmpty
        return
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place.restoring, msgspec.json.encode(mark))


def _copy_root(root: Path, place: Place) -> None:
    """The root key's files; what is not needed any more is destroyed in the copy, later."""
    target = place.root("auth").parent
    if target.exists():
        return
    if not all(any((root / service).glob("*.root")) for service in ("auth", "audit")):
        raise NoRoot
    fresh = target.with_name(".root.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for service in ("auth", "audit"):
        (fresh / service).mkdir(mode=0o700, parents=True)
        for file in (root / service).glob("*.root"):
            write_private(fresh / service / file.name, file.read_bytes())
    fresh.chmod(0o700)
    fresh.rename(target)


async def _erased(reading: Reading) -> Erased:
    """By the newest list of tombstones, and by the deeds in the newest log there is."""
    graves = await reading.graves()
    recordings = set(graves.ids(RECORDING))
    newest = await reading.dump(await reading.manifest(), "audit")
    async for item in newest.items(SEGMENTS.name):
        recordings |= set(_erased_in(msgspec.convert(unpacked(item).body, Segment)))
    return Erased(frozenset(recordings), graves.ids(ACCESS_GRAVE), graves.ids(TENANT))


def _erased_in(segment: Segment) -> list[str]:
    deeds = [DeedMessage.FromString(entry) for entry in segment.entries]
    return [
        deed.object_id
        for deed in deeds
        if deed.action == Action.ACTION_RECORDING_ERASED and deed.outcome == Outcome.OUTCOME_DONE
    ]


async def _bring_documents(dump: Layers, service: str, place: Place) -> None:
    await dump.check()
    by_name = {each.name: each for each in (*STORES[service].collections, MIGRATIONS)}
    async with _store_in_the_making(service, place) as store:
        for kind in await dump.kinds():
            if kind != END:
                await _insert_all(store, by_name[kind], dump)


async def _insert_all(store: DocStore, collection: Collection, dump: Layers) -> None:
    batch = []
    async for item in dump.items(collection.name):
        batch.append(unpacked(item))
        if len(batch) == BATCH_DOCUMENTS:
            await store.insert_many(collection, batch)
            batch = []
    await store.insert_many(collection, batch)


async def _bring_auth(
    reading: Reading, found: Found, erased: Erased, place: Place, *, now_s: Callable[[], float]
) -> BroughtBack:
    dump, keys = await reading.dump(found, "auth"), await reading.keys()
    await dump.check()
    await keys.check()
    async with _store_in_the_making("auth", place) as store:
        ports = await _ports(store, place, found.manifest.deployment, now_s=now_s)
        done = await bring_back(dump.items, keys.items, erased, ports=ports)
        operator = Actor("", Role.ROLE_OPERATOR)
        about = found.note.named.address
        await ports.deeds.record(
            Deed(actor=operator, action=Action.ACTION_BACKUP_RESTORED, object_id=about)
        )
    return done


async def _ports(
    store: DocStore, place: Place, deployment: str, *, now_s: Callable[[], float]
) -> Ports:
    service = auth.build(
        read(AuthSettings),
        deployment=deployment,
        docs=store,
        bus=MemoryEventBus(),
        root=FileRootKey(place.root("auth")),
        client=in_process_client({}),
        on_failure=_give_up,
        now_s=now_s,
    )
    ports: Ports = service.public.state.ports
    return ports


@asynccontextmanager
async def _store_in_the_making(service: str, place: Place) -> AsyncIterator[DocStore]:
    """A store that gets its name when it is full: one that was killed is begun anew."""
    path = place.documents(service)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    for leftover in path.parent.glob(f"{fresh.name}*"):
        leftover.unlink()
    plan = STORES[service]
    store = await SqliteDocStore.open(fresh, (*plan.collections, MIGRATIONS), on_broken=_give_up)
    try:
        yield store
    finally:
        await store.close()
    sync(fresh)
    fresh.rename(path)
    sync(path.parent)


async def _bring_blobs(reading: Reading, place: Place, restored: Restored) -> None:
    """The blobs that a document names; of erased recordings none does.

    By the newest manifest, which lists all that an older one does.
    """
    blobs = FilesystemBlobStore(place.blobs)
    plan = STORES["auth"]
    store = await SqliteDocStore.open(place.documents("auth"), (*plan.collections, MIGRATIONS))
    try:
        copied = {copy.blob: copy async for copy in reading.copies(await reading.manifest())}
        batch: list[Copied] = []
        async for name in _named(store):
            copy = copied.get(name)
            if copy is None:
                restored.blobs_missing.append(name)
                continue
            batch.append(copy)
            if len(batch) == BLOBS_TOGETHER:
                await _bring_together(reading, blobs, batch, restored)
                batch = []
        await _bring_together(reading, blobs, batch, restored)
    finally:
        await store.close()


async def _bring_together(
    reading: Reading, blobs: BlobStore, copies: Sequence[Copied], restored: Restored
) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            whole = [tasks.create_task(_bring_blob(reading, blobs, copy)) for copy in copies]
    except BaseExceptionGroup as group:
        # As of one alone: the command has words for what befalls a store, and none for a group.
        raise group.exceptions[0] from None
    missing = [copy.blob for copy, one in zip(copies, whole, strict=True) if not one.result()]
    restored.blobs += len(copies) - len(missing)
    restored.blobs_missing += missing


async def _bring_blob(reading: Reading, blobs: BlobStore, copy: Copied) -> bool:
    """Whether it is there now."""
    try:
        await reading.copy_to(blobs, copy)
    except Damaged:
        return False
    return True


async def _named(store: DocStore) -> AsyncIterator[str]:
    async for document in pages(store, ACCESS):
        names: Any = document.body["blob_names"]
        for name in names:
            yield name


def _give_up(error: Exception) -> None:
    raise SystemExit(f"The folder can't be written: {type(error).__name__}")


def said(restored: Restored) -> str:
    """What a person is told."""
    done = restored.auth
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(restored.taken_at_s))
    lines = [
        f"restored     manifest {restored.manifest}, begun {begun} UTC",
        f"tenants      {done.tenants}",
        f"access IDs   {done.credentials}",
        f"recordings   {done.recordings}",
        f"blobs        {restored.blobs}",
        f"erased since {done.erased}, and left out",
    ]
    lines += _missing("without a key", done.without_keys)
    lines += _missing("refused: carries no seal of ours", done.refused)
    lines += _missing("blob missing", restored.blobs_missing)
    return "\n".join((*lines, ""))


def _missing(what: str, ids: Sequence[str]) -> list[str]:
    return [f"{what}: {each}" for each in ids]


def tell(restored: Restored) -> int:
    """Prints the report; 1 if something is missing that was not erased."""
    sys.stdout.write(said(restored))
    return 0 if restored.whole else 1
