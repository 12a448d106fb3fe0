"""What S3 adds to the law: large blobs, claims on names, sweeps, what lies in the bucket."""

import asyncio
import io
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.s3 import S3
from tests.libs.blobstore.conftest import opened
from tests.libs.blobstore.wire import Meddling, behind

from voicefile.blobstore.conformance import names_in, yielding
from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import (
    BlobExists,
    BlobMissing,
    BlobName,
    BlobStoreFull,
    BlobStoreUnavailable,
)
from voicefile.blobstore.s3 import S3BlobStore
from voicefile.blobstore.s3_bucket import CLAIM_BYTES, PART_BYTES, Limits
from voicefile.blobstore.s3_requests import CutOff, Refused, S3Bucket
from voicefile.crypto.secret import SecretText

CHUNK = 65_552
LARGE = PART_BYTES + 3 * CHUNK


def pieces(length: int, mark: int = 0) -> list[bytes]:
    """Content in which every place is known from its neighbours, in chunks as they are sealed."""
    whole = b"".join((mark * 1_000_003 + i).to_bytes(8, "big") for i in range(length // 8 + 1))[
        :length
    ]
    return [whole[i : i + CHUNK] for i in range(0, length, CHUNK)]


async def everything(store: S3BlobStore, name: BlobName) -> bytes:
    return b"".join([piece async for piece in store.stream(name, 0, 1 << 40)])


async def nothing_of(store: S3BlobStore, name: BlobName) -> None:
    assert name not in await names_in(store)
    with pytest.raises(BlobMissing):
        await store.size(name)
    for start, stop in ((0, 1), (0, 100), (40, 50)):
        with pytest.raises(BlobMissing):
            await store.read(name, start, stop)


async def uploads_of(store: S3BlobStore) -> list[str]:
    return [upload.name async for upload in store._bucket.uploads()]


@pytest.mark.parametrize(
    "length", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 12_345]
)
async def test_a_blob_of_any_number_of_parts_is_read_back(s3_store: S3BlobStore, length: int):
    name, sent = new_blob_name(), pieces(length)
    assert await s3_store.put(name, yielding(sent)) == length
    assert await s3_store.size(name) == length
    assert await everything(s3_store, name) == b"".join(sent)
    assert [(e.name, e.sealed_bytes) for e in await s3_store.entries()] == [(name, length)]
    assert await uploads_of(s3_store) == []


async def test_ranges_across_the_border_of_parts(s3_store: S3BlobStore):
    name, sent = new_blob_name(), b"".join(pieces(LARGE))
    await s3_store.put(name, yielding([sent]))
    for start, stop in [(-1, 1), (0, 1), (1, 2), (-5, 9), (-CHUNK, CHUNK)]:
        span = slice(PART_BYTES + start, PART_BYTES + stop)
        assert await s3_store.read(name, span.start, span.stop) == sent[span]
    assert await s3_store.read(name, LARGE - 2, LARGE + 9) == sent[-2:]
    assert await s3_store.read(name, LARGE, LARGE + 9) == b""


@pytest.mark.parametrize(
    "lengths", [(LARGE,) * 4, (LARGE, 10, LARGE, 0, LARGE, 32)], ids=["large", "of all sizes"]
)
async def test_of_puts_of_one_name_one_wins_whatever_their_sizes(
    s3_store: S3BlobStore, lengths: tuple[int, ...]
):
    name = new_blob_name()
    sent = [pieces(length, mark) for mark, length in enumerate(lengths)]
    ready = asyncio.Barrier(len(lengths))

    async def together(of: list[bytes]) -> AsyncIterator[bytes]:
        for piece in of:
            yield piece
        await ready.wait()  # so that all of them are about to finish

    ends = await asyncio.gather(
        *(s3_store.put(name, together(each)) for each in sent), return_exceptions=True
    )
    (winner,) = [i for i, end in enumerate(ends) if isinstance(end, int)]
    assert [type(end) for end in ends if not isinstance(end, int)] == [BlobExists] * (
        len(lengths) - 1
    )
    assert await everything(s3_store, name) == b"".join(sent[winner])
    assert await names_in(s3_store) == [name]
    assert await uploads_of(s3_store) == []


