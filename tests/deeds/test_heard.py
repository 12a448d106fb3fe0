"""Who heard my recording: what a customer is shown in the portal, and that looking is a deed."""

import re

import pytest
from tests.deeds.driving import Drive
from tests.isolation.who import Who
from tests.isolation.world import Home, World, filed

from voicefile.portal import cookies

pytestmark = pytest.mark.asyncio(loop_scope="session")

FACT = re.compile(r"<dd>(.*?)</dd>")
FACTS = 4
"""When, who, how, why."""


async def shown(vault: World, home: Home, recording: str, session: str) -> list[tuple[str, ...]]:
    """The rows of the page."""
    answer = await vault.client(Who.NOBODY).get(
        f"/portal/recordings/{recording}/heard",
        headers={"Cookie": f"{cookies.CUSTOMER}={session}", "Accept-Language": "de"},
    )
    assert answer.status_code == 200
    assert home.company.staff["care"].id not in answer.text
    facts = FACT.findall(answer.text)
    return [tuple(facts[at : at + FACTS]) for at in range(0, len(facts), FACTS)]


async def test_a_customer_sees_every_listening_and_no_name(vault: World) -> None:
    home = vault.homes[0]
    theirs = await filed(vault.stand, home.company)
    header = await home.company.session(theirs.access_id, theirs.pin)
    session = header["Authorization"].removeprefix("Bearer ")
    assert await shown(vault, home, theirs.recording, session) == []
    path = f"/playback/v1/recordings/{theirs.recording}/audio"
    client = vault.client(Who.NOBODY)
    care = vault.headers(Who.CARE, home)
    assert (await client.get(path, headers=care)).status_code == 200
    assert (await client.get(path, headers=header)).status_code == 200
    assert (await client.get(f"{path}?download=true", headers=header)).status_code == 200
    await vault.stand.settled()
    rows = await shown(vault, home, theirs.recording, session)
    assert [row[1:] for row in rows] == [
        ("Kundenbetreuung", "angehört", "Beschwerde"),
        ("Jemand mit Ihrer Kennung und PIN", "angehört", "–"),
        ("Jemand mit Ihrer Kennung und PIN", "heruntergeladen", "–"),
    ]
    player = await client.get(
        f"/portal/recordings/{theirs.recording}",
        headers={"Cookie": f"{cookies.CUSTOMER}={session}"},
    )
    assert f'href="/portal/recordings/{theirs.recording}/heard"' in player.text


async def test_looking_is_a_deed_and_so_is_looking_at_what_is_not_theirs(vault: World) -> None:
    home, drive = vault.homes[0], Drive(vault)
    tried = [
        (home.main.recording, 200),
        (home.neighbour.recording, 404),
        (vault.homes[1].main.recording, 404),
    ]
    for recording, status in tried:
        async with drive.asking(recording) as asked:
            answer = await vault.client(Who.NOBODY).get(
                f"/playback/v1/recordings/{recording}/hearings",
                headers=vault.headers(Who.CUSTOMER, home),
            )
        asked.request_id = answer.headers["voicefile-request-id"]
        assert answer.status_code == status
    await drive.matched()
    told = [deed for asked in drive.asked for deed in asked.deeds]
    assert [(deed["action"], deed["outcome"], deed["object_id"]) for deed in told] == [
        ("hearings-read", "done" if status == 200 else "refused", recording)
        for recording, status in tried
    ]
    assert [deed["request_id"] for deed in told] == [asked.request_id for asked in drive.asked]
