"""Lingering: who is refused in the middle of an upload still gets to read why.

A server that answers and closes while the client is sending makes the kernel throw the answer
away (a reset). So the answer goes out at once, says `Connection: close`, and what the client is
still sending is read and dropped for a while before the connection ends.
"""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Lingering:
    """Pure ASGI: stands outside everything, touches no body that was read to its end."""

    def __init__(self, app: ASGIApp, *, discard_bytes_max: int, discard_s: float) -> None:
        self._app = app
        self._discard_bytes_max = discard_bytes_max
        self._discard_s = discard_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reading = _Reading(scope, receive)

        async def lingering(message: Message) -> None:
            if reading.over:
                await send(message)
            elif message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"connection", b"close")]
                await send({**message, "headers": headers})
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._discard_s):
                        await reading.discard(self._discard_bytes_max)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, reading, lingering)


class _Reading:
    """The `receive` of one request, and whether its body came to an end."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        # Without these two there is no body (RFC 9112, 6.3), whatever nobody has read of it.
        self.over = not any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in scope["headers"]
        )

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.over = True
        return message

    async def discard(self, bytes_max: int) -> None:
        """Reads to the end, or as far as it is worth."""
        while not self.over and bytes_max > 0:
            message = await self()
            bytes_max -= len(message.get("body", b""))
