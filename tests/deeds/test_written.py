"""Every route is asked, and the log holds what the catalogue says: no deed less, none more."""

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.deeds.catalogue import ROUTES
from tests.deeds.driving import LATER, Asked, Drive
from tests.isolation.portal_table import PAGES
from tests.isolation.rows import Cell, Position, Row
from tests.isolation.table import DUMPS, TABLE
from tests.isolation.test_portal_pages import answered
from tests.isolation.who import Who
from tests.isolation.world import Thing, World
from tests.stand import metadata

from voicefile.identity.ids import new_id

# One request after the other, each with a sign-in or an upload before it where it takes one.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

ASKERS_MAX = 2
"""Of those who may, so many ask: each route treats all of a role alike."""
SECOND_OF_A_LISTENING = "GET /playback/v1/recordings/{recording_id}/peaks"
SEEN_ELSEWHERE = {
    SECOND_OF_A_LISTENING,
    # Playback asks it whenever a listening ends: tests/services/auth/test_release_key.py
    "POST /auth/internal/v1/releases/{release_id}/end",
    # A day has to be over first: tests/services/ingest/test_manifests.py
    "GET /ingest/v1/manifests",
    # Nobody is named whom they could be sealed to: tests/services/backup
    *(row.route for row in DUMPS),
}
NOTHING_FOUND = "POST /auth/v1/customer-searches"
OF_NOBODY = {
    # Asked with an id that nobody has, by nobody in particular: counted.
    "POST /auth/v1/token",
    "POST /auth/v1/customer-sessions/answers",
    "POST /auth/internal/v1/telephone-logins/{login_id}/pin",
    "POST /auth/internal/v1/telephone-logins/{login_id}/answer",
}


def askers(row: Row) -> list[Who]:
    return [Who.NOBODY] if row.open else sorted(row.may)[:ASKERS_MAX]


def positions(row: Row) -> Iterator[Position]:
    yield Position.OWN
    if row.thing is not None:
        yield Position.MISSING


def expected(row: Row, who: Who, position: Position) -> Counter[str]:
    """What the catalogue says of this request."""
    writes = ROUTES[row.route]
    reached = row.thing is None or (position is Position.OWN and row.reached_by(who))
    own = reached and row.ok < 400
    if own or who in row.indifferent or row.absent == 200:
        if row.route == SECOND_OF_A_LISTENING:
            return Counter()  # the audio before was the first
        done = Counter(f"{action} done" for action in writes.done if action not in LATER)
        if row.thing is Thing.JOINABLE:
            done["recording-joined done"] += 1
        if row.route == NOTHING_FOUND and not own:
            done["customers-searched done"] -= 1
        return done
    if row.route in OF_NOBODY:
        return Counter()
    return Counter(f"{action} refused" for action in writes.refused)


async def test_every_route_writes_what_the_catalogue_says(vault: World) -> None:
    drive, wanted = Drive(vault), []
    for row in (row for rows in TABLE.values() for row in rows):
        for who in askers(row):
            for position in positions(row):
                asked = await drive.row(row, who, position=position, home=vault.homes[0])
                wanted.append((asked, expected(row, who, position), f"{who} | {position}"))
    await drive.matched()
    wrong = [
        f"{asked.what} | {where} | {asked.status}: {dict(asked.actions)} instead of {dict(deeds)}"
        for asked, deeds, where in wanted
        if asked.actions != deeds
    ]
    assert wrong == []
    assert misnamed(drive.asked) == []
    # Every entry that writes something was seen to do so, and every refusal it promises.
    written: dict[str, set[str]] = {}
    for asked in drive.asked:
        written.setdefault(asked.what, set()).update(deed["outcome"] for deed in asked.deeds)
    for route, writes in ROUTES.items():
        if "/portal/" not in route and writes.done and route not in SEEN_ELSEWHERE:
            assert "done" in written.get(route, set()), route


def misnamed(asked: list[Asked]) -> list[str]:
    """Deeds that do not name the request that the asker was told."""
    return [
        f"{each.what}: {deed['action']}"
        for each in asked
        if "/internal/" not in each.what
        for deed in each.deeds
        if deed["request_id"] != each.request_id
    ]


PORTAL_ALSO = {
    # The session that is signed out was signed in for it.
    "POST /portal/sign-out": Counter({"customer-signed-in done": 1}),
}
HEARD_ALREADY = "{part}"


async def test_every_page_of_the_portal_leaves_the_deeds_of_what_it_passes_on(
    vault: World,
) -> None:
    home, drive, wanted = vault.homes[1], Drive(vault), []
    for page in PAGES:
        who = (
            Who.NOBODY if len(page.may) > 5 else min(page.may & {Who.CUSTOMER, Who.CARE, Who.ADMIN})
        )
        value = "" if page.thing is None else home.thing(page.thing)
        value = await home.fresh(page.thing) if page.spends and page.thing else value
        async with drive.asking(page.route) as asked:
            cell = Cell(home, who, Position.OWN, value, home)
            answer = await answered(vault, page, cell)
        asked.status = answer.status_code
        wanted.append((asked, page))
    await drive.matched()
    wrong = []
    for asked, page in wanted:
        outcome = "refused" if asked.status >= 400 else "done"
        deeds = ROUTES[page.route].refused if asked.status >= 400 else ROUTES[page.route].done
        counted = Counter(f"{action} {outcome}" for action in deeds)
        counted += PORTAL_ALSO.get(page.route, Counter())
        listening = HEARD_ALREADY in page.route and not asked.actions
        if asked.actions != counted and not listening:
            wrong.append(f"{asked.what} {asked.status}: {dict(asked.actions)} not {dict(counted)}")
    assert wrong == []
    assert any("release-granted done" in asked.actions for asked in drive.asked)


async def test_a_role_at_the_wrong_door_is_named(vault: World) -> None:
    home, drive = vault.homes[2], Drive(vault)
    tried = [
        (Who.PARTNER, f"/playback/v1/recordings/{home.main.recording}/audio", home.main.recording),
        (Who.PARTNER, f"/audit/v1/logs/{home.id}/entries", home.id),
        (Who.CARE, "/ingest/v1/changes", ""),
        (Who.AUDITOR, "/auth/v1/principals", ""),
        (Who.ADMIN, f"/audit/v1/logs/{vault.homes[0].id}/deeds", vault.homes[0].id),
    ]
    for who, path, _ in tried:
        async with drive.asking(path) as asked:
            answer = await vault.client(who).get(path, headers=vault.headers(who, home))
        asked.status, asked.request_id = answer.status_code, answer.headers["voicefile-request-id"]
    # Nobody, and a token that is nobody's: there is nobody to name.
    for bearer in ({}, {"Authorization": "Bearer nobodys"}):
        async with drive.asking("/auth/v1/principals") as asked:
            answer = await vault.client(Who.NOBODY).get("/auth/v1/principals", headers=bearer)
        asked.status = answer.status_code
    await drive.matched()
    named, unnamed = drive.asked[: len(tried)], drive.asked[len(tried) :]
    assert {asked.status for asked in named} == {403}
    assert {asked.status for asked in unnamed} == {401}
    for asked, (who, _, object_id) in zip(named, tried, strict=True):
        (deed,) = asked.deeds
        told = (deed["action"], deed["outcome"], deed["object_id"], deed["request_id"])
        assert told == ("door-refused", "refused", object_id, asked.request_id)
        assert deed["role"] == {Who.ADMIN: "tenant-admin"}.get(who, str(who))
    assert not any(asked.deeds for asked in unnamed)


async def test_secrets_that_are_wrong_are_told(vault: World) -> None:
    home, drive = vault.homes[2], Drive(vault)
    partner = home.company.partner
    async with vault.elsewhere(Who.NOBODY) as client:
        async with drive.asking("token") as asked:
            await client.post(
                "/auth/v1/token",
                data={"grant_type": "client_credentials"},
                auth=(partner.id, "not the secret"),
            )
        async with drive.asking("pin"):
            body = {"access_id": home.spare.access_id, "pin": "0" * 8}
            await client.post("/auth/v1/customer-sessions", json=body)
        async with drive.asking("question"):
            body = {"access_id": home.asked.access_id, "pin": home.asked.pin}
            answer = await client.post("/auth/v1/customer-sessions", json=body)
        async with drive.asking("answer"):
            body = {"challenge": answer.json()["challenge"], "answer": "0000"}
            await client.post("/auth/v1/customer-sessions/answers", json=body)
    await drive.matched()
    assert [dict(asked.actions) for asked in drive.asked] == [
        {"token-issued refused": 1},
        {"customer-signed-in refused": 1},
        {"question-asked done": 1},
        {"question-answered refused": 1},
    ]
    assert asked.deeds[0]["object_id"] == partner.id
    assert asked.deeds[0]["role"] == "unknown"


async def test_a_file_that_leaves_is_a_deed_and_so_is_an_upload_that_comes_again(
    vault: World,
) -> None:
    home, drive = vault.homes[2], Drive(vault)
    key, said = new_id(), metadata()
    async with drive.asking("upload"):
        first = await home.company.upload(key=key, **said)
    async with drive.asking("again"):
        again = await home.company.upload(key=key, **said)
    assert again.json() == first.json()
    filed = first.json()
    session = await home.company.session(filed["access_id"], filed["pin"])
    path = f"/playback/v1/recordings/{filed['recording_id']}/audio"
    for query in ("", "?rendition=telephone", "?download=true"):
        async with drive.asking(query):
            answer = await home.company.client.get(path + query, headers=session)
        assert answer.status_code == 200
    await drive.matched()
    token = Counter({"token-issued done": 1})
    assert [asked.actions for asked in drive.asked] == [
        token + Counter({"access-issued done": 1, "recording-stored done": 1}),
        token + Counter({"recording-read done": 1}),
        Counter({"release-granted done": 1}),
        Counter(),  # the same listening
        Counter({"recording-downloaded done": 1}),
    ]
