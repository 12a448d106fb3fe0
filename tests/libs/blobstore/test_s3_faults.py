"""Servers that die, hang and lose their answers in the middle of a put or a stream."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.engines.s3 import REGION, S3
from tests.libs.blobstore.conftest import opened
from tests.libs.blobstore.test_s3 import LARGE, everything, nothing_of, pieces, uploads_of
from tests.libs.blobstore.wire import Losing, Wire, behind, wired
from tests.quiet_machine import on_a_quiet_machine

from voicefile.blobstore.conformance import names_in, yielding
from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import BlobExists, BlobMissing, BlobStoreUnavailable
from voicefile.blobstore.s3 import S3BlobStore
from voicefile.blobstore.s3_bucket import PART_BYTES, Limits

MIB = 1 << 20
GROWTH_BYTES_MAX = 16 * MIB


@pytest_asyncio.fixture
async def wire(s3: S3) -> AsyncIterator[Wire]:
    async with wired(s3.ports["s3"]) as wire:
        yield wire


@pytest_asyncio.fixture
async def far(s3: S3, wire: Wire, s3_store: S3BlobStore) -> AsyncIterator[S3BlobStore]:
    """The same place as s3_store, at the other end of the wire."""
    endpoint, prefix = f"https://127.0.0.1:{wire.port}", s3_store._bucket._prefix
    async with await opened(s3, endpoint=endpoint, prefix=prefix) as store:
        yield store


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("operation", "length"),
    [
        ("put_object", 10),
        ("create_multipart_upload", LARGE),
        ("upload_part", LARGE),
        ("put_object", LARGE),
        ("complete_multipart_upload", LARGE),
    ],
)
async def test_the_answer_is_lost_and_the_fate_is_known(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire, operation: str, length: int, times: int
):
    name, sent = new_blob_name(), pieces(length)
    store, _ = behind(far, Losing, wire, operation, times=times)
    try:
        assert await store.put(name, yielding(sent)) == length
    except BlobStoreUnavailable:
        # Three answers lost where nobody can look whether it was done: then it is taken back.
        assert times == 3
        assert operation in {"create_multipart_upload", "upload_part"}
        await nothing_of(s3_store, name)
    else:
        assert await everything(s3_store, name) == b"".join(sent)
        assert await names_in(s3_store) == [name]
    assert wire.lost
    # An upload whose id never arrived can't be ended by who began it.
    orphans = times if operation == "create_multipart_upload" else 0
    assert len(await uploads_of(s3_store)) == orphans
    assert await s3_store.sweep_unfinished(-1) == orphans


async def test_a_lost_answer_does_not_make_another_put_ours(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire
):
    for length in (10, LARGE):
        await s3_store.put(name := new_blob_name(), yielding([b"other"]))
        store, _ = behind(far, Losing, wire, "put_object")
        with pytest.raises(BlobExists):
            await store.put(name, yielding(pieces(length)))
        assert await everything(s3_store, name) == b"other"


@pytest.mark.parametrize(
    ("operation", "length"), [("put_object", 10), ("complete_multipart_upload", LARGE)]
)
async def test_a_put_nobody_heard_the_end_of_is_taken_back_later(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire, operation: str, length: int
):
    name = new_blob_name()
    store, losing = behind(far, Losing, wire, operation)
    losing.then_down = True
    with pytest.raises(BlobStoreUnavailable):
        await store.put(name, yielding(pieces(length)))
    # It was carried out, and the store could not be asked any more.
    assert await names_in(s3_store) == [name]
    wire.down = losing.then_down = False
    assert await store.put(name, yielding([b"again"])) == 5
    assert await everything(s3_store, name) == b"again"


async def test_a_sweep_takes_back_what_nobody_heard_the_end_of(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire
):
    store, losing = behind(far, Losing, wire, "put_object")
    losing.then_down = True
    with pytest.raises(BlobStoreUnavailable):
        await store.put(name := new_blob_name(), yielding([b"x"]))
    wire.down = losing.then_down = False
    await store.sweep_unfinished(3_600)
    await nothing_of(s3_store, name)


async def test_a_stream_that_is_cut_goes_on_where_it_was(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire
):
    name, sent = new_blob_name(), pieces(LARGE)
    await s3_store.put(name, yielding(sent))
    heard = b""
    async for piece in far.stream(name, 0, LARGE):
        heard += piece
        if wire.cut_after is None:
            wire.cut_after = 1_500_000
    assert heard == b"".join(sent)


async def test_a_stream_that_is_cut_never_goes_on_with_another_blob(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire
):
    await s3_store.put(name := new_blob_name(), yielding(pieces(LARGE)))
    stream = aiter(far.stream(name, 0, LARGE))
    await anext(stream)
    wire.cut()
    await s3_store.delete(name)
    await s3_store.put(name, yielding(pieces(LARGE, 1)))
    wire.down = False
    with pytest.raises(BlobMissing):
        _ = [piece async for piece in stream]


async def test_a_stream_that_stays_cut_ends_in_an_error(
    s3_store: S3BlobStore, far: S3BlobStore, wire: Wire
):
    await s3_store.put(name := new_blob_name(), yielding(pieces(LARGE)))
    stream = aiter(far.stream(name, 0, LARGE))
    await anext(stream)
    wire.cut()
    with pytest.raises(BlobStoreUnavailable):
        _ = [piece async for piece in stream]
    assert not await far.ready()


@pytest.mark.parametrize("at", [0, PART_BYTES // 2, PART_BYTES + 1, 2 * PART_BYTES + 1])
async def test_a_server_killed_in_the_middle_of_a_put(s3: S3, s3_store: S3BlobStore, at: int):
    name, kept = new_blob_name(), new_blob_name()
    await s3_store.put(kept, yielding(pieces(LARGE)))
    sent = pieces(2 * PART_BYTES + 100_000)

    async def killing() -> AsyncIterator[bytes]:
        gone = 0
        for piece in sent:
            if gone <= at < gone + len(piece):
                s3.kill()
            yield piece
            gone += len(piece)

    began = time.monotonic()
    with pytest.raises(BlobStoreUnavailable):
        await s3_store.put(name, killing())
    assert time.monotonic() - began < 60
    assert not await s3_store.ready()
    await asyncio.to_thread(s3.start)
    assert await s3_store.ready()
    await nothing_of(s3_store, name)
    assert await s3_store.put(name, yielding(sent)) == sum(map(len, sent))
    assert await everything(s3_store, name) == b"".join(sent)
    assert await everything(s3_store, kept) == b"".join(pieces(LARGE))
    await s3_store.sweep_unfinished(-1)
    assert await uploads_of(s3_store) == []


async def test_a_put_that_returned_survives_a_kill_of_the_server(s3: S3, s3_store: S3BlobStore):
    sent = {new_blob_name(): pieces(length) for length in (10, 500_000, LARGE)}
    for name, of in sent.items():
        await s3_store.put(name, yielding(of))
    await asyncio.to_thread(s3.kill)
    await asyncio.to_thread(s3.start)
    for name, of in sent.items():
        assert await everything(s3_store, name) == b"".join(of)


async def test_a_server_that_hangs_is_waited_for_only_so_long(s3: S3):
    limits = Limits(tries=2, try_s=0.5, pause_s=0.05, settle_s=0.5, ready_s=0.5)
    async with await opened(s3, limits=limits) as store:
        await store.put(name := new_blob_name(), yielding(pieces(LARGE)))
        s3.pause()
        try:
            began = time.monotonic()
            assert not await store.ready()
            for ask in (
                store.size(name),
                store.read(name, 0, 1),
                store.entries(),
                store.delete(name),
                store.put(new_blob_name(), yielding([b"x"])),
            ):
                with pytest.raises(BlobStoreUnavailable):
                    await ask
            # Each at most its tries; a put looks afterwards, too, and takes back.
            assert time.monotonic() - began < 20
        finally:
            s3.resume()


async def test_a_cancelled_put_does_not_wait_for_a_server_that_hangs(s3: S3):
    limits = Limits(tries=9, try_s=9, settle_s=0.5)
    async with await opened(s3, limits=limits) as store:
        await store.ready()
        s3.pause()
        try:
            put = asyncio.ensure_future(store.put(new_blob_name(), yielding([b"x"])))
            await asyncio.sleep(0.2)
            put.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await put
            assert time.monotonic() - began < 5
        finally:
            s3.resume()
            await asyncio.sleep(0.2)  # both ends say goodbye


PUT_MUCH = """
import asyncio, os, sys
from pathlib import Path
from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.s3 import S3BlobStore
from voicefile.crypto.secret import SecretText

