"""The requests to a bucket: what each means when it is refused, and when it is tried again.

A request is tried again after a passing failure (no connection, no answer in time, 5xx, a
checksum that did not match what arrived). Where an earlier try may have been carried out, the
one who asks finds out by `head`: see `s3_put`.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

from voicefile.blobstore.port import (
    BlobMissing,
    BlobName,
    BlobStoreFull,
    BlobStoreUnavailable,
)
from voicefile.blobstore.s3_bucket import Found, Limits, Listed, NoUpload, Part, Sent, Taken, Upload

FULL: Final = frozenset({
    "QuotaExceeded", "BucketQuotaExceeded", "XMinioAdminBucketQuotaExceeded", "StorageFull",
    "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge",
})  # fmt: skip
"""What servers say who have no room; the status 507 means the same."""
PASSING: Final = frozenset({
    "SlowDown", "RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch",
    "ConditionalRequestConflict", "OperationAborted", "TooManyRequests",
})  # fmt: skip
"""Codes after which the same request may succeed, whatever their status."""
PAGE_MAX: Final = 1000
_BLOBS: Final = "blobs/"
_PROBE: Final = "ready"
_ATTEMPT: Final = "attempt"
_CLAIM: Final = "claim"
_CODE: Final = re.compile(r"[A-Za-z0-9.-]{1,60}", re.ASCII)
_TYPE: Final = "application/octet-stream"
"""Said of everything: servers that are told nothing look into the content."""


class Refused(Exception):
    """The server answered no."""

    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code if _CODE.fullmatch(code) else "unnamed"
        super().__init__(f"{status} {self.code}")


class CutOff(Exception):
    """No answer, or not all of it; `str` is a code of ours."""


class Certificate(CutOff):
    """The server could not prove who it is: no second try makes it another."""


class Nothing(Exception):
    """No object has that key."""


class BeyondTheEnd(Exception):
    """The object is shorter than the range's start."""


_PASSING: Final = frozenset({
    HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
})  # fmt: skip
_SAYING: Final[dict[int, type[Exception]]] = {
    HTTPStatus.NOT_FOUND: Nothing,
    HTTPStatus.PRECONDITION_FAILED: Taken,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: BeyondTheEnd,
}


class Body(Protocol):
    """An answer's content."""

    async def read(self, amt: int) -> bytes:
        """Some bytes, at most so many; none at the end. Raises CutOff."""

    def close(self) -> None:
        """Lets go of the connection, wherever the content is."""


class Client(Protocol):
    """The library: one request, tried once."""

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Raises Refused, CutOff."""

    def body(self, answer: dict[str, Any]) -> Body:
        """The content of GetObject's answer."""


