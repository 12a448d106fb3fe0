"""Pace: when answers to sign-ins leave, so that their time tells nothing and a flood gains none.

Refusals leave on a grid of moments, whatever they took. While the whole deployment is under
attack, strangers wait a fixed time for any answer and few are served at once; known callers
pass by.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from voicefile.auth.listening.access_errors import Busy, Locked, SignInRefused
from voicefile.auth.listening.access_settings import AccessSettings


class Pace:
    """Lets sign-ins in and answers out."""

    def __init__(
        self,
        settings: AccessSettings,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._sleep = sleep
        self._slowed = 0

    @asynccontextmanager
    async def answering(self, *, slowed: bool) -> AsyncIterator[None]:
        """Around one sign-in. Raises Busy before anything was charged."""
        arrived_s = self._now_s()
        if not slowed:
            async with self._on_the_grid(arrived_s):
                yield
            return
        if self._slowed >= self._settings.attack_strangers_max:
            raise Busy
        self._slowed += 1
        try:
            async with self._after(arrived_s, self._settings.attack_answer_s):
                yield
        finally:
            self._slowed -= 1

    @asynccontextmanager
    async def _on_the_grid(self, arrived_s: float) -> AsyncIterator[None]:
        try:
            yield
        except SignInRefused:
            # Locked ones too, which took no work: by telephone, all refusals sound and last alike.
            every_s = self._settings.refusals_every_s
            if every_s:
                await self._sleep(every_s - (self._now_s() - arrived_s) % every_s)
            raise

    @asynccontextmanager
    async def _after(self, arrived_s: float, wait_s: float) -> AsyncIterator[None]:
        try:
            yield
        except Locked:
            # Nothing was checked, and a place among the few is not for waiting.
            raise
        except SignInRefused:
            await self._until(arrived_s + wait_s)
            raise
        else:
            await self._until(arrived_s + wait_s)

    async def _until(self, moment_s: float) -> None:
        await self._sleep(max(0.0, moment_s - self._now_s()))
