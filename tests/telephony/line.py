"""A caller's line: virtual time in packets of 20 ms, keys that wait, and whether anybody is there.

Two sides take turns and never run together: the edge goes on until the line's time has come to
where the caller wants to be, and then the caller goes on. No real time passes for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

PACKET_MS: Final = 20
FOR_EVER_MS: Final = 1 << 60


class Line:
    """Times are milliseconds since the call was answered."""

    def __init__(self, passes: Callable[[float], None]) -> None:
        self._passes = passes
        self._until_ms = 0
        self._granted, self._reached = asyncio.Event(), asyncio.Event()
        self.now_ms = 0
        self.up = True
        self.keys: deque[str] = deque()
        """Pressed and not yet taken by any prompt."""

    async def packet(self) -> None:
        """The edge lets one packet's time go by."""
        await self._turns()
        self.now_ms += PACKET_MS
        self._passes(PACKET_MS / 1000)
        # A key that is pressed right now is there when the packet has gone, not one later.
        await self._turns()

    async def _turns(self) -> None:
        """The caller's turn, if it is time for it."""
        while self.now_ms >= self._until_ms:
            self._granted.clear()
            self._reached.set()
            await self._granted.wait()

    async def idle(self, milliseconds: int = FOR_EVER_MS) -> None:
        """The edge waits, for somebody to hang up or until the time is over."""
        ends_ms = self.now_ms + milliseconds
        while self.up and self.now_ms < ends_ms:
            await self.packet()

    async def reach(self, until_ms: int) -> None:
        """The caller waits until then, or until the call is over."""
        self._until_ms = until_ms
        self._reached.clear()
        self._granted.set()
        await self._reached.wait()

    def over(self) -> None:
        """The edge is done with the call, in whatever way."""
        self._reached.set()