class S3Bucket:
    """A Bucket, and what reading needs of it."""

    def __init__(self, client: Client, prefix: str, limits: Limits) -> None:
        self._client = client
        self._prefix = prefix
        self.limits = limits

    async def put_new(self, name: BlobName, part: Part, *, attempt: str, claim: bool) -> str:
        answer = await self._ask(
            "put_object",
            Key=self._key(name),
            part=part,
            ContentType=_TYPE,
            ChecksumSHA256=part.sha256,
            Metadata={_CLAIM if claim else _ATTEMPT: attempt},
            IfNoneMatch="*",
        )
        return str(answer["ETag"])

    async def head(self, name: BlobName) -> Found | None:
        try:
            return _found(await self._ask("head_object", Key=self._key(name)))
        except Nothing:
            # An answer to HEAD has no body, so it can't tell a missing bucket from a missing key.
            with suppress(Nothing):
                await self._ask("head_bucket")
                return None
            raise BlobStoreUnavailable("NoSuchBucket") from None

    async def delete(self, name: BlobName, *, etag: str | None = None) -> None:
        only: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        with suppress(Nothing):
            await self._ask("delete_object", Key=self._key(name), **only)

    async def begin(self, name: BlobName, *, attempt: str) -> str:
        answer = await self._ask(
            "create_multipart_upload",
            Key=self._key(name),
            ContentType=_TYPE,
            ChecksumAlgorithm="SHA256",
            Metadata={_ATTEMPT: attempt},
        )
        return str(answer["UploadId"])

    async def send(self, name: BlobName, upload_id: str, number: int, part: Part) -> Sent:
        answer = await self._ask(
            "upload_part",
            Key=self._key(name),
            UploadId=upload_id,
            PartNumber=number,
            part=part,
            ChecksumSHA256=part.sha256,
        )
        return Sent(number, str(answer["ETag"]), part.sha256, part.sealed_bytes)

    async def complete(
        self, name: BlobName, upload_id: str, parts: list[Sent], *, claim: str
    ) -> None:
        listed = [
            {"PartNumber": each.number, "ETag": each.etag, "ChecksumSHA256": each.sha256}
            for each in parts
        ]
        try:
            await self._ask(
                "complete_multipart_upload",
                Key=self._key(name),
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
                IfMatch=claim,
            )
        except Nothing:
            raise Taken from None

    async def abort(self, name: BlobName, upload_id: str) -> None:
        with suppress(NoUpload, Nothing):
            await self._ask("abort_multipart_upload", Key=self._key(name), UploadId=upload_id)

    async def touch(self) -> None:
        """Writes one small object over the last one: what a put needs, works."""
        part = Part.of(b"\0")
        await self._ask(
            "put_object",
            tries=1,
            Key=self._prefix + _PROBE,
            part=part,
            ContentType=_TYPE,
            ChecksumSHA256=part.sha256,
        )

    async def glance(self) -> None:
        """Reads that object or finds that there is none: what reading needs, works."""
        with suppress(Nothing):
            answer = await self._ask("get_object", tries=1, Key=self._prefix + _PROBE)
            body = self._client.body(answer)
            try:
                await body.read(1)
            except CutOff as error:
                raise BlobStoreUnavailable(str(error)) from error
            finally:
                body.close()

    async def pieces(
        self, name: BlobName, start: int, stop: int, *, etag: str | None, piece_bytes: int
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """The range with the ETag it belongs to, over one connection.

        Raises BlobMissing, also if the blob has another ETag by now; BlobStoreUnavailable; CutOff
        if the connection did not bring all of it.
        """
        only: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        try:
            span = f"bytes={start}-{stop - 1}"
            answer = await self._ask("get_object", Key=self._key(name), Range=span, **only)
        except (Nothing, Taken):
            raise BlobMissing from None
        except BeyondTheEnd:
            await self._expect_blob(name)
            return
        body = self._client.body(answer)
        try:
            if _CLAIM in answer.get("Metadata", {}):
                raise BlobMissing
            left = _range_bytes(answer, start)
            while left > 0:
                piece = await body.read(piece_bytes)
                if not piece:
                    raise CutOff("cut-off")
                left -= len(piece)
                yield piece, str(answer["ETag"])
        finally:
            body.close()

    async def page(self, after: str, limit: int) -> list[Listed]:
        """Names above `after`, claims among them, at most 1000; fewer than asked: the last."""
        start: dict[str, Any] = {"StartAfter": self._prefix + _BLOBS + after} if after else {}
        answer = await self._ask(
            "list_objects_v2",
            Prefix=self._prefix + _BLOBS,
            MaxKeys=min(limit, PAGE_MAX),
            **start,
        )
        return [
            Listed(self._name(each["Key"]), each["Size"], each["LastModified"].timestamp())
            for each in answer.get("Contents", [])
        ]

    async def uploads(self) -> AsyncIterator[Upload]:
        """Every multipart upload under way or left behind."""
        marker: dict[str, Any] = {}
        while True:
            answer = await self._ask(
                "list_multipart_uploads",
                Prefix=self._prefix + _BLOBS,
                MaxUploads=PAGE_MAX,
                **marker,
            )
            now_s = _now_s(answer)
            for each in answer.get("Uploads", []):
                age_s = now_s - each["Initiated"].timestamp()
                yield Upload(self._name(each["Key"]), each["UploadId"], age_s)
            marker = {
                "KeyMarker": answer.get("NextKeyMarker"),
                "UploadIdMarker": answer.get("NextUploadIdMarker"),
            }
            if not answer.get("IsTruncated") or None in marker.values():
                return

    async def _expect_blob(self, name: BlobName) -> None:
        found = await self.head(name)
        if found is None or found.is_claim:
            raise BlobMissing

    async def _ask(
        self,
        operation: str,
        *,
        part: Part | None = None,
        tries: int | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        tries = self.limits.tries if tries is None else tries
        for left in reversed(range(tries)):
            try:
                content = {} if part is None else {"Body": part.file()}
                async with asyncio.timeout(self.limits.try_s):
                    return await self._client.ask(operation, **parameters, **content)
            except (Refused, CutOff, TimeoutError) as error:
                if not left or not _passing(error):
                    raise _meant(error) from error
            pause_s = self.limits.pause_s * 2 ** (tries - left - 1)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
        raise AssertionError

    def _key(self, name: BlobName) -> str:
        return self._prefix + _BLOBS + name

    def _name(self, key: str) -> str:
        return key.removeprefix(self._prefix + _BLOBS)


def _passing(error: Exception) -> bool:
    if isinstance(error, Refused):
        return error.status in _PASSING or error.code in PASSING
    return not isinstance(error, Certificate)


def _meant(error: Exception) -> Exception:
    """What the failure means to whoever asked."""
    if not isinstance(error, Refused):
        return BlobStoreUnavailable(str(error) if isinstance(error, CutOff) else "timeout")
    if error.code in FULL or error.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return BlobStoreFull()
    if error.code == "NoSuchUpload":
        return NoUpload()
    if error.status in _SAYING and error.code != "NoSuchBucket":
        return _SAYING[error.status]()
    return BlobStoreUnavailable(error.code)


def _found(answer: dict[str, Any]) -> Found:
    metadata = answer.get("Metadata", {})
    return Found(
        sealed_bytes=answer["ContentLength"],
        etag=answer["ETag"],
        attempt=metadata.get(_CLAIM) or metadata.get(_ATTEMPT, ""),
        is_claim=_CLAIM in metadata,
        age_s=_now_s(answer) - answer["LastModified"].timestamp(),
    )


def _range_bytes(answer: dict[str, Any], start: int) -> int:
    """How many bytes were promised. A server that ignores ranges is none of ours."""
    matched = re.fullmatch(r"bytes (\d+)-(\d+)/\d+", answer.get("ContentRange", ""))
    if matched is None or int(matched[1]) != start:
        raise BlobStoreUnavailable("range-ignored")
    return int(matched[2]) - start + 1


def _now_s(answer: dict[str, Any]) -> float:
    """The server's clock, by which it also says when something was stored."""
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        now: datetime = parsedate_to_datetime(said)
    except ValueError:
        return time.time()
    return now.timestamp()
