"""What is asked of one MongoDB collection side by side goes as one command.

A server group-commits, but every command has its own way across the network and its own turn in
the driver; what has queued up shares both. One command of a kind is under way at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ITEMS_MAX = 1000
"""Items in one command."""
BYTES_MAX = 8 * 1024 * 1024
"""Of what they hold, one item more at most: the wire takes 48 MiB."""

Row = dict[str, Any]
Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Wanted(Generic[Item, Answer]):
    item: Item
    answer: "asyncio.Future[Answer]"


class Together(Generic[Item, Answer]):
    """Sends items in as few commands as there is time for; `send` answers each, raising nothing."""

    def __init__(
        self,
        send: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        size: Callable[[Item], int] = lambda _: 0,
        items_max: int = ITEMS_MAX,
    ) -> None:
        self._send = send
        self._size = size
        self._items_max = items_max
        self._waiting: list[_Wanted[Item, Answer]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, items: Sequence[Item]) -> list[Answer]:
        loop = asyncio.get_running_loop()
        wanted = [_Wanted[Item, Answer](item, loop.create_future()) for item in items]
        self._waiting += wanted
        if wanted and self._sending is None:
            # owned: by the items it sends, all of which are answered before it ends; a cancelled
            # caller must not take those of others with it.
            self._sending = asyncio.create_task(self._send_all())
        return [await each.answer for each in wanted]

    async def _send_all(self) -> None:
        batch: list[_Wanted[Item, Answer]] = []
        try:
            while batch := self._take():
                answers = await self._send([each.item for each in batch])
                for each, answer in zip(batch, answers, strict=True):
                    if not each.answer.done():  # else its caller was cancelled
                        each.answer.set_result(answer)
        except BaseException as error:
            for each in (*batch, *self._waiting):
                if not each.answer.done():
                    each.answer.set_exception(error)
            self._waiting.clear()
            raise
        finally:
            self._sending = None

    def _take(self) -> list[_Wanted[Item, Answer]]:
        count = size = 0
        for each in self._waiting[: self._items_max]:
            count, size = count + 1, size + self._size(each.item)
            if size > BYTES_MAX:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch
