import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from voicefile.blobstore.conformance import BlobStoreConformance, yielding
from voicefile.blobstore.filesystem import FilesystemBlobStore
from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import BlobMissing, BlobStore, BlobStoreFull

PUT_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from voicefile.blobstore.filesystem import FilesystemBlobStore

async def chunks():
    for i in range(int(sys.argv[3])):
        print(i, flush=True)
        yield b"x" * 65552
        await asyncio.sleep(0.001)

async def main():
    await FilesystemBlobStore(Path(sys.argv[1])).put(sys.argv[2], chunks())
    print("done", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def store(tmp_path: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(tmp_path)


def files_below(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file()]


class TestFilesystem(BlobStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FilesystemBlobStore(tmp_path)


async def killed_while_putting(root: Path, name: str, *, chunks: int, at: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PUT_UNTIL_KILLED, str(root), name, str(chunks)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while (await process.stdout.readline()).strip() != at:
        assert process.returncode is None
    process.send_signal(signal.SIGKILL)
    await process.communicate()


@pytest.mark.parametrize("at", [b"0", b"20", b"63"])
async def test_a_kill_in_the_middle_of_a_put_leaves_no_blob(
    store: FilesystemBlobStore, tmp_path: Path, at: bytes
) -> None:
    name = new_blob_name()
    await killed_while_putting(tmp_path, name, chunks=64, at=at)
    assert await store.entries() == []
    with pytest.raises(BlobMissing):
        await store.size(name)
    await store.sweep_unfinished(-1)
    assert files_below(tmp_path) == []


async def test_a_put_that_returned_survives_a_kill(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    name = new_blob_name()
    await killed_while_putting(tmp_path, name, chunks=3, at=b"done")
    assert await store.size(name) == 3 * 65552


async def test_files_are_for_their_owner_only(store: FilesystemBlobStore, tmp_path: Path) -> None:
    await store.put(new_blob_name(), yielding([b"sealed"]))
    assert [p.stat().st_mode & 0o777 for p in files_below(tmp_path)] == [0o600]


async def test_a_finished_put_leaves_nothing_aside(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    await store.put(new_blob_name(), yielding([b"sealed"]))
    assert files_below(tmp_path / "unfinished") == []


async def test_what_ends_early_has_touched_no_disk(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    async def cut_off() -> AsyncIterator[bytes]:
        yield b"x" * 65_552
        assert files_below(tmp_path) == []
        raise EOFError

    with pytest.raises(EOFError):
        await store.put(new_blob_name(), cut_off())
    assert files_below(tmp_path) == []


async def test_a_sweep_takes_what_is_old_and_unfinished(tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    old, young = (tmp_path / "unfinished" / f"{new_blob_name()}.{i}" for i in range(2))
    for left_behind, written_at_s in ((old, 1_000), (young, 5_000)):
        left_behind.write_bytes(b"half a recording")
        os.utime(left_behind, (written_at_s, written_at_s))
    store = FilesystemBlobStore(tmp_path, now_s=lambda: 6_000)
    assert await store.sweep_unfinished(older_than_s=3_600) == 1
    assert files_below(tmp_path) == [young]


async def test_a_sweep_leaves_puts_under_way_alone(tmp_path: Path) -> None:
    store = FilesystemBlobStore(tmp_path)
    name = new_blob_name()

    async def swept_meanwhile() -> AsyncIterator[bytes]:
        yield b"x" * (1 << 20)
        assert await store.sweep_unfinished(older_than_s=-60) == 0
        yield b"y"

    await store.put(name, swept_meanwhile())
    assert await store.size(name) == (1 << 20) + 1


async def test_a_store_without_a_directory_is_empty(tmp_path: Path) -> None:
    store = FilesystemBlobStore(tmp_path / "not" / "there" / "yet")
    assert await store.entries() == []
    assert await store.sweep_unfinished(0) == 0


def exchange_open_file(path: Path, descriptor: int) -> None:
    """Puts another file behind the descriptor that this process has open on `path`."""
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and link.readlink() == path:
            os.dup2(descriptor, int(link.name))
    os.close(descriptor)


async def test_a_full_disk_leaves_nothing(store: FilesystemBlobStore, tmp_path: Path) -> None:
    async def disk_fills_up() -> AsyncIterator[bytes]:
        yield b"x" * (1 << 20)
        (aside,) = files_below(tmp_path / "unfinished")
        exchange_open_file(aside, os.open("/dev/full", os.O_WRONLY))
        yield b"y" * (2 << 20)

    with pytest.raises(BlobStoreFull):
        await store.put(new_blob_name(), disk_fills_up())
    assert files_below(tmp_path) == []


async def test_a_failed_fsync_leaves_nothing(store: FilesystemBlobStore, tmp_path: Path) -> None:
    reader, writer = os.pipe()  # it takes writes, and refuses fsync

    async def disk_breaks() -> AsyncIterator[bytes]:
        yield b"x" * (1 << 20)
        (aside,) = files_below(tmp_path / "unfinished")
        exchange_open_file(aside, writer)

    with pytest.raises(OSError, match="Invalid argument"):
        await store.put(new_blob_name(), disk_breaks())
    os.close(reader)
    assert files_below(tmp_path) == []


async def test_a_place_that_takes_no_file_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert not await FilesystemBlobStore(tmp_path / "file").ready()


async def test_a_volume_that_went_away_is_not_ready(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    assert await store.ready()
    (tmp_path / "unfinished").rmdir()
    assert not await store.ready()


async def test_asking_whether_it_is_ready_leaves_no_file(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    assert await store.ready()
    assert files_below(tmp_path) == []
