"""The portal's part of the matrix: a page of somebody else's recording is the page of none."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.isolation.marks import hidden_from
from tests.isolation.portal_table import PAGES, Page
from tests.isolation.rows import Cell, Position
from tests.isolation.told import plain, send, told
from tests.isolation.who import Who
from tests.isolation.world import World, missing

from voicefile.cli.partner import sample
from voicefile.identity.guard import RuleKind, rules_of
from voicefile.portal import cookies
from voicefile.portal.forms import csrf_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


def cookie_of(page: Page, token: str) -> dict[str, str]:
    name = cookies.CARE if page.care else cookies.CUSTOMER
    return {"Cookie": f"{name}={token}"} if token else {}


async def cells_of(vault: World, page: Page, home, who: Who) -> list[Cell]:
    if page.thing is None:
        return [Cell(home, who, Position.OWN, "", home)]
    own = await home.fresh(page.thing) if page.spends else home.thing(page.thing)
    cells = [Cell(home, who, Position.OWN, own, home)]
    if not page.spends:
        cells += [
            Cell(home, who, Position.FOREIGN, other.thing(page.thing), other)
            for other in vault.others(home)
        ]
    return [*cells, Cell(home, who, Position.MISSING, missing(page.thing), home)]


async def answered(vault: World, page: Page, cell: Cell):
    if page.spends and page.thing is None and cell.who in page.may:
        cell = await with_a_session_to_end(cell)
    token = cell.home.bearers.get(cell.who, "")
    ask = await page.ask(cell)
    headers = vault.headers(cell.who, cell.home) | cookie_of(page, token) | ask.headers
    del headers["Purpose"]  # pages say theirs in the form or the address
    headers.pop("Authorization", None)
    async with vault.elsewhere(cell.who) as client:
        return await send(client, page, cell, ask, headers)


async def with_a_session_to_end(cell: Cell) -> Cell:
    token = await cell.home.fresh_session(cell.who)
    home = replace(cell.home, bearers=cell.home.bearers | {cell.who: token})
    return replace(cell, home=home)


async def test_every_page_is_declared(vault):
    portal = vault.stand.vault.services["/portal"]
    rules = rules_of(portal.public)
    assert {f"{method} /portal{plain(path)}" for method, path in rules} == {
        page.route for page in PAGES
    }
    assert {rule.kind for rule in rules.values()} == {RuleKind.PUBLIC}
    assert portal.internal is None


async def test_everybody_sees_their_own_pages_and_nothing_else(vault):
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    for page in PAGES:
        for who in sorted(page.tried_by):
            tries = (tried(vault, page, home, who, counts) for home in vault.homes)
            wrong += [each for found in await asyncio.gather(*tries) for each in found]
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    assert counts["heard"] == 4 * len(vault.homes)


async def test_a_search_for_nothing_finds_nobody(vault):
    home = vault.homes[0]
    token = home.bearers[Who.CARE]
    for value in ("", "   ", "x" * 300):
        found = await vault.client(Who.NOBODY).post(
            "/portal/care/search",
            data={"field": "phone", "purpose": "complaint", "value": value, "csrf": csrf_of(token)},
            headers={"Cookie": f"{cookies.CARE}={token}"},
        )
        assert found.status_code == 200
        assert not any(mark in found.text for mark in home.marks)


async def tried(vault: World, page: Page, home, who: Who, counts: Counter[str]) -> list[str]:
    wrong, unfound = [], set()
    for cell in await cells_of(vault, page, home, who):
        where = f"{page.route} | {who} | {cell.position}"
        answer = await answered(vault, page, cell)
        expected = page.expected(who, cell.position)
        found = page.found_by(who, cell.position)
        counts["allowed" if found else "refused"] += 1
        if answer.status_code != expected:
            wrong.append(f"{where}: {answer.status_code} instead of {expected}")
        if not found:
            unfound.add(told(answer))
        hidden = hidden_from(who, home, vault.others(home))
        if any(mark.encode() in answer.content for mark in hidden):
            wrong.append(f"{where}: shows what is not theirs")
        if found and "{part}" in page.route and "audio" in str(answer.url):
            counts["heard"] += answer.content == sample()
    if len(unfound) > 1:
        wrong.append(f"{page.route} | {who}: foreign and missing can be told apart")
    return wrong
