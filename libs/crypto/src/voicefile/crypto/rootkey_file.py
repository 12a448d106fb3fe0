"""A root key in files, for development: whoever can read the directory can open the vault.

One file per version, readable by its owner alone: 32 key bytes, then a SHA-256 that ties them to
the version's name. Nothing is cached, so what is destroyed is gone for every process at once.
Overwriting a file is an honest attempt, not a proof: flash storage and copy-on-write file
systems keep old blocks. A deployment that must prove destruction takes an HSM or a key service.
"""

import asyncio
import os
import re
import secrets
from pathlib import Path

from voicefile.crypto.envelope import ID_BYTES, Context, Kind, unwrap, wrap
from voicefile.crypto.primitives import constant_time_equal, sha256
from voicefile.crypto.rootkey import RootUnavailable, VersionGone
from voicefile.crypto.secret import KEY_BYTES, SecretKey

CAUTION = (
    "The root key lies in plain files: good for development, not for real recordings. "
    "Whoever can read them can open everything."
)
"""What a process that runs on this adapter says when it starts."""

_VERSION = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SUFFIX = ".root"
_LABEL = b"voicefile/root-file\x00"
_FILE_BYTES = 2 * KEY_BYTES
_OWNER_ONLY = 0o600
_OTHERS = 0o077


class FileRootKey:
    """The RootKey port over a directory, which is made with the first version."""

    caution = CAUTION

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def create_version(self) -> str:
        return await asyncio.to_thread(self._create)

    async def destroy_version(self, version: str) -> None:
        await asyncio.to_thread(self._destroy, version)

    async def versions(self) -> list[str]:
        return await asyncio.to_thread(self._living)

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        under = await asyncio.to_thread(self._load, version)
        return wrap(key, under=under, context=_context(version, context))

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        under = await asyncio.to_thread(self._load, version)
        return unwrap(wrapped, under=under, context=_context(version, context))

    async def ready(self) -> bool:
        try:
            await self.versions()
        except (RootUnavailable, OSError):
            return False
        return True

    def _create(self) -> str:
        version = secrets.token_hex(ID_BYTES)
        key = secrets.token_bytes(KEY_BYTES)
        unfinished = self._directory / f".{version}.new"
        try:
            if not self._directory.exists():
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_directory(self._directory.parent)
            _write_durably(unfinished, key + _check(version, key), os.O_CREAT | os.O_EXCL)
            unfinished.rename(self._path(version))
            _sync_directory(self._directory)
        except OSError as error:
            raise RootUnavailable("a root key file can't be written") from error
        return version

    def _destroy(self, version: str) -> None:
        if not _VERSION.fullmatch(version):
            return
        path = self._path(version)
        try:
            # Zeros never pass the check, so a crash between here and the unlink leaves no key.
            _write_durably(path, bytes(_FILE_BYTES), 0)
            path.unlink()
            _sync_directory(self._directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RootUnavailable("a root key file can't be destroyed") from error

    def _living(self) -> list[str]:
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except FileNotFoundError:
            return []
        found = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
        return [version for version in found if self._lives(version)]

    def _lives(self, version: str) -> bool:
        try:
            self._load(version)
        except VersionGone:
            return False
        return True

    def _load(self, version: str) -> SecretKey:
        if not _VERSION.fullmatch(version):
            raise VersionGone("no such version")
        try:
            with self._path(version).open("rb") as file:
                if os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise RootUnavailable("a root key file is open to others: chmod 600 it")
                content = file.read(_FILE_BYTES + 1)
        except FileNotFoundError:
            raise VersionGone("no such version") from None
        except OSError as error:
            raise RootUnavailable("a root key file can't be read") from error
        if content == bytes(_FILE_BYTES):
            raise VersionGone("the version's destruction was begun")
        key, check = content[:KEY_BYTES], content[KEY_BYTES:]
        if len(content) != _FILE_BYTES or not constant_time_equal(check, _check(version, key)):
            raise RootUnavailable("a root key file is damaged")
        return SecretKey(key)

    def _path(self, version: str) -> Path:
        return self._directory / f"{version}{_SUFFIX}"


def _context(version: str, context: bytes) -> Context:
    return Context(b"root", "", context, Kind.WRAPPED_KEY, version.encode("ascii"))


def _check(version: str, key: bytes) -> bytes:
    return sha256(_LABEL + version.encode("ascii") + key)


def _write_durably(path: Path, content: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
