"""The matrix: every route, asked by everybody, for what is theirs, another tenant's and nobody's.

What each cell must answer follows from the declared table; the routes come from the apps, so a
route that nobody declared fails here. Cells that may must succeed: they show that the others were
refused for who asked and not for how.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping

import httpx
import pytest
from fastapi import Depends
from tests.isolation.marks import hidden_from
from tests.isolation.rows import Cell, Position, Row
from tests.isolation.table import TABLE
from tests.isolation.told import bearer_of, plain, send, told
from tests.isolation.who import ROLES, Who
from tests.isolation.world import Home, World, missing

from voicefile.auth.store import CredentialState
from voicefile.chassis.service import Service, new_app
from voicefile.cli.partner import sample
from voicefile.identity.guard import Rule, UnruledRoutes, caller, open_to_all, rules_of
from voicefile.identity.principal import Role

# A route more is some forty questions more, each of a vault that really works.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


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
        bearer = await bearer_of(row, cell)
        ask = await row.ask(cell)
        headers = self.vault.headers(cell.who, cell.home, bearer) | ask.headers
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
        text = row.shown(answer)
        others = self.vault.others(cell.home)
        hidden = hidden_from(cell.who, cell.home, others)
        if row.counts_by_tenant and answer.is_success:
            hidden -= {other.id for other in others}
        if any(mark.encode() in text for mark in hidden):
            self.wrong.append(f"{where}: shows what is not theirs")


def routes_of(services: Mapping[str, Service]) -> dict[str, Rule]:
    """Every route as the apps know it; the portal has a table of its own."""
    return {
        f"{method} {prefix}{plain(path)}": rule
        for prefix, service in services.items()
        if prefix != "/portal"
        for app in filter(None, (service.public, service.internal))
        for (method, path), rule in rules_of(app).items()
    }


def disagreements(routes: Mapping[str, Rule]) -> list[str]:
    """Where apps and table say different things."""
    rows = [row for table in TABLE.values() for row in table]
    unasked = routes.keys() ^ {row.route for row in rows}
    known = [row for row in rows if row.route in routes]
    return [*unasked, *(row.route for row in known if not row.fits(routes[row.route], ROLES))]


async def test_every_route_has_a_rule_and_the_table_says_the_same(vault):
    assert disagreements(routes_of(vault.stand.vault.services)) == []


async def test_a_new_route_or_another_rule_is_noticed(vault):
    app = new_app("a service that grew")
    app.get("/v1/keys", dependencies=[Depends(caller(Role.PARTNER))])(lambda: None)
    app.get("/v1/new", dependencies=[Depends(open_to_all("nobody thought of the table"))])(
        lambda: None
    )
    services = dict(vault.stand.vault.services)
    routes = routes_of(services) | routes_of({"/auth": Service("auth", public=app)})
    assert set(disagreements(routes)) == {"GET /auth/v1/new", "GET /auth/v1/keys"}
    app.get("/v1/free")(lambda: None)
    with pytest.raises(UnruledRoutes):
        routes_of({"/auth": Service("auth", public=app)})


async def test_an_answer_that_shows_a_mark_of_somebody_else_is_noticed(vault):
    home = vault.homes[0]
    wrong: list[str] = []
    asking = Asking(vault, wrong, Counter())
    row = next(row for row in TABLE["ingest"] if row.route == "GET /ingest/v1/changes")
    for who, marked in (
        (Who.PARTNER, vault.homes[1].main.name),
        (Who.OTHER_PARTNER, home.main.recording),
    ):
        answer = httpx.Response(200, content=f'{{"seen": "{marked}"}}')
        asking._judge(row, Cell(home, who, Position.OWN, "", home), answer)
    assert len(wrong) == 2


async def test_every_route_that_names_something_says_what_it_names(vault):
    rows = {row.route: row for table in TABLE.values() for row in table}
    for prefix, service in vault.stand.vault.services.items():
        if prefix == "/portal":
            continue
        for app in filter(None, (service.public, service.internal)):
            for path, operations in app.openapi()["paths"].items():
                for method, operation in operations.items():
                    # What is chosen from a list of words, a type of its own, is nobody's.
                    places = [
                        each["name"]
                        for each in operation.get("parameters", ())
                        if each["in"] == "path" and "$ref" not in each["schema"]
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
    await unharmed(vault)


async def unharmed(vault: World) -> None:
    """Nothing that others tried has changed anything of anybody's."""
    for home in vault.homes:
        for who, filed in ((Who.CUSTOMER, home.main), (Who.OTHER_CUSTOMER, home.neighbour)):
            answer = await vault.client(who).get(
                f"/playback/v1/recordings/{filed.recording}/audio",
                headers=vault.headers(who, home),
            )
            assert answer.content == sample()
        for partner in (home.company.partner, home.other_partner):
            assert await home.company.partner_token(partner)
        found = await vault.stand.ports.access.of(home.id).get(home.victim.credential)
        assert found.record.state is CredentialState.ISSUED
