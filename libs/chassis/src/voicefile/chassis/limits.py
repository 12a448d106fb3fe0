"""Limits of a request: how large a body may grow, how long it may take to arrive."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 64 * 1024
"""What a JSON body may have unless its route says otherwise."""
BODY_IDLE_S_MAX: Final = 30.0
"""How long the next part of a body may keep us waiting."""
BODY_S_MAX: Final = 60.0
"""How long a whole body may take unless its route says otherwise: idle time alone would let one
byte every half minute hold a connection for days."""


@dataclass(frozen=True)
class BodyLimit:
    """What one route takes."""

    bytes_max: int = BODY_BYTES_MAX
    whole_s_max: float = BODY_S_MAX
    idle_s_max: float = BODY_IDLE_S_MAX


@dataclass(frozen=True)
class BodyLimits:
    """The limit of every route, with exceptions by the route's exact path."""

    usual: BodyLimit = BodyLimit()
    of_path: Mapping[str, BodyLimit] = field(default_factory=dict)


# HTTPException, because FastAPI turns every other error of reading a body into a 400.
class BodyTooLarge(HTTPException):
    """More bytes came, or were announced, than the route takes."""

    def __init__(self) -> None:
        super().__init__(413)


class BodyTooSlow(HTTPException):
    """The body stalled, or took longer as a whole than the route waits."""

    def __init__(self) -> None:
        super().__init__(408)


class LimitBody:
    """Pure ASGI: counts and times the body as it streams through, holds none of it."""

    def __init__(self, app: ASGIApp, *, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        limit = self._limits.of_path.get(path, self._limits.usual)
        await self._app(scope, _Limited(limit, receive, announced=_announced(scope)), send)


class _Limited:
    """The `receive` of one request."""

    def __init__(self, limit: BodyLimit, receive: Receive, *, announced: int) -> None:
        self._limit = limit
        self._receive = receive
        self._announced = announced
        self._bytes = 0
        self._started_s: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            # What comes now is the disconnect; nobody knows when.
            return await self._receive()
        if self._announced > self._limit.bytes_max:
            raise BodyTooLarge
        message = await self._in_time()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > self._limit.bytes_max:
                raise BodyTooLarge
        return message

    async def _in_time(self) -> Message:
        now_s = asyncio.get_running_loop().time()
        if self._started_s is None:
            self._started_s = now_s
        left_s = self._started_s + self._limit.whole_s_max - now_s
        try:
            async with asyncio.timeout(min(self._limit.idle_s_max, left_s)):
                return await self._receive()
        except TimeoutError:
            raise BodyTooSlow from None


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # Anything but digits was refused by the server; in-process clients are ours.
            return int(value) if value.isdigit() else 0
    return 0
