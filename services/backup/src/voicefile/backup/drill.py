"""The drill: whether the newest backup could be restored, found out by restoring it, every day.

It runs apart from the host that carries backups, with a key that opens canaries and nothing else.
Everything is read and checked as ciphertext; all blobs are put into a scratch place; the canaries
there are opened and compared. What it found it signs, and leaves at the target.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import structlog
from msgspec import Struct

from voicefile.backup import metrics
from voicefile.backup.ask_services import CANARIES
from voicefile.backup.errors import BackupError, Damaged, ManifestInvalid
from voicefile.backup.events import TENANT
from voicefile.backup.manifest import FORMAT, Copied, Found, opened, signed
from voicefile.backup.read_back import Reading
from voicefile.backup.repository import Repository, Room
from voicefile.backup.signing import Signer
from voicefile.backup.verify import verify
from voicefile.blobstore.names import blob_name
from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.primitives import SealingKeyPair, SigningKey, hkdf_expand_sha512
from voicefile.crypto.secret import KEY_BYTES, SecretKey
from voicefile.crypto.stream import open_whole
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.dumps.errors import DumpError
from voicefile.dumps.recipient import unbox
from voicefile.translog.note import VerifierKey

DRILL: Final = "drill"
FINDINGS_MAX: Final = 100
"""More than that says no more."""
_REPORTS: Final = b"voicefile/drill-reports\x00"
log = structlog.get_logger(__name__)


class Report(Struct, frozen=True):
    """How a drill ended."""

    format: int
    manifest: int
    note: str
    """SHA-256 of the manifest's note."""
    begun_at_s: int
    objects: int
    bytes: int
    tenants: int
    """That the backup has recordings or canaries of."""
    canaries: int
    """That opened, and were what they should be."""
    rpo_s: int
    """What was done longer ago than that is in the backup."""
    rto_s: float
    """How long it took to read, check and copy all of it."""
    findings: list[str]

    @property
    def good(self) -> bool:
        return not self.findings


def reporter_of(pair: SealingKeyPair) -> Signer:
    """Who signs reports: follows from the drill's secret, so that there is one file to keep."""
    seed = hkdf_expand_sha512(pair.secret, _REPORTS, KEY_BYTES)
    return Signer(DRILL, SigningKey.from_seed(SecretKey(seed)))


async def drill(
    repository: Repository,
    key: VerifierKey,
    pair: SealingKeyPair,
    scratch: BlobStore,
    *,
    now_s: Callable[[], float] = time.time,
) -> Report:
    """Raises NothingToRestore, and what a store raises that is away."""
    begun_at_s = now_s()
    verdict = await verify(repository, key, now_s=begun_at_s)
    findings = [str(each) for each in verdict.findings]
    found = await Reading(repository, key, deployment="", pair=pair).manifest()
    reading = Reading(repository, key, deployment=found.manifest.deployment, pair=pair)
    drilling = _Drilling(reading, found, pair, scratch)
    try:
        await drilling.copy()
        await drilling.open()
    except (BackupError, DumpError, CryptoError) as error:
        drilling.findings.append(f"{type(error).__name__}: {error}")
    report = Report(
        FORMAT,
        found.manifest.n,
        found.note.sha256,
        int(begun_at_s),
        verdict.objects,
        verdict.bytes,
        len(drilling.tenants | set(found.manifest.counts)),
        drilling.canaries,
        int(begun_at_s - found.manifest.taken_at_s),
        now_s() - begun_at_s,
        (findings + drilling.findings)[:FINDINGS_MAX],
    )
    await repository.put(Room.DRILLS, signed(report, reporter_of(pair)))
    return report


@dataclass(frozen=True)
class _Canary:
    tenant: str
    recording: str
    blob: str
    sha256: str
    box: bytes


