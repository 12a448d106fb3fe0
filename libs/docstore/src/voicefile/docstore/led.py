"""Led work: what only the leading instance does, beside what every instance does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicefile.docstore.lease import Alone, Leadership, Work


@asynccontextmanager
async def led(leadership: Leadership, work: Work) -> AsyncIterator[None]:
    """While entered, the work is done whenever this instance leads; leaving it leaves the work.

    A vault in one process has begun the work when this yields: it starts as one piece.
    """
    begun = asyncio.Event()

    @asynccontextmanager
    async def noted() -> AsyncIterator[None]:
        async with work():
            begun.set()
            yield

    async with asyncio.TaskGroup() as tasks:
        leading = tasks.create_task(leadership.while_leading(noted))
        try:
            if isinstance(leadership, Alone):
                await begun.wait()
            yield
        finally:
            leading.cancel()
