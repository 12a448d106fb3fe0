"""Blobs in an S3 bucket: streamed up in bounded memory, whole or not there, over TLS only.

The bucket's credentials need GetObject, PutObject, DeleteObject, AbortMultipartUpload, and, of the
bucket, ListBucket (without it S3 answers 403 for what is missing) and ListBucketMultipartUploads;
whoever only reads needs GetObject and ListBucket. The bucket needs no versions, and a lifecycle
rule that ends uploads nobody finished may stand beside our own sweep.

What the environment says about AWS (profiles, proxies, endpoints) is not asked.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import botocore.exceptions  # type: ignore[import-untyped]  # ships no types
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from aiohttp import ClientError as TransferError
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # ships no types

from voicefile.blobstore.names import blob_name
from voicefile.blobstore.port import (
    BlobEntry,
    BlobMissing,
    BlobName,
    BlobNameRefused,
    BlobStoreError,
    BlobStoreUnavailable,
)
from voicefile.blobstore.s3_bucket import CLAIM_BYTES, Limits, Listed, Taken
from voicefile.blobstore.s3_put import Put
from voicefile.blobstore.s3_requests import Body, Certificate, CutOff, Refused, S3Bucket
from voicefile.crypto.secret import SecretText

PIECE_BYTES_MAX: Final = 1 << 20
LEFT_MAX: Final = 1000
"""Failed puts remembered until what they may have left is taken back; beyond, others sweep it."""
_UNREACHED = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    ResponseParserError,
    TransferError,
    OSError,
)


class S3BlobStore:
    """Keeps blobs in one bucket, under one prefix; to be used from the loop that opened it."""

    def __init__(self, client: "_Client", bucket: S3Bucket, *, writes: bool) -> None:
        """For `open`."""
        self._client = client
        self._bucket = bucket
        self._writes = writes
        self._under_way: set[Put] = set()
        self._left: dict[BlobName, Put] = {}

    @classmethod
    async def open(
        cls,
        endpoint: str,
        bucket: str,
        *,
        region: str,
        access_key: str,
        secret_key: SecretText,
        ca: Path | None = None,
        prefix: str = "",
        writes: bool = True,
        limits: Limits | None = None,
    ) -> Self:
        """Asks nothing of the bucket yet: it may be away, then `ready` says no.

        `ca`: the only authority believed, if given. `writes`: False for credentials that may only
        read; `ready` then asks for that. Raises ValueError for an endpoint that is not https,
        OSError for a `ca` that can't be read.
        """
        _refuse_plaintext(endpoint)
        if ca is not None:
            # Read by the library in the middle of the first request: too late to be told.
            await asyncio.to_thread(ssl.create_default_context, cafile=str(ca))
        limits = Limits() if limits is None else limits
        client = _Client(bucket)
        await client.open(endpoint, region, access_key, secret_key, ca=ca, limits=limits)
        return cls(client, S3Bucket(client, prefix, limits), writes=writes)

    def beside(self, prefix: str) -> Self:
        """Another store in the same bucket, over the same connections: closed with this one."""
        bucket = S3Bucket(self._client, prefix, self._bucket.limits)
        return type(self)(self._client, bucket, writes=self._writes)

    async def close(self) -> None:
        """Lets go of the connections; what is under way breaks off."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def put(self, name: BlobName, chunks: AsyncIterable[bytes]) -> int:
        put = Put(self._bucket, blob_name(name))
        if name in self._left:
            await self._take_back(name)
        self._under_way.add(put)
        try:
            return await put.run(chunks)
        except BaseException:
            if put.may_have_left_something and len(self._left) < LEFT_MAX:
                self._left[name] = put
            raise
        finally:
            self._under_way.discard(put)

    async def size(self, name: BlobName) -> int:
        found = await self._bucket.head(blob_name(name))
        if found is None or found.is_claim:
            raise BlobMissing
        return found.sealed_bytes

    async def read(self, name: BlobName, start: int, stop: int) -> bytes:
        return b"".join([piece async for piece in self.stream(name, start, stop)])

    async def stream(self, name: BlobName, start: int, stop: int) -> AsyncIterator[bytes]:
        at, failures = max(start, 0), 0
        etag: str | None = None
        if blob_name(name) and at >= stop:
            await self.size(name)
        while at < stop:
            pieces = self._bucket.pieces(name, at, stop, etag=etag, piece_bytes=PIECE_BYTES_MAX)
            try:
                async with aclosing(pieces):
                    async for piece, belongs_to in pieces:
                        at, failures, etag = at + len(piece), 0, belongs_to
                        yield piece
            except CutOff as error:
                # In the middle: the rest is asked for, of the very same blob.
                failures += 1
                if failures == self._bucket.limits.tries:
                    raise BlobStoreUnavailable(str(error)) from error
                await asyncio.sleep(self._bucket.limits.pause_s)
            else:
                return

    async def delete(self, name: BlobName) -> None:
        await self._bucket.delete(blob_name(name))

    async def entries(self, *, after: str = "", limit: int = 1000) -> list[BlobEntry]:
        listed: list[BlobEntry] = []
        while len(listed) < limit:
            wanted = limit - len(listed)
            page = await self._bucket.page(after, wanted)
            for each in page:
                if _is_name(each.name) and not await self._is_claim(each):
                    stored_at_s = each.stored_at_s
                    listed.append(BlobEntry(BlobName(each.name), each.sealed_bytes, stored_at_s))
            if not page:
                break
            after = page[-1].name
        return listed

    async def sweep_unfinished(self, older_than_s: float) -> int:
        for name in list(self._left):
            with suppress(BlobStoreUnavailable):
                await self._take_back(name)
        swept = 0
        async for upload in self._bucket.uploads():
            ours = {put.upload_id for put in self._under_way}
            if upload.age_s <= older_than_s or upload.upload_id in ours:
                continue
            name = BlobName(upload.name)
            # The claim first, as for every put that is taken back: an upload that is still there
            # leads the next sweep to it.
            claim = await self._bucket.head(name)
            if claim is not None and claim.is_claim and claim.age_s > older_than_s:
                with suppress(Taken):
                    await self._bucket.delete(name, etag=claim.etag)
            await self._bucket.abort(name, upload.upload_id)
            swept += 1
        return swept

    async def ready(self) -> bool:
        try:
            async with asyncio.timeout(self._bucket.limits.ready_s):
                await (self._bucket.touch() if self._writes else self._bucket.glance())
        except (BlobStoreError, TimeoutError):
            return False
        return True

    async def _is_claim(self, listed: Listed) -> bool:
        if listed.sealed_bytes != CLAIM_BYTES:
            return False
        found = await self._bucket.head(BlobName(listed.name))
        return found is None or found.is_claim

    async def _take_back(self, name: BlobName) -> None:
        try:
            await self._left[name].take_back()
        except TimeoutError as error:
            raise BlobStoreUnavailable("timeout") from error
        self._left.pop(name, None)


