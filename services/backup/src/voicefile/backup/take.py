"""Take: one whole backup of the vault at one target.

The order: documents, the log's last, then keys, then blobs, then the manifest. So whatever a
document names has its keys and blobs in the same backup; and until the manifest is there, the one
before it is the newest, and whole. A run that was killed anywhere is taken anew: what it has put is
found again by its content, or given up after a day. Blobs are copied before the documents as well:
what fails there fails before dumps have filled the target.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from voicefile.backup.ask_services import SERVICES, Services
from voicefile.backup.chain import Chain, Note
from voicefile.backup.changes import goes_on_from
from voicefile.backup.copy_blobs import Copying
from voicefile.backup.manifest import (
    FORMAT,
    Contents,
    Copied,
    Dump,
    Found,
    Inventory,
    Kept,
    KeyBackup,
    Manifest,
    Object,
    contents_of,
    copies_in,
    inventory_of,
    manifests,
    signed,
)
from voicefile.backup.repository import Repository, Room
from voicefile.backup.retention import forget_backups, to_keep
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import Signer
from voicefile.backup.tombstones import Graveyard, blobs_of, read_graves

INVENTORY_BLOBS: Final = 5_000
"""In a list that is full, and is only named again from then on."""
SMALL_MAX: Final = 32
"""So many lists that are not full; one more, and they are joined. So a day costs its changes."""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken."""

    found: Found
    left_out: int
    """Documents that a service could not dump: they need somebody to look."""


def _go_on(_step: str) -> None:
    """Nothing happens between two steps, but in fault tests."""