class StopsAt(Meddling):
    """Waits before requests of one kind until it is let on."""

    def __init__(self, client: Any, operation: str) -> None:
        super().__init__(client)
        self._operation = operation
        self.there, self.on = asyncio.Event(), asyncio.Event()

    async def before(self, operation: str, parameters: dict[str, Any]) -> None:
        if operation == self._operation:
            self.there.set()
            await self.on.wait()


async def test_a_claim_is_no_blob_and_yet_takes_the_name(s3_store: S3BlobStore):
    name, sent = new_blob_name(), pieces(LARGE)
    slow, stop = behind(s3_store, StopsAt, "complete_multipart_upload")
    async with asyncio.TaskGroup() as group:
        put = group.create_task(slow.put(name, yielding(sent)))
        await stop.there.wait()
        found = await s3_store._bucket.head(name)
        assert found is not None
        assert found.is_claim
        assert found.sealed_bytes == CLAIM_BYTES
        await nothing_of(s3_store, name)
        for length in (10, LARGE):
            with pytest.raises(BlobExists):
                await s3_store.put(name, yielding(pieces(length, 1)))
        stop.on.set()
    assert put.result() == LARGE
    assert await everything(s3_store, name) == b"".join(sent)


async def test_a_claim_taken_away_is_no_ground_to_write_over_another(s3_store: S3BlobStore):
    name, other = new_blob_name(), pieces(10, 1)
    slow, stop = behind(s3_store, StopsAt, "complete_multipart_upload")
    putting = asyncio.ensure_future(slow.put(name, yielding(pieces(LARGE))))
    await stop.there.wait()
    await s3_store.delete(name)
    await s3_store.put(name, yielding(other))
    stop.on.set()
    with pytest.raises(BlobStoreUnavailable):
        await putting
    assert await everything(s3_store, name) == b"".join(other)
    assert await uploads_of(s3_store) == []


class DiesAt(Meddling):
    """From the first request of a kind on, none comes through: as if the process had ended."""

    def __init__(self, client: Any, operation: str) -> None:
        super().__init__(client)
        self._operation = operation

    async def before(self, operation: str, parameters: dict[str, Any]) -> None:
        if self.asked[self._operation]:
            raise CutOff("dead")


async def test_what_a_crash_left_is_swept_and_the_name_is_free(s3_store: S3BlobStore):
    for place in ("upload_part", "complete_multipart_upload", "abort_multipart_upload"):
        name = new_blob_name()
        dying, _ = behind(s3_store, DiesAt, place)

        async def cut_off(place: str = place) -> AsyncIterator[bytes]:
            for piece in pieces(LARGE):
                yield piece
            if place.startswith("abort"):
                raise EOFError

        with pytest.raises((BlobStoreUnavailable, EOFError)):
            await dying.put(name, cut_off())
        await nothing_of(s3_store, name)
        assert await uploads_of(s3_store) == [name]
        assert await s3_store.sweep_unfinished(3_600) == 0
        assert await s3_store.sweep_unfinished(-1) == 1
        assert await uploads_of(s3_store) == []
        assert await s3_store._bucket.head(name) is None
        assert await s3_store.put(name, yielding([b"again"])) == 5


async def test_a_sweep_leaves_puts_under_way_alone(s3_store: S3BlobStore):
    name, sent = new_blob_name(), pieces(LARGE)

    async def swept_meanwhile() -> AsyncIterator[bytes]:
        for piece in sent:
            yield piece
        assert await uploads_of(s3_store) == [name]
        assert await s3_store.sweep_unfinished(-60) == 0

    assert await s3_store.put(name, swept_meanwhile()) == LARGE
    assert await everything(s3_store, name) == b"".join(sent)


