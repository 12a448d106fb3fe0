"""The pool in which PINs are hashed: few threads, a short queue, and an honest "busy" beyond it.

One check takes 19 MiB and tens of milliseconds on purpose. Without a bound a flood of guesses
would take all memory and all cores; with one, it meets a full queue. Known callers and letters
that are being issued stand before strangers in that queue and keep places that no stranger takes.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import IntEnum
from typing import Protocol

from voicefile.auth.listening.access_errors import Busy
from voicefile.auth.listening.access_metrics import pin_places
from voicefile.auth.throttling.verifiers import pin_verifier
from voicefile.crypto.secret import SecretKey, SecretText

THREADS = 2
WAITING_MAX = 64
STRANGERS_MAX = 48
"""Of the places in the queue; the rest is kept for known callers and for issuing."""


class Verifier(Protocol):
    """What a PIN is kept as; slow on purpose."""

    def __call__(
        self, pepper: SecretKey, pin: SecretText, *, tenant: str, credential: str, salt: bytes
    ) -> bytes: ...


class Rank(IntEnum):
    """Who is served first."""

    KNOWN = 0
    ISSUING = 1
    STRANGER = 2


class PinPool:
    """Hashes PINs, a bounded number at a time."""

    def __init__(
        self,
        *,
        threads: int = THREADS,
        waiting_max: int = WAITING_MAX,
        strangers_max: int = STRANGERS_MAX,
        verifier: Verifier = pin_verifier,
    ) -> None:
        """`verifier`: what is kept of a PIN; another one where guesses are simulated in numbers."""
        self._verifier = verifier
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pin")
        self._free = threads
        self._places = {
            Rank.KNOWN: threads + waiting_max,
            Rank.ISSUING: threads + waiting_max,
            Rank.STRANGER: threads + strangers_max,
        }
        self._taken = 0
        self._queue: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @contextmanager
    def place(self, rank: Rank) -> Iterator["Place"]:
        """A place in the queue, taken before anything is charged; raises Busy if it is full."""
        if self._taken >= self._places[rank]:
            raise Busy
        self._taken += 1
        pin_places().inc()
        try:
            yield Place(self._run, rank, self._verifier)
        finally:
            self._taken -= 1
            pin_places().dec()

    async def hash(
        self,
        pepper: SecretKey,
        pin: SecretText,
        *,
        tenant: str,
        credential: str,
        salt: bytes,
        rank: Rank = Rank.ISSUING,
    ) -> bytes:
        """The verifier of a PIN that is being issued, or of what somebody typed. Raises Busy."""
        with self.place(rank) as place:
            return await place.verifier(
                pepper, pin, tenant=tenant, credential=credential, salt=salt
            )

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, rank: Rank, work: Callable[[], bytes]) -> bytes:
        await self._turn(rank)
        loop = asyncio.get_running_loop()
        work_done = self._executor.submit(work)
        # The thread is free when its work is done, also if nobody waits for it any more:
        # callers who hang up must not pile up hidden work.
        work_done.add_done_callback(lambda _: loop.call_soon_threadsafe(self._next))
        return await asyncio.wrap_future(work_done)

    async def _turn(self, rank: Rank) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (rank, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Called up and cancelled in the same moment: the thread goes to the next in line.
            if turn.done() and not turn.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._queue:
            _, _, turn = heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Place:
    """One caller's place in the pool's queue."""

    def __init__(
        self,
        run: Callable[[Rank, Callable[[], bytes]], Awaitable[bytes]],
        rank: Rank,
        verifier: Verifier,
    ) -> None:
        self._run = run
        self._rank = rank
        self._verifier = verifier

    async def verifier(
        self, pepper: SecretKey, pin: SecretText, *, tenant: str, credential: str, salt: bytes
    ) -> bytes:
        """What the PIN would be kept as; comparing is the caller's."""
        return await self._run(
            self._rank,
            lambda: self._verifier(pepper, pin, tenant=tenant, credential=credential, salt=salt),
        )
