"""The matrix: every route, asked by everybody, for what is theirs, another tenant's and nobody's.

What each cell must answer follows from the declared table; the routes come from the apps, so a
route that nobody declared fails here. Cells that may must succeed: they show that the others were
refused for who asked and not for how.
"""

import asyncio
from collections import Counter

import pytest
from tests.isolation.marks import hidden_from
from tests.isolation.rows import Cell, Position, Row
from tests.isolation.table import TABLE
from tests.isolation.told import plain, send, told
from tests.isolation.who import PEERS, ROLES, Who
from tests.isolation.world import Home, World, missing

from voicefile.identity.guard import rules_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Asking:
    """Asks the cells of one row and writes down what is wrong."""

    def __init__(self, vault: World, wrong: list[str], counts: Counter[str]) -> None:
        self.vault = vault
        self.wrong = wrong
        self.counts = counts

    async def row(self, row: Row, home: Home) -> None:
        for who in sorted(row.open_to):
            answers = [
                (cell, await self._answer(row, cell)) for cell in await self._cells(row, home, who)
            ]
            for cell, answer in answers:
                self._judge(row, cell, answer)
            absent = {
                told(answer)
                for cell, answer in answers
                if not self._found(row, cell) or answer.status_code in (401, 403)
            }
            if len(absent) > 1:
                self.wrong.append(f"{row.route} | {who}: foreign and missing can be told apart")

    async def _cells(self, row: Row, home: Home, who: Who) -> list[Cell]:
        if row.thing is None:
            return [Cell(home, who, Position.OWN, "", home)]
        spent = row.spends and who in row.may
        owners = [(Position.OWN, home)]
        if Position.FOREIGN in row.positions:
            owners += [(Position.FOREIGN, other) for other in self.vault.others(home)]
        cells = []
        for position, owner in owners:
            use_up = spent and (position is Position.OWN or row.shared)
            value = await owner.fresh(row.thing) if use_up else owner.thing(row.thing)
            cells.append(Cell(home, who, position, value, owner))
        return [*cells, Cell(home, who, Position.MISSING, missing(row.thing), home)]

    @staticmethod
    def _found(row: Row, cell: Cell) -> bool:
        """Whether the table lets this asker find the thing."""
        if cell.who not in row.may:
            return False
        if row.thing is None or cell.who in row.indifferent:
            return True
        own = cell.position is Position.OWN and row.reached_by(cell.who)
        return own or (cell.position is Position.FOREIGN and row.shared)

    async def _answer(self, row, cell):
        home, bearer = cell.home, None
        if row.inside and cell.who in PEERS:
            bearer = home.bearers[row.on_behalf_of]
        elif row.spends and row.thing is None and cell.who in row.may:
            bearer = await home.fresh_session(cell.who)
        ask = await row.ask(cell)
        headers = self.vault.headers(cell.who, home, bearer) | ask.headers
        if not row.open:
            return await send(self.vault.client(cell.who), row, cell, ask, headers)
        # Throttles count by network: every try of an open door comes from a new one.
        async with self.vault.elsewhere(cell.who) as client:
            return await send(client, row, cell, ask, headers)

    def _judge(self, row, cell, answer):
        where = f"{row.route} | {cell.who} | {cell.position}"
        expected = row.expected(cell.who, cell.position)
        self.counts["allowed" if self._found(row, cell) else "refused"] += 1
        if answer.status_code != expected:
            self.wrong.append(f"{where}: {answer.status_code} instead of {expected}")
        if row.shared:
            return
        text = answer.content + repr(list(answer.headers.items())).encode()
        others = self.vault.others(cell.home)
        if any(mark.encode() in text for mark in hidden_from(cell.who, cell.home, others)):
            self.wrong.append(f"{where}: shows what is not theirs")


def routes_of(vault: World) -> dict[str, tuple[str, object]]:
    """Every route of every service as the apps know them."""
    found = {}
    for prefix, service in vault.stand.vault.services.items():
        for app in filter(None, (service.public, service.internal)):
            for (method, path), rule in rules_of(app).items():
                found[f"{method} {prefix}{plain(path)}"] = (prefix, rule)
    return found


async def test_every_route_has_a_rule_and_the_table_says_the_same(vault):
    rows = [row for table in TABLE.values() for row in table]
    declared = {row.route for row in rows}
    routes = {
        route: rule for route, (prefix, rule) in routes_of(vault).items() if prefix != "/portal"
    }
    assert routes.keys() == declared
    assert [row.route for row in rows if not row.fits(routes[row.route], ROLES)] == []


async def test_every_route_that_names_something_says_what_it_names(vault):
    rows = {row.route: row for table in TABLE.values() for row in table}
    for prefix, service in vault.stand.vault.services.items():
        if prefix == "/portal":
            continue
        for app in filter(None, (service.public, service.internal)):
            for path, operations in app.openapi()["paths"].items():
                for method, operation in operations.items():
                    places = [
                        each["name"]
                        for each in operation.get("parameters", ())
                        if each["in"] == "path"
                    ]
                    row = rows[f"{method.upper()} {prefix}{plain(path)}"]
                    assert bool(places) <= (row.thing is not None), row.route


@pytest.mark.parametrize("service", TABLE)
async def test_everybody_reaches_what_is_theirs_and_nothing_else(vault, service):
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    asking = Asking(vault, wrong, counts)
    for row in TABLE[service]:
        await asyncio.gather(*(asking.row(row, home) for home in vault.homes))
    print(f"{service}: {dict(counts)}")
    assert not wrong, "\n".join(wrong)
    assert counts["allowed"]
