"""Streamed answers: a body made while it is sent, and always closed, however the client leaves."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicefile.chassis.edge import ClientGone


class StreamedResponse(Response):
    """Sends what a generator yields. The generator's `finally` runs before the request ends.

    The framework's StreamingResponse cancels the generator when the client leaves, so that no
    await in its `finally` succeeds, or drops it for the garbage collector: neither is a place
    from which to write down how a listening ended. Here it is asked to close, uncancelled, at
    the next chunk. So what it awaits needs time limits of its own.
    """

    def __init__(
        self,
        content: AsyncGenerator[bytes, None],
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(None, status_code=status_code, headers=headers, media_type=media_type)
        if headers is None or "content-length" not in {name.lower() for name in headers}:
            # The parent counted an empty body; ours has no length unless the caller knows it.
            del self.headers["content-length"]
        self._content = content

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._content) as chunks, asyncio.TaskGroup() as group:
                listening = group.create_task(_disconnect(receive))
                try:
                    await self._send_all(chunks, send, listening)
                finally:
                    listening.cancel()
        except* ClientGone:
            # The edge sees that the answer is not whole, and logs it so; nobody else is left.
            pass

    async def _send_all(
        self, chunks: AsyncGenerator[bytes, None], send: Send, listening: asyncio.Task[None]
    ) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        async for chunk in chunks:
            if listening.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
