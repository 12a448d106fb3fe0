"""Drives routes one after the other, and finds in the log what each of them has written."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.isolation.rows import Cell, Position, Row
from tests.isolation.told import bearer_of, send
from tests.isolation.who import Who
from tests.isolation.world import Home, World, missing

PAUSE_S = 0.004
"""Between two requests, so that a deed's millisecond says which of them it belongs to."""
LATER = frozenset({"call-ended", "listening-ended", "manifest-signed", "release-returned", "void"})
"""Deeds that come of themselves, whatever is asked for just then."""


@dataclass
class Asked:
    """One request, and what it left in the log."""

    what: str
    status: int
    request_id: str
    began_ms: int
    ended_ms: int
    deeds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def actions(self) -> Counter[str]:
        """What was done, and with what outcome."""
        return Counter(f"{deed['action']} {deed['outcome']}" for deed in self.deeds)


@dataclass
class Drive:
    """Requests, one at a time, over a vault in which nobody else does anything."""

    vault: World
    asked: list[Asked] = field(default_factory=list)

    @asynccontextmanager
    async def asking(self, what: str) -> AsyncIterator[Asked]:
        """Around one request."""
        await asyncio.sleep(PAUSE_S)
        asked = Asked(what, 0, "", int(time.time() * 1000), 0)
        yield asked
        asked.ended_ms = int(time.time() * 1000)
        self.asked.append(asked)
        await asyncio.sleep(PAUSE_S)

    async def row(self, row: Row, who: Who, *, position: Position, home: Home) -> Asked:
        """Asks as the matrix of roles and tenants does."""
        cell = await self._cell(row, who, position, home)
        bearer = await bearer_of(row, cell)
        ask = await row.ask(cell)
        headers = self.vault.headers(who, home, bearer) | ask.headers
        async with self.vault.elsewhere(who) as client, self.asking(row.route) as asked:
            answer = await send(client, row, cell, ask, headers)
        asked.status = answer.status_code
        asked.request_id = answer.headers["voicefile-request-id"]
        return asked

    async def _cell(self, row: Row, who: Who, position: Position, home: Home) -> Cell:
        if row.thing is None:
            return Cell(home, who, Position.OWN, "", home)
        if position is Position.MISSING:
            return Cell(home, who, position, missing(row.thing), home)
        value = await home.fresh(row.thing) if row.spends else home.thing(row.thing)
        return Cell(home, who, position, value, home)

    async def matched(self) -> None:
        """Gives every deed in the logs to the request that wrote it.

        A deed names the request that a service of ours was answering, which is another one for
        each service; so it belongs to the request in whose time it was written.
        """
        for store in self.vault.stand.stores.values():
            async with asyncio.timeout(60):
                while await store.pending(1):
                    await asyncio.sleep(0.05)
        await self.vault.stand.settled()
        deeds = [deed for log in await self._logs() for deed in log]
        for asked in self.asked:
            asked.deeds = [
                deed
                for deed in deeds
                if asked.began_ms <= int(deed["at_ms"]) <= asked.ended_ms
                and deed["action"] not in LATER
            ]

    async def _logs(self) -> list[list[dict[str, Any]]]:
        homes = self.vault.homes
        readers = [(home.id, home.bearers[Who.AUDITOR]) for home in homes]
        readers.append(("platform", homes[0].bearers[Who.OPERATOR]))
        return [await self._entries(log, bearer) for log, bearer in readers]

    async def _entries(self, log: str, bearer: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        start: int | None = 0
        while start is not None:
            answer = await self.vault.stand.client.get(
                f"/audit/v1/logs/{log}/entries?start={start}&limit=500",
                headers={"Authorization": f"Bearer {bearer}"},
            )
            told = answer.raise_for_status().json()
            found += [entry["deed"] for entry in told["entries"]]
            start = told["next"]
        return found
