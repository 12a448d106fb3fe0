"""Leases: of many instances, the one that may do what only one may do at a time.

A lease is a document that its holder rewrites every third of its term. Nobody compares wall
clocks: who wants the lease takes it over after having seen the same version for a whole term by
its own clock. The holder counts its term from before the write that began it and stops leading
after two thirds; what it still does after eleven twelfths is cancelled. So two never lead at
once, however wrong their clocks are set, as long as they run at about the same speed.

A process that was stopped and goes on later finds out by its clock before its next step that
asks `leading`. A write already on its way can't be called back: what must never happen twice
compares versions as well.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Protocol

from voicefile.docstore.port import Collection, DocStore, DocStoreError, Document, VersionConflict

_log = logging.getLogger(__name__)

LEASES = Collection("leases", silent=True, passing=True)
"""Who holds what. To be declared by every service that takes a lease."""

TTL_S = 6.0
"""A term: how long at most nobody leads after a holder's death, and a look's pause."""
RELEASE_S_MAX = 2.0
"""A clean stop gives the lease back within this, or leaves it to run out."""
RELEASE_TRIES = 3

_RENEWED, _LEADS, _ENDS, _LOOKED = 1 / 3, 2 / 3, 11 / 12, 1 / 12
_NEVER = float("-inf")

Work = Callable[[], AbstractAsyncContextManager[None]]


def since_boot_s() -> float:
    """Goes on while the process is stopped and while the machine sleeps, and is never set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership(Protocol):
    """Whether this instance is the one."""

    @property
    def leading(self) -> bool:
        """Asked right before each deed that only the leader may do."""

    async def while_leading(self, work: Work) -> None:
        """For ever: waits until it leads, enters the work, leaves it when it leads no more.

        Cancelled, it leaves the work first. What the work raises ends it.
        """


class Alone:
    """The leadership of a vault in one process: there is nobody else."""

    @property
    def leading(self) -> bool:
        return True

    async def while_leading(self, work: Work) -> None:
        async with asyncio.TaskGroup() as tasks:
            term = _Term(tasks, work)
            try:
                await asyncio.Event().wait()
            finally:
                await term.leave()


ALONE = Alone()


class Lease:
    """Leadership by a document in a store that all instances share.

    Several parts may wait by one lease: they lead together. The last to stop gives it back, and
    the next instance takes over at its next look. Errors of the store mean: not renewed.
    """

    def __init__(
        self,
        store: DocStore,
        name: str,
        *,
        ttl_s: float = TTL_S,
        holder: str | None = None,
        now_s: Callable[[], float] = since_boot_s,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`holder` has to be new for every Lease: it tells an own lease from all others."""
        self._store = store
        self._name = name
        self._ttl_s = ttl_s
        self._holder = holder or secrets.token_hex(8)
        self._now_s = now_s
        self._sleep = sleep
        self._leads_until_s = _NEVER
        self._ends_s = _NEVER
        self._own: Document | None = None
        """As this holder wrote it last; whoever has written it since has moved its version on."""
        self._seen: tuple[int, object] | None = None
        self._seen_s = _NEVER
        self._one_keeper = asyncio.Lock()
        self._won = asyncio.Event()
        self._parts = 0

    @property
    def leading(self) -> bool:
        return self._now_s() < self._leads_until_s

    async def while_leading(self, work: Work) -> None:
        self._parts += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(self._keep())
                try:
                    while True:
                        await self._until_leading()
                        await self._lead(tasks, work)
                finally:
                    keeper.cancel()
        finally:
            self._parts -= 1
            if self._parts == 0:
                await self._release()

    async def _until_leading(self) -> None:
        while not self.leading:
            self._won.clear()
            await self._won.wait()

    async def _lead(self, tasks: asyncio.TaskGroup, work: Work) -> None:
        term = _Term(tasks, work)
        cutting = tasks.create_task(self._cut(term))
        try:
            while self.leading:
                await self._sleep(self._look_s(self._leads_until_s))
        finally:
            # A lease that was lost leaves the rest of the term for this; a stop goes on renewing.
            await term.leave()
            cutting.cancel()

    async def _cut(self, term: "_Term") -> None:
        while self._now_s() < self._ends_s:
            await self._sleep(self._look_s(self._ends_s))
        _log.warning("lease_ran_out")
        term.cancel()

    def _look_s(self, until_s: float) -> float:
        # In small steps: a timer may stand still while a machine sleeps, this clock does not.
        return max(0.0, min(until_s - self._now_s(), self._ttl_s * _LOOKED))

    async def _keep(self) -> None:
        async with self._one_keeper:
            while True:
                won = False
                # Whatever went wrong, the lease runs out by the clock unless a later try succeeds.
                with suppress(DocStoreError, TimeoutError):
                    async with asyncio.timeout(self._ttl_s):
                        won = await self._take()
                await self._sleep(self._ttl_s * (_RENEWED if won else _LOOKED))

    async def _take(self) -> bool:
        own, self._own = self._own, None
        if own is not None and self.leading:
            # Not read before: a slow store loses leases by every request too many. Out of its
            # term a holder knows nothing, not even whose a document of that version is.
            with suppress(VersionConflict):
                await self._write(own)
                return True
        stored = await self._store.get(LEASES, self._name)
        if stored is not None and not self._may_take(stored):
            return False
        await self._write(stored)
        return True

    async def _write(self, stored: Document | None) -> None:
        """Begins a term, if that is still what is stored."""
        begun_s = self._now_s()
        if stored is None:
            new = Document(self._name, "", self._body())
            self._own = await self._store.insert(LEASES, new)
        else:
            new = replace(stored, body=self._body())
            self._own = await self._store.replace(LEASES, new)
        if not self.leading:
            _log.info("lease_taken")
        self._leads_until_s = begun_s + self._ttl_s * _LEADS
        self._ends_s = begun_s + self._ttl_s * _ENDS
        self._won.set()

    def _may_take(self, stored: Document) -> bool:
        holder, ttl_ms = stored.body["holder"], stored.body["ttl_ms"]
        if holder in {self._holder, ""}:
            return True
        self._leads_until_s = _NEVER
        seen = (stored.version, holder)
        if seen != self._seen:
            self._seen, self._seen_s = seen, self._now_s()
        assert isinstance(ttl_ms, int)
        return self._now_s() - self._seen_s >= ttl_ms / 1000

    def _body(self) -> dict[str, object]:
        return {"holder": self._holder, "ttl_ms": round(self._ttl_s * 1000)}

    async def _release(self) -> None:
        self._leads_until_s, self._own = _NEVER, None
        # If this fails, the lease runs out.
        with suppress(DocStoreError, TimeoutError):
            async with asyncio.timeout(RELEASE_S_MAX):
                for _ in range(RELEASE_TRIES):
                    # A renewal that was cancelled may still have come before this.
                    with suppress(VersionConflict):
                        await self._give_back()
                        break

    async def _give_back(self) -> None:
        stored = await self._store.get(LEASES, self._name)
        if stored is not None and stored.body["holder"] == self._holder:
            free = {**self._body(), "holder": ""}
            await self._store.replace(LEASES, replace(stored, body=free))


class _Term:
    """The work of one leadership, entered and left in a task of its own."""

    def __init__(self, tasks: asyncio.TaskGroup, work: Work) -> None:
        self._entered = False
        self._leave = asyncio.Event()
        self._task = tasks.create_task(self._hold(work))

    async def _hold(self, work: Work) -> None:
        async with work():
            self._entered = True
            await self._leave.wait()

    async def leave(self) -> None:
        """Leaves the work in good order; work not entered yet is broken off."""
        self._leave.set()
        if not self._entered:
            self._task.cancel()
        await asyncio.wait({self._task})

    def cancel(self) -> None:
        self._task.cancel()
