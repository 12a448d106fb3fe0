"""Where backups go: a folder, a bucket, or both; each target is a repository of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from voicefile.backup.repository import Room
from voicefile.backup.settings import BackupSettings
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.port import BlobStore
from voicefile.crypto.secret import SecretText

FOLDER: Final = "folder"
BUCKET: Final = "bucket"
Rooms = dict[Room, BlobStore]


def folder_rooms(folder: Path) -> Rooms:
    """A target in files."""
    return {room: FilesystemBlobStore(folder / room) for room in Room}


@asynccontextmanager
async def targets_of(
    settings: BackupSettings, *, otherwise: Path | None = None
) -> AsyncIterator[dict[str, Rooms]]:
    """What is set, by name; `otherwise`: a folder, if nothing is."""
    found: dict[str, Rooms] = {}
    folder = settings.folder or (None if settings.s3_bucket else otherwise)
    if folder is not None:
        found[FOLDER] = folder_rooms(folder)
    if settings.s3_bucket is None:
        yield found
        return
    rooms = await _bucket_rooms(settings)
    try:
        yield {**found, BUCKET: rooms}
    finally:
        for store in rooms.values():
            await store.close()  # type: ignore[attr-defined]  # made below


async def _bucket_rooms(settings: BackupSettings) -> Rooms:
    from voicefile.blobstore.s3 import S3BlobStore  # noqa: PLC0415 the engine's client, if needed

    assert settings.s3_bucket is not None
    secret = settings.s3_secret_key
    return {
        room: await S3BlobStore.open(
            settings.s3_endpoint or "",
            settings.s3_bucket,
            region=settings.s3_region,
            access_key=settings.s3_access_key or "",
            secret_key=SecretText("" if secret is None else secret.get_secret_value()),
            ca=settings.s3_ca,
            prefix=f"{room}/",
        )
        for room in Room
    }