def kib(field):
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0])

async def chunks(length):
    for at in range(0, length, 65_552):
        yield os.urandom(min(65_552, length - at))

async def main():
    endpoint, bucket, region, key, ca, prefix = sys.argv[1:]
    store = await S3BlobStore.open(
        endpoint, bucket, region=region, access_key=key, secret_key=SecretText(input()),
        ca=Path(ca), prefix=prefix,
    )
    async with store:
        # Once before: modules, certificates, buffers that stay.
        await store.put(new_blob_name(), chunks(100))
        Path("/proc/self/clear_refs").write_text("5")
        before = kib("VmRSS")
        length = 200 << 20
        assert await store.put(name := new_blob_name(), chunks(length)) == length
        print(kib("VmHWM") - before, await store.size(name))

asyncio.run(main())
"""


async def put_much(s3: S3, store: S3BlobStore, environment: dict[str, str]) -> list[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PUT_MUCH, s3.endpoint, s3.bucket, REGION, s3.access_key),
        *(str(s3.authority), store._bucket._prefix),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | environment,
    )
    out, _ = await process.communicate(s3.secret_key.encode() + b"\n")
    assert process.returncode == 0
    return [int(figure) for figure in out.split()]


@on_a_quiet_machine
async def test_a_long_put_takes_little_memory_and_heeds_no_environment(
    s3: S3, s3_store: S3BlobStore
):
    misleading = {
        "AWS_PROFILE": "nobody", "AWS_CONFIG_FILE": "/dev/full", "HTTPS_PROXY": "http://[::1]:9",
        "AWS_ENDPOINT_URL": "http://[::1]:9", "AWS_CA_BUNDLE": "/nowhere", "NO_PROXY": "",
    }  # fmt: skip
    grown_kib, sealed_bytes = await put_much(s3, s3_store, misleading)
    assert sealed_bytes == 200 * MIB
    assert grown_kib * 1024 <= GROWTH_BYTES_MAX
    print(f"a put of 200 MiB took {grown_kib / 1024:.1f} MiB")