class Taking:
    """Takes backups at one target, one at a time, in the instance that leads."""

    def __init__(
        self,
        services: Services,
        repository: Repository,
        copying: Copying,
        graveyard: Graveyard,
        chain: Chain,
        *,
        signer: Signer,
        deployment: str,
        settings: BackupSettings,
        now_s: Callable[[], float] = time.time,
        between: Callable[[str], None] = _go_on,
    ) -> None:
        self._services = services
        self._repository = repository
        self._copying = copying
        self._graveyard = graveyard
        self._chain = chain
        self._signer = signer
        self._deployment = deployment
        self._settings = settings
        self._now_s = now_s
        self._between = between

    async def begin(self) -> Found | None:
        """Goes on where the target ends; answers the newest manifest there, if there is one.

        Raises Damaged if the target does not have what was put there: a disk that is not mounted
        would else get a backup without the blobs that the real one has.
        """
        earlier = await self._earlier()
        return earlier[-1] if earlier else None

    async def _earlier(self) -> list[Found]:
        await self._chain.head()
        earlier = await manifests(self._repository, self._signer.public)
        newest = earlier[-1] if earlier else None
        n = 0 if newest is None else newest.manifest.n
        note = None
        if newest is not None:
            note = await self._repository.get(Room.MANIFESTS, newest.note.named)
        await self._chain.go_on_from(n, note)
        self._copying.next_n = n + 1
        await self._graveyard.begin()
        return earlier

    async def require_target(self) -> None:
        """That the disk is still mounted: a copy that went elsewhere would count as made.

        Raises Damaged.
        """
        await self._chain.require_target()

    async def take(self) -> Taken:
        """One whole backup. Raises BackupError, and what the target's store raises."""
        earlier = await self._earlier()
        await self._copying.missing()
        begun_at_s = int(self._now_s())
        before = await self._contents_before(earlier)
        # Before the log is dumped: the dump then has whatever it was signed over.
        checkpoint = await self._services.checkpoint()
        dumps: list[Dump] = []
        for service in SERVICES:
            known = [each for each in before.dumps if each.service == service]
            dumps += await self._dumped(service, known, begun_at_s)
            self._between(f"dumped {service}")
        canaries = await self._services.canaries(self._repository)
        dumps += [] if canaries is None else [canaries]
        keys = await self._keys(self._copying.next_n, begun_at_s)
        self._between("keys put")
        await self._copying.missing()
        self._between("blobs copied")
        found = await self._manifest(earlier, before, dumps, keys, checkpoint, begun_at_s)
        self._between("manifest put")
        await self._forget([*earlier, found])
        return Taken(found, sum(each.left_out for each in dumps))

    async def _dumped(self, service: str, known: list[Dump], begun_at_s: int) -> list[Dump]:
        """The dump of all there was and those of changes behind it, with the new one."""
        since = await goes_on_from(
            known, self._repository, self._settings.whole_every_s, now_s=begun_at_s
        )
        dump = await self._services.dump(service, self._repository, since=since)
        dump = msgspec.structs.replace(dump, begun_at_s=begun_at_s)
        return [*known, dump] if dump.since else [dump]

    async def _contents_before(self, earlier: Sequence[Found]) -> Contents:
        if not earlier:
            return Contents([], [])
        return await contents_of(self._repository, earlier[-1].manifest)

    async def _keys(self, n: int, begun_at_s: int) -> Object:
        dump = await self._services.keys(self._repository)
        backup = KeyBackup(FORMAT, self._deployment, self._repository.name, n, begun_at_s, dump)
        return Object.of(await self._repository.put(Room.KEYS, signed(backup, self._signer)))

    async def _manifest(
        self,
        earlier: Sequence[Found],
        before: Contents,
        dumps: Sequence[Dump],
        keys: Object,
        checkpoint: str,
        begun_at_s: int,
    ) -> Found:
        newest = earlier[-1] if earlier else None
        async with self._copying.turn:
            n = self._copying.next_n
            contents = Contents(list(dumps), await self._inventories(before, n))
            raw = msgspec.json.encode(contents)
            named = Object.of(await self._repository.put(Room.OBJECTS, raw))
            self._between("contents put")
            manifest = Manifest(
                FORMAT,
                self._deployment,
                self._repository.name,
                n,
                newest.note.sha256 if newest else "",
                [],
                begun_at_s,
                named,
                _recordings(dumps),
                checkpoint,
                await self._graveyard.link(),
                keys,
                begun_at_s + self._settings.keys_max_s,
            )
            manifest = msgspec.structs.replace(manifest, kept=self._kept(earlier, manifest))
            # Before it is put: what is copied from here on is the next one's to list, even if the
            # target is away just now and gets this one later.
            self._copying.next_n = n + 1
            note = await self._chain.append(n, signed(manifest, self._signer))
        return Found(manifest, _object(note))

    def _kept(self, earlier: Sequence[Found], newest: Manifest) -> list[Kept]:
        """The earlier ones that stay once the newest is there."""
        found = [*earlier, Found(newest, newest.contents)]
        staying = to_keep(found, self._settings, now_s=self._now_s())
        return [Kept(each.manifest.n, each.note) for each in staying if each.manifest.n < newest.n]

    async def _inventories(self, contents: Contents, n: int) -> list[Inventory]:
        before = contents.inventories
        copied = [copy async for copy in self._copying.of_run(n)]
        if sum(each.blobs < INVENTORY_BLOBS for each in before) >= SMALL_MAX:
            before, joined = await self._joined(before)
            copied += joined
        made = [
            await self._inventory(copied[start : start + INVENTORY_BLOBS])
            for start in range(0, len(copied), INVENTORY_BLOBS)
        ]
        return [*before, *made]

    async def _joined(self, before: Sequence[Inventory]) -> tuple[list[Inventory], list[Copied]]:
        """Lists that stay as they are, and what the others name that was not erased."""
        erased = await self._erased()
        staying: list[Inventory] = []
        copied: list[Copied] = []
        for inventory in before:
            copies = await copies_in(self._repository, inventory)
            left = [each for each in copies if each.blob not in erased]
            if inventory.blobs >= INVENTORY_BLOBS and 2 * len(left) > len(copies):
                staying.append(inventory)
            else:
                copied += left
        return staying, copied

    async def _inventory(self, copied: Sequence[Copied]) -> Inventory:
        put = await self._repository.put(Room.OBJECTS, inventory_of(copied))
        return Inventory(Object.of(put), len(copied), sum(each.bytes for each in copied))

    async def _forget(self, found: Sequence[Found]) -> None:
        """What the newest manifest does not keep: by its word, for midnight may have passed."""
        newest = found[-1]
        staying = {newest.manifest.n, *(each.n for each in newest.manifest.kept)}
        kept = [each for each in found if each.manifest.n in staying]
        erased = await self._erased()
        await forget_backups(self._repository, found, kept, erased=erased, now_s=self._now_s())

    async def _erased(self) -> frozenset[str]:
        """Blobs of which no copy is kept: by the list at the target, which says so for ever."""
        found = await read_graves(self._repository, self._signer.public)
        until_s = self._now_s() - self._settings.erased_s
        return blobs_of(grave for grave in found.graves if grave.at_s <= until_s)


def _object(note: Note) -> Object:
    return Object.of(note.named)


def _recordings(dumps: Sequence[Dump]) -> dict[str, int]:
    return {tenant: count for dump in dumps for tenant, count in dump.recordings.items() if count}