async def test_an_upload_that_was_swept_is_no_blob(s3: S3, s3_store: S3BlobStore):
    name = new_blob_name()
    async with await opened(s3, prefix=s3_store._bucket._prefix) as elsewhere:

        async def swept_by_another() -> AsyncIterator[bytes]:
            for piece in pieces(LARGE):
                yield piece
            assert await elsewhere.sweep_unfinished(-60) == 1

        with pytest.raises(BlobStoreUnavailable):
            await s3_store.put(name, swept_by_another())
    await nothing_of(s3_store, name)


async def test_a_large_put_cancelled_at_any_time_is_all_or_nothing(s3_store: S3BlobStore):
    sent, finished = pieces(LARGE), 0
    for turns in itertools.chain(range(0, 120, 17), range(120, 900, 60)):
        name = new_blob_name()
        put = asyncio.ensure_future(s3_store.put(name, yielding(sent)))
        for _ in range(turns):
            await asyncio.sleep(0 if turns < 120 else 0.0005)
        put.cancel()
        (end,) = await asyncio.gather(put, return_exceptions=True)
        if isinstance(end, int):
            finished += 1
            assert await s3_store.size(name) == LARGE
        else:
            await nothing_of(s3_store, name)
            assert await s3_store._bucket.head(name) is None
        assert await uploads_of(s3_store) == []


