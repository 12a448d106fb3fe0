"""Makes the vault's bucket, and tries whether the server keeps what the S3 store relies on.

What an operator runs once before the first start, and may run again at any time: a server that
only looks like S3 is found here, and not by a recording that is gone.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import botocore.exceptions  # type: ignore[import-untyped]  # ships no types
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from botocore import UNSIGNED

AWAY: Final = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
"""What the client library raises when the server can't be reached, or refuses."""
_PROBE: Final = "probe-"
_PATIENCE_S: Final = 10
_NAMES_OF_NONE: Final = ("404", "NoSuchBucket")


class NotWhatWeNeed(Exception):
    """The server does not keep a promise of S3's that the vault relies on; says which."""


@dataclass(frozen=True)
class Place:
    """Which bucket, and with whose keys: an operator's, who may make buckets."""

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    ca: Path | None = None


async def prepare_bucket(place: Place) -> bool:
    """Makes the bucket if there is none, and tries it; answers whether it was made.

    Raises NotWhatWeNeed; BotoCoreError or ClientError where the server can't be reached or refuses.
    """
    async with _client(place, signed=True) as client:
        made = await _made(client, place.bucket)
        key = _PROBE + secrets.token_hex(16)
        try:
            await _is_written_once(client, place.bucket, key)
            await _is_nobody_elses(place, key)
        finally:
            await client.delete_object(Bucket=place.bucket, Key=key)
    return made


async def _made(client: Any, bucket: str) -> bool:
    try:
        await client.head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _NAMES_OF_NONE:
            raise
        await client.create_bucket(Bucket=bucket)
        return True
    return False


async def _is_written_once(client: Any, bucket: str, key: str) -> None:
    """Two puts of one name, of which the second has to be refused."""
    await client.put_object(Bucket=bucket, Key=key, Body=b"first", IfNoneMatch="*")
    try:
        await client.put_object(Bucket=bucket, Key=key, Body=b"second", IfNoneMatch="*")
    except botocore.exceptions.ClientError as error:
        if _status(error) != HTTPStatus.PRECONDITION_FAILED:
            raise
    else:
        raise NotWhatWeNeed("it writes over an object that was to be written only if absent")


async def _is_nobody_elses(place: Place, key: str) -> None:
    """Without a signature nothing is to be had."""
    async with _client(place, signed=False) as client:
        for asked in ("get_object", "list_objects_v2"):
            named = {"Key": key} if asked == "get_object" else {}
            try:
                await getattr(client, asked)(Bucket=place.bucket, **named)
            except botocore.exceptions.ClientError as error:
                if _status(error) not in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
                    raise
            else:
                raise NotWhatWeNeed("the bucket is open to everybody")


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


@asynccontextmanager
async def _client(place: Place, *, signed: bool) -> AsyncIterator[Any]:
    config = AioConfig(
        signature_version="s3v4" if signed else UNSIGNED,
        connect_timeout=_PATIENCE_S,
        read_timeout=_PATIENCE_S,
        # By path: a bucket's own host name is not in every server's certificate.
        s3={"addressing_style": "path"},
    )
    async with AioSession().create_client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        verify=True if place.ca is None else str(place.ca),
        config=config,
    ) as client:
        yield client
