"""One put into an S3 bucket: all of it or nothing, whatever is lost, cut off or cancelled.

What fits into one part goes in one request, under the condition that the name is free. What is
longer goes up in parts that nobody sees; then the put *claims* the name with a small object,
under the same condition, and has the parts put in the claim's place. So all puts of one name meet
at one kind of request, which every S3 server decides atomically. The condition on
CompleteMultipartUpload alone would not do: servers exist that look first and write later, and of
eight puts at a time eight have won.

A claim is not a blob: it is neither listed nor read. One that a crash left behind has its upload
beside it, and goes with it when it is swept.
"""

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from voicefile.blobstore.port import (
    BlobExists,
    BlobName,
    BlobStoreError,
    BlobStoreFull,
    BlobStoreUnavailable,
)
from voicefile.blobstore.s3_bucket import (
    ATTEMPT_BYTES,
    PARTS_MAX,
    Bucket,
    Found,
    NoUpload,
    Part,
    Sent,
    Taken,
    parts_of,
)

T = TypeVar("T")


class Put:
    """A put under way, and what is to be taken back should it fail."""

    def __init__(self, bucket: Bucket, name: BlobName) -> None:
        self._bucket = bucket
        self._name = name
        self._attempt = secrets.token_hex(ATTEMPT_BYTES)
        self._settle_s = bucket.limits.settle_s
        self._may_be_there = False
        self.upload_id = ""

    @property
    def may_have_left_something(self) -> bool:
        """Of a put that failed: whether it could not take back everything."""
        return self._may_be_there or bool(self.upload_id)

    async def run(self, chunks: AsyncIterable[bytes]) -> int:
        """Raises BlobExists, BlobStoreFull, BlobStoreUnavailable, and what `chunks` raises."""
        async with aclosing(parts_of(chunks)) as parts:
            first = [await anext(parts)]
            try:
                if not first[0].full:
                    return await self._whole(first[0])
                return await self._in_parts(first, parts)
            except BaseException:
                # Cancelled, cut off, full, out of reach: whatever it was, nothing may stay.
                with suppress(BlobStoreError, TimeoutError):
                    await settled(self.take_back(), self._settle_s)
                raise

    async def take_back(self) -> None:
        """Removes what this put has left, and no other's. Raises BlobStoreUnavailable, Timeout."""
        async with asyncio.timeout(self._settle_s):
            # First the claim: without it the parts can't become a blob any more. Then the parts,
            # by which a sweep finds what is left, should this be cut off in between.
            await self._remove_mine()
            if self.upload_id:
                await self._bucket.abort(self._name, self.upload_id)
                # Finishing may have been under way all the while.
                await self._remove_mine()
        self._may_be_there, self.upload_id = False, ""

    async def _whole(self, part: Part) -> int:
        self._may_be_there = True
        await settled(self._put_new(part, claim=False), self._settle_s)
        return part.sealed_bytes

    async def _in_parts(self, first: list[Part], parts: AsyncIterator[Part]) -> int:
        await settled(self._begin(), self._settle_s)
        sent = await self._send(first, parts)
        await settled(self._finish(sent), self._settle_s)
        return sum(each.sealed_bytes for each in sent)

    async def _begin(self) -> None:
        self.upload_id = await self._bucket.begin(self._name, attempt=self._attempt)

    async def _send(self, first: list[Part], parts: AsyncIterator[Part]) -> list[Sent]:
        """One part is on its way while the next is gathered; more would take too much memory.

        For the same reason `first` is emptied: a list, so that nobody else holds what was in it.
        """
        sending: list[asyncio.Task[Sent]] = []
        try:
            async with asyncio.TaskGroup() as group:
                sending.append(group.create_task(self._send_one(1, first.pop())))
                async for part in parts:
                    await asyncio.wait((sending[-1],))
                    if not part.sealed_bytes:
                        break
                    if len(sending) == PARTS_MAX:
                        raise BlobStoreFull
                    number = len(sending) + 1
                    sending.append(group.create_task(self._send_one(number, part)))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in sending]

    async def _send_one(self, number: int, part: Part) -> Sent:
        try:
            # Settled, too: a part that lands after the abort would stay, and nobody would know.
            sending = self._bucket.send(self._name, self.upload_id, number, part)
            return await settled(sending, self._settle_s)
        except NoUpload as swept:
            raise BlobStoreUnavailable("NoSuchUpload") from swept

    async def _finish(self, parts: list[Sent]) -> None:
        self._may_be_there = True
        etag = await self._put_new(Part.of(self._attempt.encode("ascii")), claim=True)
        try:
            await self._bucket.complete(self._name, self.upload_id, parts, claim=etag)
        except (Taken, NoUpload, BlobStoreUnavailable) as error:
            mine = await self._after(error)
            if mine is None or mine.is_claim:
                if isinstance(error, BlobStoreUnavailable):
                    raise
                raise BlobStoreUnavailable("claim-lost") from error

    async def _put_new(self, part: Part, *, claim: bool) -> str:
        try:
            return await self._bucket.put_new(self._name, part, attempt=self._attempt, claim=claim)
        except (Taken, BlobStoreUnavailable) as error:
            if (mine := await self._after(error)) is not None:
                return mine.etag
            if isinstance(error, Taken):
                self._may_be_there = False
                raise BlobExists from error
            raise

    async def _after(self, error: Exception) -> Found | None:
        """What of ours is there all the same: a try was carried out, and only its answer lost.

        If nobody can look, raises whichever error says more.
        """
        try:
            return await self._mine()
        except BlobStoreUnavailable:
            if isinstance(error, BlobStoreUnavailable):
                raise error from None
            raise

    async def _remove_mine(self) -> None:
        if self._may_be_there and (mine := await self._mine()) is not None:
            with suppress(Taken):
                await self._bucket.delete(self._name, etag=mine.etag)

    async def _mine(self) -> Found | None:
        found = await self._bucket.head(self._name)
        return found if found is not None and found.attempt == self._attempt else None


async def settled(step: Coroutine[Any, Any, T], settle_s: float) -> T:
    """Runs the step to its end, even for a caller who is cancelled: he gets his error afterwards.

    A request left behind could still store something after it was taken back. What takes longer
    than `settle_s` from the cancellation on is cut off all the same.
    """
    # owned: awaited right below until it is through.
    task = asyncio.create_task(step)
    cutting: asyncio.TimerHandle | None = None
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
            if cutting is None:
                cutting = asyncio.get_running_loop().call_later(settle_s, task.cancel)
    if cutting is not None:
        cutting.cancel()
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as never retrieved
        raise cancelled
    return task.result()