class _Client:
    """The library's client, and its errors in our words."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._stack = AsyncExitStack()
        self._s3: Any = None

    async def open(
        self,
        endpoint: str,
        region: str,
        access_key: str,
        secret_key: SecretText,
        *,
        ca: Path | None,
        limits: Limits,
    ) -> None:
        # The files and variables that AWS's tools read are another program's settings.
        unset = (None, None, None, None)
        nowhere = (None, None, os.devnull, None)
        session = AioSession(
            {"profile": unset, "config_file": nowhere, "credentials_file": nowhere}
        )
        config = AioConfig(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            proxies={},
            connect_timeout=limits.try_s,
            read_timeout=limits.try_s,
            max_pool_connections=limits.connections,
            # Tries are counted in S3Bucket, which knows what may be repeated.
            retries={"total_max_attempts": 1},
            # Checksums are ours, made while the bytes were gathered.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        creating = session.create_client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key.expose(),
            verify=True if ca is None else str(ca),
            config=config,
        )
        self._s3 = await self._stack.enter_async_context(creating)

    async def close(self) -> None:
        await self._stack.aclose()

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            asking = getattr(self._s3, operation)(Bucket=self._bucket, **parameters)
            answer: dict[str, Any] = await asking
        except botocore.exceptions.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise Refused(status, str(error.response["Error"].get("Code"))) from error
        except botocore.exceptions.SSLError as error:
            raise Certificate("certificate") from error
        except _UNREACHED as error:
            raise CutOff("cut-off") from error
        return answer

    def body(self, answer: dict[str, Any]) -> Body:
        return _Body(answer["Body"])


class _Body:
    def __init__(self, body: Any) -> None:
        self._body = body

    async def read(self, amt: int) -> bytes:
        try:
            piece: bytes = await self._body.read(amt)
        except _UNREACHED as error:
            raise CutOff("cut-off") from error
        return piece

    def close(self) -> None:
        self._body.close()


def _refuse_plaintext(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ValueError("the S3 endpoint is https://host[:port], without user or password")


def _is_name(text: str) -> bool:
    try:
        blob_name(text)
    except BlobNameRefused:
        return False
    return True
