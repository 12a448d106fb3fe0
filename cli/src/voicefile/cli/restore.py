"""Restore: a repository, a recipient's key and the root key make a vault where there is none.

Step by step, each whole or not at all, so that whoever is killed begins again where it was. Until
the last step a mark keeps it from being served: only a vault that has the newest tombstones behind
it may speak. The backup itself is only read. Where a vault is made is a `Destination`: a folder, or
the engines of services apart; what was begun, and the report, stand in a folder in any case.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

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
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.inprocess import in_process_client
from voicefile.chassis.private_file import sync, unfinished, write_private
from voicefile.cli.embedded import STORES
from voicefile.cli.engine_settings import read
from voicefile.cli.place import Place
from voicefile.cli.restored import Restored, Source
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.crypto.rootkey import RootKey
from voicefile.deeds.deed import Actor, Deed, Role
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.port import Collection, DocStore
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
    """Where the vault is to be is something that is not of this restore; the text says where."""


class OtherRestore(Exception):
    """There is a restore of another backup; the text says which way on there is."""


class NoRoot(Exception):
    """The root key's folder has no root key of auth and audit."""


class Destination(Protocol):
    """Where a vault is made: each service's documents there whole or not at all, and kept shut."""

    name: str
    """Which it is, without a secret: a restore that was begun goes on in the same one."""
    destroys_roots: bool
    """Whether versions of the root key that nothing hangs on any more are destroyed: in a copy."""

    async def begin(self, manifest: str) -> None:
        """Shuts it, for this manifest's restore alone. Raises NotEmpty, OtherRestore."""

    async def bring_root(self) -> None:
        """Afterwards the root key is there. Raises NoRoot."""

    async def root(self, service: str) -> RootKey:
        """The root key of auth or audit."""

    async def has(self, service: str) -> bool:
        """Whether the service's documents are all there."""

    def making(self, service: str) -> AbstractAsyncContextManager[DocStore]:
        """Its store, empty. It has the documents when the block is left, unless by an error."""

    async def forget(self, service: str) -> None:
        """Does away with its documents."""

    def made(self, service: str) -> AbstractAsyncContextManager[DocStore]:
        """Its store, with the documents it has."""

    async def blobs(self) -> BlobStore:
        """Where its recordings go."""

    async def open(self) -> None:
        """Lets it be served: everything is there. Auth last, without whom nothing happens."""

    async def opened(self) -> bool:
        """Whether it was opened, and may be served by now, though the mark is still there."""


async def restore(
    reading: Reading,
    place: Place,
    destination: Destination,
    *,
    at_s: float = LATEST,
    now_s: Callable[[], float] = time.time,
) -> Restored:
    """Step by step, or on from where an earlier run was killed.

    Raises NotEmpty, OtherRestore, NoRoot, RootMissing, ListTooOld, NothingToRestore, Damaged,
    Tampered, OtherDeployment. Of a folder where all of it was done before, the report is read
    again and nothing else is done.
    """
    before = _report(place)
    if before is not None and not place.restoring.exists():
        return await _told_again(before, reading, destination, at_s=at_s)
    found = await _begin(reading, place, destination, at_s=at_s)
    if before is not None and await destination.opened():
        return _through(place, before)
    erased, source = await _erased(reading, found)
    await destination.begin(found.note.sha256)
    if before is None or before.source != source:
        # What was erased after its tombstones were read would be there: auth is made anew.
        await destination.forget("auth")
    await destination.bring_root()
    await _require_log_root(await reading.dump(found, "audit"), destination)
    for service in AS_THEY_ARE:
        if not await destination.has(service):
            await _bring_documents(await reading.dump(found, service), service, destination)
    if not await destination.has("auth"):
        making = _Making(reading, found, source, place, destination)
        await _bring_auth(making, erased, now_s=now_s)
    restored = _report(place)
    assert restored is not None, "written before auth's store was whole"
    await _bring_blobs(reading, destination, restored)
    write_private(place.restored, msgspec.json.encode(restored))
    await destination.open()
    return _through(place, restored)


@dataclass(frozen=True)
class _Making:
    """What auth's store is made from, and where."""

    reading: Reading
    found: Found
    source: Source
    place: Place
    destination: Destination


def require_ours(place: Place) -> None:
    """That the folder is empty, or holds a restore, finished or not. Raises NotEmpty."""
    if not place.data.exists() or place.restoring.exists() or place.restored.exists():
        return
    # A mark that was begun and has no name yet is of whoever was killed in the very first step.
    ours = {"lock", unfinished(place.restoring).name}
    if any(path.name not in ours for path in place.data.iterdir()):
        raise NotEmpty("The folder")