class _Drilling:
    def __init__(
        self, reading: Reading, found: Found, pair: SealingKeyPair, scratch: BlobStore
    ) -> None:
        self._reading = reading
        self._found = found
        self._pair = pair
        self._scratch = scratch
        self.tenants: set[str] = set()
        self.canaries = 0
        self.findings: list[str] = []

    async def copy(self) -> None:
        failed: list[tuple[Copied, BackupError]] = []
        async for copy in self._reading.copies(self._found):
            try:
                await self._reading.copy_to(self._scratch, copy)
            except BackupError as damaged:
                failed.append((copy, damaged))
        # Asked last: what was erased a moment ago is on the list before its copy goes.
        erased = (await self._reading.graves()).blobs if failed else frozenset()
        self.findings += [f"not restored: {why}" for copy, why in failed if copy.blob not in erased]

    async def open(self) -> None:
        dump = await self._reading.dump(self._found, CANARIES)
        await dump.check()
        async for item in dump.items(CANARIES):
            canary = _canary(item)
            self.tenants.add(canary.tenant)
            if await self._opens(canary):
                self.canaries += 1
            else:
                self.findings.append(f"a canary does not open: {canary.blob}")
        without = set(self._found.manifest.counts) - self.tenants
        # A dump from before counts an erased tenant's recordings until all is dumped again.
        erased = (await self._reading.graves()).ids(TENANT) if without else frozenset()
        for tenant in sorted(without - erased):
            self.findings.append(f"a tenant without a canary: {tenant}")

    async def _opens(self, canary: _Canary) -> bool:
        deployment = self._found.manifest.deployment.encode()
        name = blob_name(canary.blob)
        try:
            key = unbox(
                canary.box,
                self._pair,
                name=DRILL,
                deployment=deployment,
                dump=canary.recording,
            )
            sealed = await self._scratch.read(name, 0, await self._scratch.size(name))
        except Exception as error:  # noqa: BLE001 whatever it is, this canary is not restored, and
            # the report says so; the others are still to be tried.
            log.warning("canary_not_read", reason=type(error).__name__)
            return False
        where = Context(
            deployment, canary.tenant, object_id(canary.recording, "original"), Kind.AUDIO
        )
        try:
            plain = open_whole(key, where, sealed)
        except CryptoError:
            return False
        return sha256(plain).hexdigest() == canary.sha256


def _canary(item: Any) -> _Canary:
    return _Canary(
        str(item["tenant"]),
        str(item["recording"]),
        str(item["blob"]),
        str(item["sha256"]),
        bytes(item["box"]),
    )


class Reports:
    """Looks for reports at a target, and tells each once: by a deed, and by the age of the last."""

    def __init__(
        self,
        repository: Repository,
        key: VerifierKey,
        deeds: DeedSeries[None],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._repository = repository
        self._key = key
        self._deeds = deeds
        self._now_s = now_s
        self._known: set[str] | None = None
        self._good_at_s = now_s()

    async def look(self) -> None:
        """Tells what is new; what was there at the start was told by whoever led before."""
        try:
            await self._look()
        finally:
            # Most of all when the target is away.
            age_s = self._now_s() - self._good_at_s
            metrics.drill_age_seconds().labels(self._repository.name).set(age_s)

    async def _look(self) -> None:
        first, known, good_at_s = self._known is None, set(self._known or ()), 0
        async for entry in self._repository.entries(Room.DRILLS):
            if entry.name in known:
                continue
            known.add(entry.name)
            found = await self._read(entry.name)
            if found is None:
                continue
            report, raw = found
            good_at_s = max(good_at_s, report.begun_at_s if report.good else 0)
            if not first:
                await self._tell(report, raw)
        if good_at_s:
            self._good_at_s = good_at_s if first else max(self._good_at_s, good_at_s)
        self._known = known

    async def _read(self, name: BlobName) -> tuple[Report, bytes] | None:
        try:
            raw = await self._repository.get_by_name(Room.DRILLS, name)
            return opened(raw, Report, self._key, where=f"{Room.DRILLS}/{name}"), raw
        except (Damaged, ManifestInvalid):
            # One that rotted must not keep us from reading the next.
            log.warning("drill_report_not_signed", blob=name)
            return None

    async def _tell(self, report: Report, raw: bytes) -> None:
        deed = Deed(
            actor=Actor.service(),
            action=Action.ACTION_BACKUP_DRILLED,
            object_id=report.note[:32],
            outcome=Outcome.OUTCOME_DONE if report.good else Outcome.OUTCOME_FAILED,
            commitment=sha256(raw).digest(),
        )
        await self._deeds.record(deed)
