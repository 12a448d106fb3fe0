"""Where backups go: a folder, a bucket, or both; each target is a repository of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from voicefile.backup.repository import Repository, Room
from voicefile.backup.settings import BackupSettings
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.cli.engine_settings import SettingsRefused, read, variable
from voicefile.crypto.secret import SecretText

FOLDER: Final = "folder"
BUCKET: Final = "bucket"
S3: Final = "s3"
"""How a command is told of the bucket that is set; a folder of that name is `./s3`."""
_BUCKET_NEEDS: Final = ("s3_bucket", "s3_endpoint", "s3_access_key", "s3_secret_key")
Rooms = dict[Room, BlobStore]


def folder_rooms(folder: Path) -> Rooms:
    """A target in files."""
    return {room: FilesystemBlobStore(folder / room) for room in Room}


@asynccontextmanager
async def targets_of(
    settings: BackupSettings, *, otherwise: Path | None = None
) -> AsyncIterator[dict[str, Rooms]]:
    """What is set, by name; `otherwise`: a folder, if nothing is. Raises SettingsRefused."""
    found: dict[str, Rooms] = {}
    folder = settings.folder or (None if settings.s3_bucket else otherwise)
    if folder is not None:
        found[FOLDER] = folder_rooms(folder)
    if settings.s3_bucket is None:
        yield found
        return
    async with bucket_rooms(settings) as rooms:
        yield {**found, BUCKET: rooms}


def names_of(settings: BackupSettings) -> list[str]:
    """What is set, by name."""
    there = {FOLDER: settings.folder, BUCKET: settings.s3_bucket}
    return [name for name, told in there.items() if told is not None]


@asynccontextmanager
async def target_named(said: str) -> AsyncIterator[Repository]:
    """For a command: `s3`, or a folder. Raises SettingsRefused."""
    if said == S3:
        async with bucket_rooms(read(BackupSettings)) as rooms:
            yield Repository(BUCKET, rooms)
        return
    yield Repository(FOLDER, folder_rooms(_folder(said)))


def _folder(said: str) -> Path:
    folder = Path(said)
    if not folder.is_dir():
        raise SettingsRefused(f"There is no such folder: {folder}.")
    return folder


@asynccontextmanager
async def bucket_rooms(settings: BackupSettings) -> AsyncIterator[Rooms]:
    """A target in the bucket that is set, over the same connections. Raises SettingsRefused."""
    from voicefile.blobstore.s3 import S3BlobStore  # noqa: PLC0415 the engine's client, if needed

    missing = [variable(f"backup_{name}") for name in _BUCKET_NEEDS if not getattr(settings, name)]
    if missing:
        raise SettingsRefused(f"A bucket can't be used without {', '.join(missing)}.")
    assert settings.s3_endpoint is not None
    assert settings.s3_bucket is not None
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    try:
        opening = await S3BlobStore.open(
            settings.s3_endpoint,
            settings.s3_bucket,
            region=settings.s3_region,
            access_key=settings.s3_access_key,
            secret_key=SecretText(settings.s3_secret_key.get_secret_value()),
            ca=settings.s3_ca,
        )
    except (OSError, ValueError):
        # What is wrong with an authority's file OpenSSL says, and nothing of use.
        wrong = f"{variable('backup_s3_endpoint')}, {variable('backup_s3_ca')}"
        raise SettingsRefused(f"What is set does not fit: {wrong}.") from None
    async with opening as store:
        yield {room: store.beside(f"{room}/") for room in Room}
