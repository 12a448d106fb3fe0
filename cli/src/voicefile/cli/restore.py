"""Restore: a repository, a recipient's key and the root key make a vault in an empty folder.

Step by step, each whole or not at all, so that whoever is killed begins again where it was. Until
the last step a mark in the folder keeps it from being served: only a vault that has the newest
tombstones behind it may speak. The backup itself is only read.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from voicefile.audit.store import KEYS, SEGMENTS, LogKey, Segment, record_of
from voicefile.auth import app as auth
from voicefile.auth.dumping.bring_back import bring_back
from voicefile.auth.dumping.brought_back import Erased, Left
from voicefile.auth.dumping.require_roots import RootMissing
from voicefile.auth.issuing.admission import day_of
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
from voicefile.chassis.private_file import sync, unfinished, write_private
from voicefile.cli.embedded import BARE, STORES, Fittings
from voicefile.cli.engine_settings import read
from voicefile.cli.place import Place
from voicefile.cli.restored import Restored, Source
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.deeds.deed import Actor, Deed, Role
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection, DocStore
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.dump import pages
from voicefile.dumps.segment import unpacked
from voicefile.eventbus.memory import MemoryEventBus

AS_THEY_ARE: Final = ("ingest", "playback", "audit")
"""Services whose documents are dumped, and come back, as they are."""
BATCH_DOCUMENTS: Final = 200
BLOBS_TOGETHER: Final = 8
"""At a time, each held in memory: waiting for the disk is most of what it costs."""
SLACK_S: Final = 86_400
"""So far a clock may have been set back between a backup and a tombstone."""


class NotEmpty(Exception):
    """The folder has something in it that is not of this restore."""


class OtherRestore(Exception):
    """The folder has a restore in it of another backup; the text says which way on there is."""


class NoRoot(Exception):
    """The root key's folder has no root key of auth and audit."""


async def restore(
    reading: Reading,
    place: Place,
    *,
    root: Path,
    at_s: float = LATEST,
    now_s: Callable[[], float] = time.time,
    fittings: Fittings = BARE,
) -> Restored:
    """Step by step, or on from where an earlier run was killed.

    Raises NotEmpty, OtherRestore, NoRoot, RootMissing, ListTooOld, NothingToRestore, Damaged,
    Tampered, OtherDeployment. Of a folder where all of it was done before, the report is read
    again and nothing else is done.
    """
    before = _report(place)
    if before is not None and not place.restoring.exists():
        return await _told_again(before, reading, at_s=at_s)
    found = await _begin(reading, place, at_s=at_s)
    erased, source = await _erased(reading, found)
    if before is None or before.source != source:
        # What was erased after its tombstones were read would be there: auth is made anew.
        _forget_store("auth", place)
    _copy_root(root, place)
    await _require_log_root(await reading.dump(found, "audit"), place)
    for service in AS_THEY_ARE:
        if not place.documents(service).exists():
            dump = await reading.dump(found, service)
            await _bring_documents(dump, service, place, fittings=fittings)
    if not place.documents("auth").exists():
        making = _Making(reading, found, source, place, fittings)
        await _bring_auth(making, erased, now_s=now_s)
    restored = _report(place)
    assert restored is not None, "written before auth's store got its name"
    await _bring_blobs(reading, place, restored, fittings=fittings)
    write_private(place.restored, msgspec.json.encode(restored))
    # Last: from here on the folder is a vault.
    place.restoring.unlink()
    sync(place.data)
    return restored


@dataclass(frozen=True)
class _Making:
    """What auth's store is made from, and where."""

    reading: Reading
    found: Found
    source: Source
    place: Place
    fittings: Fittings


def require_ours(place: Place) -> None:
    """That the folder is empty, or holds a restore, finished or not. Raises NotEmpty."""
    if not place.data.exists() or place.restoring.exists() or place.restored.exists():
        return
    # A mark that was begun and has no name yet is of whoever was killed in the very first step.
    ours = {"lock", unfinished(place.restoring).name}
    if any(path.name not in ours for path in place.data.iterdir()):
        raise NotEmpty


def _report(place: Place) -> Restored | None:
    """What was written down of a restore; while the mark is there, as far as auth's store."""
    try:
        return msgspec.json.decode(place.restored.read_bytes(), type=Restored)
    except FileNotFoundError:
        return None


async def _told_again(before: Restored, reading: Reading, *, at_s: float) -> Restored:
    """Whoever was killed before the report was read says it again. Raises NotEmpty."""
    if before.source.note != (await reading.manifest(at_s=at_s)).note.sha256:
        raise NotEmpty
    return before


async def _begin(reading: Reading, place: Place, *, at_s: float) -> Found:
    """The manifest that the folder is for: the one it was begun with, however old by now."""
    require_ours(place)
    if place.restoring.exists():
        mark = msgspec.json.decode(place.restoring.read_bytes(), type=dict[str, str])
        found = await reading.noted(mark["manifest"])
        if found is None:
            raise OtherRestore("The backup it was begun with is gone: choose an empty folder")
        if at_s != LATEST and await reading.manifest(at_s=at_s) != found:
            raise OtherRestore("Leave out --at to go on with it, or choose an empty folder")
        return found
    found = await reading.manifest(at_s=at_s)
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place.restoring, msgspec.json.encode({"manifest": found.note.sha256}))
    return found


