"""What backup does by itself at one target: copies at once, backups in time, tells what fails."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from voicefile.backup import metrics
from voicefile.backup.copy_blobs import Copying
from voicefile.backup.errors import (
    BackupError,
    Damaged,
    DumpFailed,
    ManifestInvalid,
    NothingToDump,
    Plaintext,
)
from voicefile.backup.orders import Orders
from voicefile.backup.orders import Outcome as Ordered
from voicefile.backup.repository import Repository
from voicefile.backup.retention import forget_keys
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import Signer
from voicefile.backup.take import Taken, Taking
from voicefile.backup.tombstones import Graveyard
from voicefile.blobstore.port import BlobStoreError
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries

log = structlog.get_logger(__name__)
REASONS: Mapping[type[BaseException], str] = {
    Plaintext: "plaintext",
    DumpFailed: "dump",
    NothingToDump: "dump",
    Damaged: "damaged",
    ManifestInvalid: "damaged",
}
FORESEEN: Final = (BackupError, BlobStoreError, OSError, BaseExceptionGroup)
KEYS_LOOK_S: Final = 3_600
"""How often is looked for key backups that are too old."""
PAUSE_S_MAX: Final = 3_600
"""The longest time between two tries; each pause is twice the one before."""
FAILURES_MAX: Final = 20
"""More than that makes no pause longer."""


class Rounds:
    """The loops' bodies for one target. Each round reads anew what there is to do."""

    def __init__(
        self,
        taking: Taking,
        repository: Repository,
        copying: Copying,
        graveyard: Graveyard,
        *,
        orders: Orders,
        signer: Signer,
        deeds: DeedSeries[None],
        settings: BackupSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._repository = repository
        self._taking = taking
        self._copying = copying
        self._graveyard = graveyard
        self._orders = orders
        self._signer = signer
        self._deeds = deeds
        self._settings = settings
        self._now_s = now_s
        self._turn = asyncio.Lock()
        self._beginning = asyncio.Lock()
        self._begun = False
        self._since_s = now_s()
        self._taken_at_s: float | None = None
        self._not_before_s = 0.0
        self._failures = 0
        self._failing: str | None = None
        self._missed = False

    @property
    def name(self) -> str:
        """The target's."""
        return self._repository.name

    @property
    def failing(self) -> str | None:
        """Why the last backup failed, in a word; None if it did not."""
        return self._failing

    async def copy(self) -> None:
        """Tombstones first: they are promised within a minute."""
        try:
            await self._begin()
            await self._taking.require_target()
            while await self._graveyard.put():
                pass
            metrics.blobs_waiting().labels(self._repository.name).set(await self._copying.wanted())
        finally:
            # Most of all when the target is away.
            await self._show_lag()

    async def take_if_due(self) -> None:
        """A whole backup, if it is time for one. A failure is told, and tried again soon."""
        if self._turn.locked():
            return  # One is being taken.
        self._show_age()
        if self._now_s() < self._not_before_s or not await self._ready():
            return
        if self._taken_at_s is None or self._now_s() - self._taken_at_s >= self._settings.every_s:
            await self.take()

    async def take_if_ordered(self) -> None:
        """A whole backup for whoever has ordered one, though none be due, or one have failed."""
        order = await self._orders.waiting()
        if order is None:
            return
        taken = await self.take()
        outcome = Ordered(f"failed: {self._failing}", good=False)
        if taken is not None:
            said = f"manifest {taken.found.manifest.n}"
            outcome = Ordered(said + ", partial" * bool(taken.left_out), good=not taken.left_out)
        await self._orders.done(order, outcome)

    async def _ready(self) -> bool:
        """Whether the target could be looked at; if not, that is told like any failure."""
        try:
            await self._begin()
        except FORESEEN as error:
            await self._failed(error)
            return False
        return True

    async def forget_keys(self) -> None:
        """Key backups that would be too old before the next look."""
        await forget_keys(
            self._repository,
            self._signer.public,
            older_than_s=self._settings.keys_max_s - KEYS_LOOK_S,
            now_s=self._now_s(),
        )

    async def take(self) -> Taken | None:
        """A whole backup now; None if it failed, which the log and the count then say."""
        async with self._turn:
            return await self._take()

    async def _take(self) -> Taken | None:
        try:
            await self._begin()
            taken = await self._taking.take()
        except FORESEEN as error:
            await self._failed(error)
            return None
        self._not_before_s, self._failures, self._failing = 0.0, 0, None
        self._missed = False
        self._taken_at_s = taken.found.manifest.taken_at_s
        self._show_age()
        await self._tell(taken)
        return taken

    async def _failed(self, error: BaseException) -> None:
        """Raises what nobody foresaw."""
        reason = _reason(error)
        if reason is None:
            raise error
        pause_s = min(self._settings.again_s * 2**self._failures, PAUSE_S_MAX)
        self._not_before_s = self._now_s() + pause_s
        self._failures = min(self._failures + 1, FAILURES_MAX)
        metrics.backup_failures().labels(self._repository.name, reason).inc()
        if reason != self._failing:
            # Once for a stretch of failures: a target that is away all night is one thing to know.
            self._failing = reason
            await self._tell_failure(reason)

    async def _begin(self) -> None:
        async with self._beginning:
            if not self._begun:
                newest = await self._taking.begin()
                self._taken_at_s = None if newest is None else newest.manifest.taken_at_s
                self._begun = True

    async def _tell(self, taken: Taken) -> None:
        # By the note's own hash, so that the log bears witness which manifest was the newest.
        deed = Deed(
            actor=Actor.service(),
            action=Action.ACTION_BACKUP_TAKEN,
            object_id=taken.found.note.named.address,
            commitment=bytes.fromhex(taken.found.note.sha256),
        )
        await self._deeds.record(deed)
        if taken.left_out:
            # Whole as far as it could be; what was left out needs somebody to look.
            metrics.backup_failures().labels(self._repository.name, "partial").inc()
            await self._tell_failure("partial")
        log.info("backup_taken", count=taken.found.manifest.n)

    async def _tell_failure(self, reason: str) -> None:
        log.error("backup_failed", reason=reason)
        deed = Deed(
            actor=Actor.service(),
            action=Action.ACTION_BACKUP_TAKEN,
            object_id=reason,
            outcome=Outcome.OUTCOME_FAILED,
        )
        await self._deeds.record(deed)

    async def tell_missed(self) -> None:
        """Once, when the newest backup has become too old."""
        age_s = self._now_s() - (self._taken_at_s or self._since_s)
        if age_s >= self._settings.late_s and not self._missed:
            self._missed = True
            metrics.backup_failures().labels(self._repository.name, "missed").inc()
            await self._tell_failure("missed")

    async def _show_lag(self) -> None:
        oldest_s = await self._graveyard.oldest_s()
        lag_s = 0.0 if oldest_s is None else self._now_s() - oldest_s
        metrics.tombstone_lag_seconds().labels(self._repository.name).set(lag_s)

    def _show_age(self) -> None:
        age_s = self._now_s() - (self._taken_at_s or self._since_s)
        metrics.backup_age_seconds().labels(self._repository.name).set(age_s)


def _reason(error: BaseException) -> str | None:
    """Why a backup failed, in a word; None for what nobody foresaw."""
    if isinstance(error, BaseExceptionGroup):
        reasons = [_reason(each) for each in error.exceptions]
        return None if None in reasons else reasons[0]
    if isinstance(error, BlobStoreError | OSError):
        # A disk that is gone speaks as the system does.
        return "target"
    return REASONS.get(type(error))
