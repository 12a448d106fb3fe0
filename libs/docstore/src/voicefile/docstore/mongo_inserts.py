"""Inserts into one MongoDB collection: all that has queued up goes as one command.

A server group-commits, but every command has its own way across the network and its own turn in
the driver; what comes side by side shares both. One command is under way at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from voicefile.docstore.mongo_fate import Outcome

ROWS_MAX = 1000
"""Documents in one command."""
BYTES_MAX = 8 * 1024 * 1024
"""Bodies in one command, one document more at most: the wire takes 48 MiB."""

Row = dict[str, Any]


@dataclass(frozen=True)
class _Wanted:
    row: Row
    answer: "asyncio.Future[Outcome]"


class Inserts:
    """Stores rows, each by itself; says of each how its attempt ended. Raises nothing for them."""

    def __init__(self, send: Callable[[list[Row]], Awaitable[list[Outcome]]]) -> None:
        self._send = send
        self._waiting: list[_Wanted] = []
        self._sending: asyncio.Task[None] | None = None

    async def store(self, rows: Sequence[Row]) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        wanted = [_Wanted(row, loop.create_future()) for row in rows]
        self._waiting += wanted
        if wanted and self._sending is None:
            # owned: by the rows it sends, all of which are answered before it ends; a cancelled
            # caller must not take the rows of others with it.
            self._sending = asyncio.create_task(self._send_all())
        return [await each.answer for each in wanted]

    async def _send_all(self) -> None:
        batch: list[_Wanted] = []
        try:
            while batch := self._take():
                outcomes = await self._send([each.row for each in batch])
                for each, outcome in zip(batch, outcomes, strict=True):
                    if not each.answer.done():  # else its caller was cancelled
                        each.answer.set_result(outcome)
        except BaseException as error:
            for each in (*batch, *self._waiting):
                if not each.answer.done():
                    each.answer.set_exception(error)
            self._waiting.clear()
            raise
        finally:
            self._sending = None

    def _take(self) -> list[_Wanted]:
        count = size = 0
        for each in self._waiting[:ROWS_MAX]:
            count, size = count + 1, size + len(each.row["body"])
            if size > BYTES_MAX:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch
