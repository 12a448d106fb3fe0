"""The internal doors: on the public port they do not exist, inside they serve named peers only."""

import pytest
from tests.isolation.rows import Cell, Position
from tests.isolation.table import AUTH_INSIDE, TABLE
from tests.isolation.told import send, told
from tests.isolation.who import AGENTS, CUSTOMERS, HOLDERS, PEERS, Who
from tests.isolation.world import PURPOSE, World

from voicefile.identity.guard import rules_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
INSIDE = [row for table in TABLE.values() for row in table if row.inside]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
NOT_HTTP = b"Invalid HTTP request received."
"""What the server of a real port answers to words that are no method."""
DISGUISES = (
    "/auth/internal/v1/releases",
    "/auth//internal/v1/releases",
    "/auth/v1/../internal/v1/releases",
    "/auth/v1/%2e%2e/internal/v1/releases",
    "/auth/v1/..%2finternal/v1/releases",
    "/auth/%69nternal/v1/releases",
    "/auth/internal%2fv1%2freleases",
    "/auth/INTERNAL/v1/releases",
    "/auth/internal/v1/releases/",
    "/auth/internal/v1/releases;x=y",
    "/auth/./internal/v1/releases",
    "//auth/internal/v1/releases",
    "/portal/auth/internal/v1/releases",
    "/portal/../auth/internal/v1/releases",
    "/portal/internal/v1/releases",
    "/internal/v1/releases",
    "/auth",
    "/auth/internal",
    "/auth/internal/",
    "/metrics",
    "/readyz",
    "/auth/metrics",
    "/auth/docs",
    "/auth/openapi.json",
    "/auth/internal/v1/openapi.json",
)


def own(vault: World, row, who=Who.CUSTOMER) -> Cell:
    home = vault.homes[0]
    value = home.thing(row.thing) if row.thing else ""
    return Cell(home, who, Position.OWN, value, home)


@pytest.mark.parametrize("row", INSIDE, ids=lambda row: row.route)
async def test_no_certificate_opens_an_internal_route_on_the_public_port(vault, row):
    cell = own(vault, row)
    headers = vault.headers(Who.FORGER, cell.home, cell.home.bearers[row.on_behalf_of])
    ask = await row.ask(cell)
    prefix = row.path.split("/")[1]
    for peer in (None, *PEERS.values()):
        async with vault.front(peer) as front:
            nowhere = told(await front.request(row.method, f"/{prefix}/v1/nowhere"))
            assert told(await send(front, row, cell, ask, headers)) == nowhere
            assert nowhere[0] == 404


@pytest.mark.parametrize("path", DISGUISES)
async def test_no_spelling_of_a_path_leads_inside(vault, path):
    bearer = vault.homes[0].bearers[Who.CUSTOMER]
    async with vault.front("playback") as front:
        for method in ("GET", "POST"):
            request = front.build_request(
                method, "/", headers={"Authorization": f"Bearer {bearer}"}, json={}
            )
            # Past the client's own tidying of paths: this is what a raw socket would send.
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = await front.send(request)
            assert answer.status_code in (404, 405)


async def test_no_method_but_the_declared_ones_does_anything(vault):
    wrong = []
    for prefix, service in vault.stand.vault.services.items():
        for app in filter(None, (service.public, service.internal)):
            rules = rules_of(app)
            for path in {path for _, path in rules}:
                declared = {method for method, each in rules if each == path}
                for method in set(METHODS) - declared:
                    url = f"{prefix}{path}".replace("{tile:path}", "0/000")
                    answer = await vault.client(Who.PLAYBACK).request(method, url)
                    if answer.status_code not in (404, 405) and answer.content != NOT_HTTP:
                        wrong.append(f"{method} {url}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "row", [row for row in AUTH_INSIDE if row.bearer_matters], ids=lambda row: row.route
)
async def test_a_peer_gets_no_further_than_whose_token_it_passes_on(vault, row):
    expected = dict.fromkeys(HOLDERS, 403) | {Who.NOBODY: 401}
    # Everything asked for is the first customer's; a listing names a credential, which says
    # nothing to customers; a release is the session's that took it.
    expected |= dict.fromkeys(AGENTS, row.ok) | {Who.CUSTOMER: row.ok, Who.OTHER_CUSTOMER: 404}
    # The same customer on the telephone reaches the same; but not the release of another session.
    expected |= {Who.CALLER: 404 if "renewals" in row.route else row.ok}
    if "renewals" in row.route:
        # Without a token the release itself says whose it is, and is checked as theirs.
        expected |= dict.fromkeys(AGENTS, 404) | {Who.NOBODY: row.ok}
    if "hearings" in row.route or "objection" in row.route:
        # For the customer it belongs to: nobody else is told who heard it, or may object to it.
        expected |= dict.fromkeys(AGENTS, 404)
    if "hearable" in row.route:
        expected |= dict.fromkeys(CUSTOMERS, row.ok)
    found = {}
    for who in expected:
        cell = own(vault, row, who)
        token = cell.home.bearers.get(who)
        headers = PURPOSE | ({"Authorization": f"Bearer {token}"} if token else {})
        ask = await row.ask(cell)
        answer = await send(vault.client(Who.PLAYBACK), row, cell, ask, headers)
        found[who] = answer.status_code
        if who is Who.OTHER_CUSTOMER:
            assert not any(mark in answer.text for mark in cell.home.main.marks)
    assert found == expected


async def test_a_peer_without_a_token_of_somebody_plays_nothing(vault):
    home = vault.homes[0]
    async with vault.stand.vault.client(peer="playback") as playback:
        for path in (
            "/playback/v1/recordings",
            f"/playback/v1/recordings/{home.main.recording}/audio",
        ):
            assert (await playback.get(path)).status_code == 401
