"""What can be done with a repository from outside: list, verify, restore."""

import datetime as dt
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from voicefile.backup.drill import drill
from voicefile.backup.manifest import contents_of, manifests
from voicefile.backup.read_back import LATEST, Reading
from voicefile.backup.verify import Remembered, verify
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.cli.backup_targets import target_named
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.place import Place
from voicefile.cli.restore import Destination, require_ours, restore
from voicefile.cli.restored import tell
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey

Into = Callable[[Place], AbstractAsyncContextManager[Destination]]
"""Where a vault is to be made; the folder has what was begun, and the report."""


async def list_backups(target: str, key: str) -> int:
    """One line for each."""
    verifier = _verifier(key)
    async with target_named(target) as repository:
        for each in await manifests(repository, verifier):
            contents = await contents_of(repository, each.manifest)
            blobs = sum(inventory.blobs for inventory in contents.inventories)
            recordings = sum(each.manifest.counts.values())
            sys.stdout.write(
                f"{each.manifest.n:6}  {_moment(each.manifest.taken_at_s)}  "
                f"{recordings} recordings  {blobs} blobs  {each.note.sha256[:16]}\n"
            )
    return 0


async def verify_backups(target: str, key: str, remember: Path | None) -> int:
    """What is wrong, line by line; 1 if anything is."""
    known, verifier = _known(remember), _verifier(key)
    async with target_named(target) as repository:
        verdict = await verify(repository, verifier, remembered=known)
    for finding in verdict.findings:
        sys.stdout.write(f"{finding}\n")
    for name in verdict.unnamed:
        sys.stdout.write(f"named by nothing: {name}\n")
    sys.stdout.write(
        f"{'sound' if verdict.sound else 'NOT SOUND'}: {verdict.manifests} manifests, "
        f"{verdict.objects} objects, {verdict.bytes} bytes, {verdict.erased} copies erased\n"
    )
    if remember is not None and verdict.sound:
        _keep(remember, verdict.remember)
    return 0 if verdict.sound else 1


async def restore_backup(
    out: Path,
    target: str,
    key: str,
    *,
    into: Into,
    pair: SealingKeyPair,
    at: dt.datetime | None,
) -> int:
    """Says what came back; 1 if something is missing that was not erased."""
    verifier, place = _verifier(key), Place(out)
    # Before it is held: a folder that is somebody else's is not even touched.
    require_ours(place)
    at_s = LATEST if at is None else at.replace(tzinfo=at.tzinfo or dt.UTC).timestamp()
    async with target_named(target) as repository:
        found = await manifests(repository, verifier)
        deployment = found[-1].manifest.deployment if found else ""
        reading = Reading(repository, verifier, deployment=deployment, pair=pair)
        with place.held(for_restore=True):
            async with into(place) as destination:
                restored = await restore(reading, place, destination, at_s=at_s)
    return tell(restored)


async def drill_backup(target: str, key: str, pair: SealingKeyPair, scratch: Path) -> int:
    """Reports at the target and here; 1 if anything was found."""
    verifier, place = _verifier(key), scratch / "drill"
    try:
        async with target_named(target) as repository:
            report = await drill(repository, verifier, pair, FilesystemBlobStore(place))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for finding in report.findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(
        f"{'good' if report.good else 'NOT GOOD'}: manifest {report.manifest}, "
        f"{report.canaries} canaries of {report.tenants} tenants opened, {report.objects} objects, "
        f"{report.bytes} bytes; RPO {report.rpo_s} s, RTO {report.rto_s:.1f} s\n"
    )
    return 0 if report.good else 1


def _verifier(key: str) -> VerifierKey:
    try:
        return VerifierKey.parse(key)
    except NoteInvalid:
        raise SettingsRefused("That is no key of a backup: `voicefile backup key`.") from None


def _known(path: Path | None) -> Remembered:
    """What the last look found; nothing before the first."""
    if path is None or not path.exists():
        return Remembered()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except msgspec.MsgspecError:
        raise SettingsRefused(f"No look was remembered in {path}.") from None


def _keep(path: Path, remembered: Remembered) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(msgspec.json.encode(remembered))
    fresh.replace(path)


def _moment(at_s: int) -> str:
    return dt.datetime.fromtimestamp(at_s, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