def _copy_root(root: Path, place: Place) -> None:
    """The root key's files; what is not needed any more is destroyed in the copy, later.

    Anew until auth's store is there: whoever gave the wrong ones the first time gives others now.
    """
    if place.documents("auth").exists():
        return
    if not all(any((root / service).glob("*.root")) for service in ("auth", "audit")):
        raise NoRoot
    target = place.root("auth").parent
    fresh = target.with_name(".root.new")
    for leftover in (fresh, target):
        shutil.rmtree(leftover, ignore_errors=True)
    for service in ("auth", "audit"):
        (fresh / service).mkdir(mode=0o700, parents=True)
        for file in (root / service).glob("*.root"):
            write_private(fresh / service / file.name, file.read_bytes())
    fresh.chmod(0o700)
    fresh.rename(target)
    sync(place.data)


async def _require_log_root(dump: Layers, place: Place) -> None:
    """Of the key that signs the logs: without it audit would not start. Raises RootMissing."""
    there = await FileRootKey(place.root("audit")).versions()
    async for item in dump.items(KEYS.name):
        version = record_of(unpacked(item), LogKey).root_version
        if version not in there:
            raise RootMissing("audit", [version])


async def _erased(reading: Reading, found: Found) -> tuple[Erased, Source]:
    """By the newest list of tombstones, and by the deeds in the newest log there is."""
    graves, newest = await reading.graves(), await reading.manifest()
    recordings = set(graves.ids(RECORDING))
    dump = await reading.dump(newest, "audit")
    async for item in dump.items(SEGMENTS.name):
        recordings |= set(_erased_in(msgspec.convert(unpacked(item).body, Segment)))
    days = {each.id: day_of(each.at_s * 1000) for each in graves.graves if each.what == TENANT}
    left: dict[str, dict[str, bytes]] = {RECORDING: {}, ACCESS_GRAVE: {}, TENANT: {}}
    async for each in reading.left(graves, since_s=found.manifest.taken_at_s - SLACK_S):
        left.get(each.what, {})[each.id] = each.content
    erased = Erased(
        frozenset(recordings),
        graves.ids(ACCESS_GRAVE),
        frozenset(days),
        days,
        Left(left[RECORDING], left[ACCESS_GRAVE], left[TENANT]),
    )
    return erased, Source(found.note.sha256, graves.head, newest.note.sha256)


def _erased_in(segment: Segment) -> list[str]:
    deeds = [DeedMessage.FromString(entry) for entry in segment.entries]
    return [
        deed.object_id
        for deed in deeds
        if deed.action == Action.ACTION_RECORDING_ERASED and deed.outcome == Outcome.OUTCOME_DONE
    ]


async def _bring_documents(dump: Layers, service: str, place: Place, *, fittings: Fittings) -> None:
    await dump.check()
    by_name = {each.name: each for each in (*STORES[service].collections, MIGRATIONS)}
    async with _store_in_the_making(service, place, fittings) as store:
        for kind in await dump.kinds():
            await _insert_all(store, by_name[kind], dump)


async def _insert_all(store: DocStore, collection: Collection, dump: Layers) -> None:
    batch = []
    async for item in dump.items(collection.name):
        batch.append(unpacked(item))
        if len(batch) == BATCH_DOCUMENTS:
            await store.insert_many(collection, batch)
            batch = []
    await store.insert_many(collection, batch)


async def _bring_auth(making: _Making, erased: Erased, *, now_s: Callable[[], float]) -> None:
    reading, found, place = making.reading, making.found, making.place
    dump, keys = await reading.dump(found, "auth"), await reading.keys()
    await dump.check()
    await keys.check()
    async with _store_in_the_making("auth", place, making.fittings) as store:
        ports = await _ports(store, place, found.manifest.deployment, now_s=now_s)
        done = await bring_back(dump.items, keys.items, erased, ports=ports)
        operator = Actor("", Role.ROLE_OPERATOR)
        about = found.note.named.address
        await ports.deeds.record(
            Deed(actor=operator, action=Action.ACTION_BACKUP_RESTORED, object_id=about)
        )
        # Before the store gets its name: a store that is there has its report.
        made = found.manifest
        restored = Restored(made.n, made.taken_at_s, made.deployment, making.source, done)
        write_private(place.restored, msgspec.json.encode(restored))


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
async def _store_in_the_making(
    service: str, place: Place, fittings: Fittings
) -> AsyncIterator[DocStore]:
    """A store that gets its name when it is full: one that was killed is begun anew."""
    path = place.documents(service)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    # The journal of one that had the name before would be read into this one.
    _forget_store(service, place)
    for leftover in path.parent.glob(f"{fresh.name}*"):
        leftover.unlink()
    plan = STORES[service]
    store = await SqliteDocStore.open(fresh, (*plan.collections, MIGRATIONS), on_broken=_give_up)
    try:
        yield fittings.documents(service, store)
    finally:
        await store.close()
    sync(fresh)
    fresh.rename(path)
    sync(path.parent)


def _forget_store(service: str, place: Place) -> None:
    path = place.documents(service)
    # Itself first: what its journal alone still holds is nothing that anybody opens.
    for leftover in (path, *path.parent.glob(f"{path.name}-*")):
        leftover.unlink(missing_ok=True)


async def _bring_blobs(
    reading: Reading, place: Place, restored: Restored, *, fittings: Fittings
) -> None:
    """The blobs that a document names; of erased recordings none does.

    By the newest manifest, which lists all that an older one does.
    """
    blobs = fittings.blobs("restore", FilesystemBlobStore(place.blobs))
    await blobs.sweep_unfinished(0)
    restored.blobs, restored.blobs_missing = 0, []
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