class Spoiling(Meddling):
    """Changes a byte of what goes out, so many times."""

    def __init__(self, client: Any, operation: str, times: int) -> None:
        super().__init__(client)
        self._operation = operation
        self._times = times

    async def before(self, operation: str, parameters: dict[str, Any]) -> None:
        if operation == self._operation and self._times:
            self._times -= 1
            content = bytearray(parameters["Body"].read())
            content[len(content) // 2] ^= 1
            parameters["Body"] = io.BytesIO(content)


@pytest.mark.parametrize(("length", "operation"), [(10, "put_object"), (LARGE, "upload_part")])
async def test_a_broken_transfer_is_refused_and_sent_again(
    s3_store: S3BlobStore, length: int, operation: str
):
    name, sent = new_blob_name(), pieces(length)
    store, _ = behind(s3_store, Spoiling, operation, 2)
    assert await store.put(name, yielding(sent)) == length
    assert await everything(s3_store, name) == b"".join(sent)
    store, _ = behind(s3_store, Spoiling, operation, 99)
    with pytest.raises(BlobStoreUnavailable, match="BadDigest"):
        await store.put(other := new_blob_name(), yielding(sent))
    await nothing_of(s3_store, other)
    assert await uploads_of(s3_store) == []


async def test_a_stream_left_early_gives_its_connection_back(s3: S3):
    async with await opened(s3, limits=Limits(connections=1, tries=1, try_s=3)) as store:
        await store.put(name := new_blob_name(), yielding(pieces(LARGE)))
        stream = store.stream(name, 0, LARGE)
        assert len(await anext(aiter(stream))) <= 1 << 20
        await stream.aclose()
        assert await store.size(name) == LARGE


async def test_all_that_an_object_tells_is_random(s3: S3, s3_store: S3BlobStore):
    for length in (10, LARGE):
        await s3_store.put(name := new_blob_name(), yielding(pieces(length)))
        with s3.client() as client:
            found = client.head_object(
                Bucket=s3.bucket, Key=f"{s3_store._bucket._prefix}blobs/{name}"
            )
        attempt = found["Metadata"].pop("attempt")
        assert len(attempt) == 32
        assert attempt != name
        assert found["Metadata"] == {}
        assert found["ContentType"] == "application/octet-stream"


async def test_a_blob_as_short_as_a_claim_is_a_blob(s3: S3, s3_store: S3BlobStore):
    await s3_store.put(name := new_blob_name(), yielding([b"x" * CLAIM_BYTES]))
    assert await names_in(s3_store) == [name]
    assert await s3_store.size(name) == CLAIM_BYTES
    assert await everything(s3_store, name) == b"x" * CLAIM_BYTES


async def test_what_others_put_beside_the_blobs_is_not_listed(s3: S3, s3_store: S3BlobStore):
    await s3_store.put(name := new_blob_name(), yielding([b"x"]))
    with s3.client() as client:
        for alien in ("README", f"{name}.bak", name.upper()):
            key = f"{s3_store._bucket._prefix}blobs/{alien}"
            client.put_object(Bucket=s3.bucket, Key=key, Body=b"?")
    assert await names_in(s3_store) == [name]


async def test_whoever_only_reads_is_ready_without_writing(s3: S3, s3_store: S3BlobStore):
    prefix = s3_store._bucket._prefix
    async with await opened(s3, writes=False, prefix=prefix) as reader:
        assert await reader.ready()
        assert await s3_store._bucket.page("", 9) == []
        await s3_store.ready()
        assert await reader.ready()


async def test_a_plaintext_endpoint_is_refused(s3: S3):
    for endpoint in (
        s3.endpoint.replace("https", "http"), "127.0.0.1:9000", "", "https://", "https://u:p@h",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="https"):
            await opened(s3, endpoint=endpoint)


async def useless(store: S3BlobStore, reason: str) -> None:
    async with store:
        assert not await store.ready()
        with pytest.raises(BlobStoreUnavailable, match=reason):
            await store.put(new_blob_name(), yielding([b"x"]))
        with pytest.raises(BlobStoreUnavailable):
            await store.size(new_blob_name())
        with pytest.raises(BlobStoreUnavailable, match=reason):
            await store.read(new_blob_name(), 0, 1)
        with pytest.raises(BlobStoreUnavailable, match=reason):
            await store.entries()


async def test_a_server_of_another_authority_is_refused(s3: S3, tmp_path: Path):
    other = S3(tmp_path / "engine", tmp_path / "certificates")
    other.prepare()
    await useless(await opened(s3, ca=other.authority), "certificate")
    await useless(await opened(s3, ca=None), "certificate")
    with pytest.raises(OSError, match="No such file"):
        await opened(s3, ca=tmp_path / "missing.pem")


async def test_a_wrong_secret_is_refused(s3: S3):
    await useless(await opened(s3, secret_key=SecretText("wrong")), "SignatureDoesNotMatch")
    await useless(await opened(s3, access_key="nobody"), "InvalidAccessKeyId")


async def test_a_missing_bucket_is_not_a_missing_blob(s3: S3):
    store = await opened(s3, bucket="none-of-that-name", writes=False)
    async with store:
        assert not await store.ready()
        with pytest.raises(BlobStoreUnavailable, match="NoSuchBucket"):
            await store.size(new_blob_name())
        with pytest.raises(BlobStoreUnavailable, match="NoSuchBucket"):
            await store.read(new_blob_name(), 0, 1)


class Saying:
    """A server that says one thing, whatever it is asked."""

    def __init__(self, status: int, code: str) -> None:
        self._said = Refused(status, code)
        self.asked = 0

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.asked += 1
        raise self._said


@pytest.mark.parametrize(
    ("status", "code", "error", "tries"),
    [
        (507, "XMinioStorageFull", BlobStoreFull, 1),
        (507, "anything", BlobStoreFull, 1),
        (403, "QuotaExceeded", BlobStoreFull, 1),
        (400, "XMinioAdminBucketQuotaExceeded", BlobStoreFull, 1),
        (403, "AccessDenied", BlobStoreUnavailable, 1),
        (501, "NotImplemented", BlobStoreUnavailable, 1),
        (503, "SlowDown", BlobStoreUnavailable, 3),
        (500, "InternalError", BlobStoreUnavailable, 3),
        (409, "ConditionalRequestConflict", BlobStoreUnavailable, 3),
        (400, "BadDigest", BlobStoreUnavailable, 3),
        (418, "<html>ada@example.com", BlobStoreUnavailable, 1),
    ],
)
async def test_what_a_refusal_means(status: int, code: str, error: type[Exception], tries: int):
    saying = Saying(status, code)
    bucket = S3Bucket(saying, "", Limits(pause_s=0.001))  # type: ignore[arg-type]
    with pytest.raises(error) as refused:
        await bucket.begin(new_blob_name(), attempt="")
    assert saying.asked == tries
    assert "ada" not in str(refused.value)
