"""Blobs in files: written aside, made durable, then given their name in one step.

    <root>/unfinished/<name>.<random>    a put under way; swept when nobody finishes it
    <root>/blobs/<first two digits>/<name>

A blob gets its name by link(2), which refuses a name already taken, so of two puts of one name
exactly one wins. Files are read and written in threads of the store's own, readers apart from
writers, so that a listener never waits behind an upload's fsync.
"""

import asyncio
import errno
import os
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from heapq import nsmallest
from pathlib import Path
from typing import ParamSpec, TypeVar

from voicefile.blobstore.names import blob_name
from voicefile.blobstore.port import (
    BlobEntry,
    BlobExists,
    BlobMissing,
    BlobName,
    BlobNameRefused,
    BlobStoreFull,
)

PIECE_BYTES_MAX = 1 << 20
"""One hop into a thread moves up to this much, read or written."""
WRITER_THREADS = 8
READER_THREADS = 4
FANOUT_DIGITS = 2
READY_S = 1.0
"""A volume that needs longer than this for one byte is not ready."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a full disk, a used-up quota and a limit on the size of files say."""

P = ParamSpec("P")
T = TypeVar("T")


class FilesystemBlobStore:
    """Keeps blobs below one directory of one volume."""

    def __init__(self, root: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._unfinished = root / "unfinished"
        self._blobs = root / "blobs"
        self._now_s = now_s
        self._under_way: set[Path] = set()
        self._directories = _DurableDirectories(root)
        self._probing: asyncio.Future[bool] | None = None
        # Their threads start with the first piece of work, not here.
        self._writers = ThreadPoolExecutor(WRITER_THREADS, thread_name_prefix="blob-write")
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="blob-read")

    async def put(self, name: BlobName, chunks: AsyncIterable[bytes]) -> int:
        target = self._path(name)
        aside = self._unfinished / f"{name}.{secrets.token_hex(8)}"
        writing = _Writing(aside, target, self._directories)
        self._under_way.add(aside)
        try:
            rest = await self._receive(writing, chunks)
            await _settled(self._writers, writing.finish, rest)
        except BaseException as error:
            # Cancelled, cut off, disk full: whatever it was, no blob may stay behind.
            await _settled(self._writers, writing.discard)
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise BlobStoreFull from error
            raise
        finally:
            self._under_way.discard(aside)
        return writing.sealed_bytes

    async def size(self, name: BlobName) -> int:
        return await _settled(self._readers, _size, self._path(name))

    async def read(self, name: BlobName, start: int, stop: int) -> bytes:
        return await _settled(self._readers, _read, self._path(name), start, stop)

    async def stream(self, name: BlobName, start: int, stop: int) -> AsyncIterator[bytes]:
        descriptor = await _settled(self._readers, _open_to_read, self._path(name))
        try:
            at = max(start, 0)
            while at < stop:
                until = min(at + PIECE_BYTES_MAX, stop)
                piece = await _settled(self._readers, _read_descriptor, descriptor, at, until)
                if not piece:
                    return
                yield piece
                at += len(piece)
        finally:
            os.close(descriptor)

    async def delete(self, name: BlobName) -> None:
        await _settled(self._writers, _unlink_durably, self._path(name))

    async def entries(self, *, after: str = "", limit: int = 1000) -> list[BlobEntry]:
        return await _settled(self._readers, self._list, after, limit)

    async def sweep_unfinished(self, older_than_s: float) -> int:
        return await _settled(self._writers, self._sweep, self._now_s() - older_than_s)

    async def ready(self) -> bool:
        # One probe at a time: on a disk that hangs they would pile up behind one another.
        if self._probing is None or self._probing.done():
            loop = asyncio.get_running_loop()
            self._probing = loop.run_in_executor(self._writers, self._probe)
        await asyncio.wait((self._probing,), timeout=READY_S)
        return self._probing.done() and self._probing.result()

    def _path(self, name: str) -> Path:
        safe = blob_name(name)
        return self._blobs / safe[:FANOUT_DIGITS] / safe

    async def _receive(self, writing: "_Writing", chunks: AsyncIterable[bytes]) -> list[bytes]:
        """Writes what fills whole pieces; answers the rest, for `finish` to write.

        A hop into a thread costs more than a 64 KiB chunk: a blob below 1 MiB takes one in all.
        """
        gathered: list[bytes] = []
        gathered_bytes = 0
        async for chunk in chunks:
            gathered.append(bytes(chunk))
            gathered_bytes += len(chunk)
            if gathered_bytes >= PIECE_BYTES_MAX:
                await _settled(self._writers, writing.write, gathered)
                gathered, gathered_bytes = [], 0
        return gathered

    def _probe(self) -> bool:
        """A file of one byte, as durable as a blob and gone again: what a put begins with."""
        probe = self._unfinished / f"probe.{secrets.token_hex(8)}"
        try:
            self._directories.ensure(self._unfinished)
            with probe.open("xb", buffering=0) as file:
                file.write(b"\0")
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink()
        return True

    def _list(self, after: str, limit: int) -> list[BlobEntry]:
        """Directory by directory: what is held in memory is one of 256, never all names."""
        listed: list[BlobEntry] = []
        if not self._blobs.exists():
            return listed
        prefixes = sorted(p.name for p in self._blobs.iterdir() if p.name >= after[:FANOUT_DIGITS])
        for prefix in prefixes:
            with os.scandir(self._blobs / prefix) as found:
                names = (e.name for e in found if e.name > after and _is_name(e.name))
                page = nsmallest(limit - len(listed), names)
            for name in page:
                # Deleted between listing and looking: then it is not there, as the port says.
                with suppress(FileNotFoundError):
                    stat = (self._blobs / prefix / name).stat()
                    listed.append(BlobEntry(BlobName(name), stat.st_size, stat.st_mtime))
            if len(listed) >= limit:
                break
        return listed

    def _sweep(self, written_before_s: float) -> int:
        if not self._unfinished.exists():
            return 0
        swept = 0
        with os.scandir(self._unfinished) as found:
            for entry in found:
                aside = self._unfinished / entry.name
                with suppress(FileNotFoundError):
                    if aside in self._under_way or entry.stat().st_mtime >= written_before_s:
                        continue
                    aside.unlink()
                    swept += 1
        return swept


