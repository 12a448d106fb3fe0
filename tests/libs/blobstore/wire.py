"""A TCP connection that can be cut where it hurts: between the deed and the answer.

The bytes are TLS, so nobody in between can tell one request from another. `Losing` stands where
the store asks its client library, and tells the wire when the answer to come is to be lost.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from voicefile.blobstore.s3 import S3BlobStore
from voicefile.blobstore.s3_requests import Body, S3Bucket

PIECE = 1 << 16
CONTINUE_BYTES_MAX = 100
"""`100 Continue`, sealed: it comes before the body, and no answer is that short."""


class Wire:
    """Carries bytes to a port and back, until it is told otherwise."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.down = False
        self.lost = 0
        self.lose_answer = False
        """The next byte of an answer cuts its connection; the server has done what it was asked."""
        self.cut_after: int | None = None
        """So many bytes of answers more, and then a cut."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            if self.down:
                return
            back, out = await asyncio.open_connection("127.0.0.1", self._to)
            self._connections.add(out)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(reader, out, answers=False))
                    both.create_task(self._copy(back, writer, answers=True))
            finally:
                self._connections.discard(out)
                out.close()
        except* OSError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    def cut(self) -> None:
        """Every connection, now; new ones are taken and closed at once."""
        self.down = True
        for writer in self._connections:
            writer.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while piece := await reader.read(PIECE):
            if answers:
                self._look(piece)
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError

    def _look(self, piece: bytes) -> None:
        if self.lose_answer and len(piece) > CONTINUE_BYTES_MAX:
            self.lose_answer = False
            self.lost += 1
            raise ConnectionResetError
        if self.cut_after is not None:
            self.cut_after -= len(piece)
            if self.cut_after < 0:
                self.cut_after = None
                raise ConnectionResetError


@contextlib.asynccontextmanager
async def wired(to: int) -> AsyncIterator[Wire]:
    wire = Wire(to)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await asyncio.sleep(0)


class Meddling:
    """The client library with somebody in front of it; see `before`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked: Counter[str] = Counter()

    async def before(self, operation: str, parameters: dict[str, Any]) -> None:
        """What a test does before a request goes out, or instead of it."""

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.asked[operation] += 1
        await self.before(operation, parameters)
        answer: dict[str, Any] = await self._client.ask(operation, **parameters)
        return answer

    def body(self, answer: dict[str, Any]) -> Body:
        found: Body = self._client.body(answer)
        return found

    async def close(self) -> None:
        await self._client.close()


class Losing(Meddling):
    """Loses the answers to the first so many requests of a kind; then the wire itself may fall."""

    def __init__(self, client: Any, wire: Wire, operation: str, *, times: int = 1) -> None:
        super().__init__(client)
        self._wire = wire
        self._operation = operation
        self._times = times
        self.then_down = False

    async def before(self, operation: str, parameters: dict[str, Any]) -> None:
        if operation == self._operation and self._times:
            self._times -= 1
            # A connection that stands already: of a new one the greeting would be lost.
            await self._client.ask("head_bucket")
            self._wire.lose_answer = True
        elif self.then_down and not self._times and not self._wire.down:
            self._wire.cut()


def behind(store: S3BlobStore, meddling: type[Meddling], *how: Any, **more: Any) -> Any:
    """The same store with somebody in front of its client; answers both."""
    client = meddling(store._client, *how, **more)
    bucket = S3Bucket(client, store._bucket._prefix, store._bucket.limits)
    return S3BlobStore(client, bucket, writes=True), client