def _report(place: Place) -> Restored | None:
    """What was written down of a restore; while the mark is there, as far as auth's store."""
    try:
        return msgspec.json.decode(place.restored.read_bytes(), type=Restored)
    except FileNotFoundError:
        return None


async def _told_again(
    before: Restored, reading: Reading, destination: Destination, *, at_s: float
) -> Restored:
    """Whoever was killed before the report was read says it again. Raises NotEmpty."""
    same = before.source.note == (await reading.manifest(at_s=at_s)).note.sha256
    if not same or before.into not in {"", destination.name} or not await destination.opened():
        raise NotEmpty("The folder")
    return before


async def _begin(reading: Reading, place: Place, destination: Destination, *, at_s: float) -> Found:
    """The manifest that the folder is for: the one it was begun with, however old by now."""
    require_ours(place)
    if place.restoring.exists():
        mark = msgspec.json.decode(place.restoring.read_bytes(), type=dict[str, str])
        found = await reading.noted(mark["manifest"])
        if found is None:
            raise OtherRestore("The backup it was begun with is gone: choose an empty folder")
        if mark.get("into", destination.name) != destination.name:
            raise OtherRestore("It goes on where it was begun; or choose an empty folder")
        if at_s != LATEST and await reading.manifest(at_s=at_s) != found:
            raise OtherRestore("Leave out --at to go on with it, or choose an empty folder")
        return found
    found = await reading.manifest(at_s=at_s)
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = {"manifest": found.note.sha256, "into": destination.name}
    write_private(place.restoring, msgspec.json.encode(mark))
    return found


def _through(place: Place, restored: Restored) -> Restored:
    # Last: from here on it is a vault.
    place.restoring.unlink()
    sync(place.data)
    return restored


async def _require_log_root(dump: Layers, destination: Destination) -> None:
    """Of the key that signs the logs: without it audit would not start. Raises RootMissing."""
    there = await (await destination.root("audit")).versions()
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


async def _bring_documents(dump: Layers, service: str, destination: Destination) -> None:
    await dump.check()
    by_name = {each.name: each for each in (*STORES[service].collections, MIGRATIONS)}
    async with destination.making(service) as store:
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
    reading, found, destination = making.reading, making.found, making.destination
    dump, keys = await reading.dump(found, "auth"), await reading.keys()
    await dump.check()
    await keys.check()
    async with destination.making("auth") as store:
        root = await destination.root("auth")
        ports = ports_over(store, root, found.manifest.deployment, now_s=now_s)
        done = await bring_back(dump.items, keys.items, erased, ports=ports)
        while destination.destroys_roots and done.roots_left:
            # Nobody else would: what was erased hangs on them in copies from before.
            await root.destroy_version(done.roots_left[-1])
            done.roots_left.pop()
        operator = Actor("", Role.ROLE_OPERATOR)
        about = found.note.named.address
        await ports.deeds.record(
            Deed(actor=operator, action=Action.ACTION_BACKUP_RESTORED, object_id=about)
        )
        # Before the store is whole: one that is has its report.
        made = found.manifest
        restored = Restored(
            made.n, made.taken_at_s, made.deployment, making.source, done, into=destination.name
        )
        write_private(making.place.restored, msgspec.json.encode(restored))


def ports_over(
    store: DocStore, root: RootKey, deployment: str, *, now_s: Callable[[], float]
) -> Ports:
    """Auth's, over a store in the making: what brings documents back is auth's own code."""
    service = auth.build(
        read(AuthSettings),
        deployment=deployment,
        docs=store,
        bus=MemoryEventBus(),
        root=root,
        client=in_process_client({}),
        on_failure=give_up,
        now_s=now_s,
    )
    ports: Ports = service.public.state.ports
    return ports


async def _bring_blobs(reading: Reading, destination: Destination, restored: Restored) -> None:
    """The blobs that a document names; of erased recordings none does.

    By the newest manifest, which lists all that an older one does.
    """
    blobs = await destination.blobs()
    restored.blobs, restored.blobs_missing = 0, []
    async with destination.made("auth") as store:
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


def give_up(error: Exception) -> None:
    """Whatever is made can't be trusted to be there."""
    raise SystemExit(f"What is restored can't be written: {type(error).__name__}")