class _Writing:
    """One put: a file aside that becomes a blob, or nothing. Runs in a thread of the writers."""

    def __init__(self, aside: Path, target: Path, directories: "_DurableDirectories") -> None:
        self._aside = aside
        self._target = target
        self._directories = directories
        self._descriptor = -1
        self._named = False
        self.sealed_bytes = 0

    def _begin(self) -> None:
        if self._target.exists():
            raise BlobExists
        self._directories.ensure(self._aside.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._aside, flags, 0o600)

    def write(self, pieces: list[bytes]) -> None:
        if self._descriptor < 0:
            self._begin()
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[os.write(self._descriptor, left) :]
            self.sealed_bytes += len(piece)

    def finish(self, rest: list[bytes]) -> None:
        self.write(rest)
        # An fsync that failed says the pages are lost; asked again it would lie. So: one try,
        # and if it fails `discard` removes the file.
        os.fsync(self._descriptor)
        self._close()
        self._directories.ensure(self._target.parent)
        try:
            os.link(self._aside, self._target)
        except FileExistsError as taken:
            raise BlobExists from taken
        self._named = True
        _sync_directory(self._target.parent)
        # Not awaited to the disk: after a crash the sweeper finds a second name, no second blob.
        self._aside.unlink()

    def discard(self) -> None:
        self._close()
        self._aside.unlink(missing_ok=True)
        if self._named:
            _unlink_durably(self._target)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _DurableDirectories:
    """Directories known to survive a crash.

    Being there is not enough: another put may have made one and not yet brought it to the disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: set[Path] = set()

    def ensure(self, directory: Path) -> None:
        if directory in self._known:
            return
        if directory == self._root:
            _make_root(directory)
        else:
            self.ensure(directory.parent)
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(directory.parent)
        self._known.add(directory)


async def _settled(
    pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs `work` in a thread and never leaves it running behind the caller's back.

    A cancelled caller gets its CancelledError only after the thread is through: otherwise a
    discarded put could still be linked by a thread nobody waits for.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # looked at, so that asyncio does not report it as never retrieved
        raise cancelled
    return future.result()


def _is_name(text: str) -> bool:
    try:
        blob_name(text)
    except BlobNameRefused:
        return False
    return True


def _open_to_read(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as missing:
        raise BlobMissing from missing


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as missing:
        raise BlobMissing from missing


def _read(path: Path, start: int, stop: int) -> bytes:
    descriptor = _open_to_read(path)
    try:
        return _read_descriptor(descriptor, max(start, 0), stop)
    finally:
        os.close(descriptor)


def _read_descriptor(descriptor: int, start: int, stop: int) -> bytes:
    """A pread may answer less than asked; only an empty answer means the end."""
    pieces: list[bytes] = []
    while start < stop:
        piece = os.pread(descriptor, stop - start, start)
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _unlink_durably(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_directory(path.parent)


def _make_root(root: Path) -> None:
    for missing in reversed([d for d in (root, *root.parents) if not d.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        _sync_directory(missing.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
