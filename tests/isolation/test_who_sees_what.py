"""What each role sees: partners what they brought, agents their scope, operators no content."""

import json

import pytest
from tests.isolation.rows import without_refusals
from tests.isolation.table import TABLE
from tests.isolation.told import told
from tests.isolation.who import EVERYBODY, Who
from tests.isolation.world import PURPOSE, Home, World, filed
from tests.stand import OPERATOR

from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.auth.tenants.scopes import Scope
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role

pytestmark = pytest.mark.asyncio(loop_scope="session")


def as_(vault: World, who: Who, home: Home) -> dict[str, str]:
    return vault.headers(who, home)


async def test_a_partners_token_plays_nothing(vault):
    # Not even what it brought: the recording is the customer's and the tenant's now.
    home = vault.homes[0]
    for path in (
        "/playback/v1/recordings",
        f"/playback/v1/recordings/{home.main.recording}/audio",
        f"/playback/v1/recordings/{home.main.recording}/audio?rendition=telephone&download=true",
        f"/playback/v1/recordings/{home.main.recording}/peaks",
    ):
        answer = await vault.stand.client.get(path, headers=as_(vault, Who.PARTNER, home))
        assert answer.status_code == 403


async def test_a_partners_feed_tells_of_what_it_brought_alone(vault):
    for home in vault.homes:
        feeds = {}
        for who in (Who.PARTNER, Who.OTHER_PARTNER):
            answer = await vault.stand.client.get(
                "/ingest/v1/changes", params={"limit": "500"}, headers=as_(vault, who, home)
            )
            feeds[who] = {change["recording_id"] for change in answer.json()["changes"]}
        assert {each.recording for each in home.filed} <= feeds[Who.PARTNER]
        assert not feeds[Who.PARTNER] & feeds[Who.OTHER_PARTNER]


async def test_care_finds_its_own_customers_and_nobody_elses(vault):
    for home in vault.homes:
        for field in ("contract_reference", "customer_number"):
            for other in vault.others(home):
                answer = await vault.stand.client.post(
                    "/auth/v1/customer-searches",
                    json={field: other.main.reference},
                    headers=as_(vault, Who.CARE, home),
                )
                assert answer.json() == {"customers": []}
        # A number that both have: each finds its own customers by it.
        answer = await vault.stand.client.post(
            "/auth/v1/customer-searches",
            json={"phone": "+49 30 1234567"},
            headers=as_(vault, Who.CARE, home),
        )
        found = {each["credential_id"] for each in answer.json()["customers"]}
        assert found
        assert not found & {each.credential for other in vault.others(home) for each in other.filed}


async def test_an_auditor_reads_the_own_log_and_no_other(vault):
    await vault.stand.settled()
    for home in vault.homes:
        headers = as_(vault, Who.AUDITOR, home)
        own = await vault.stand.client.get(
            f"/audit/v1/logs/{home.id}/entries", params={"limit": "1000"}, headers=headers
        )
        assert own.json()["entries"]
        told_of = without_refusals(own)
        foreign = set[str]().union(*(other.marks for other in vault.others(home)))
        assert not any(mark.encode() in told_of for mark in foreign)
        assert not any(each.name in own.text or each.pin in own.text for each in home.filed)
        refused = {
            told(await vault.stand.client.get(f"/audit/v1/logs/{log}/entries", headers=headers))
            for log in (*(other.id for other in vault.others(home)), "platform", new_id())
        }
        [(status, _, _)] = refused
        assert status == 404


async def test_an_operator_is_let_into_nothing_but_the_platforms_log(vault):
    may = {
        row.route
        for table in TABLE.values()
        for row in table
        if Who.OPERATOR in row.may and row.may != EVERYBODY
    }
    assert may == {
        "GET /audit/v1/logs/{log}/entries",
        "GET /audit/v1/logs/{log}/deeds",
        "GET /audit/v1/logs/{log}/export",
    }
    home = vault.homes[0]
    answer = await vault.stand.client.get(
        "/audit/v1/logs/platform/entries",
        params={"limit": "1000"},
        headers=as_(vault, Who.OPERATOR, home),
    )
    assert answer.json()["entries"]
    content = {
        mark
        for each in vault.homes
        for one in each.filed
        for mark in (one.name, one.reference, one.access_id, one.pin, one.recording)
    }
    assert not any(mark in answer.text for mark in content)


async def test_an_agent_of_one_department_sees_nothing_of_another(vault):
    home = vault.homes[0]
    admin = as_(vault, Who.ADMIN, home)
    for name in ("north", "south"):
        await vault.stand.client.post("/auth/v1/scopes", json={"department": name}, headers=admin)
    await vault.stand.published()
    theirs = await filed(vault.stand, home.company, scope={"department": "south"})
    agents = {name: await agent_of(vault, home, name) for name in ("north", "south")}
    answers = {
        name: [
            await vault.stand.client.request(method, path, headers=headers, json=body)
            for method, path, body in asked(theirs.recording, theirs.credential, theirs.reference)
        ]
        for name, headers in agents.items()
    }
    assert [answer.status_code for answer in answers["south"]] == [200] * 5
    missing = [
        await vault.stand.client.request(method, path, headers=agents["north"], json=body)
        for method, path, body in asked(new_id(), new_id(), "V-none")
    ]
    assert [told(answer) for answer in answers["north"]] == [told(answer) for answer in missing]
    assert not any(answer.content and answer.status_code < 300 for answer in answers["north"][1:])


async def agent_of(vault: World, home: Home, department: str) -> dict[str, str]:
    handle = f"{department}-{new_id()[:6]}"
    added = await add_principal(
        home.id,
        NewPrincipal(Role.CARE, department, handle=handle, scope=Scope(department)),
        by=OPERATOR,
        ports=vault.stand.ports,
    )
    home.company.staff[handle] = added
    return PURPOSE | {"Authorization": f"Bearer {await home.company.staff_token(handle)}"}


def asked(recording: str, credential: str, reference: str):
    """Everything an agent can ask about one customer; the change comes last."""
    return (
        ("POST", "/auth/v1/customer-searches", {"contract_reference": reference}),
        ("GET", f"/playback/v1/recordings?credential={credential}", None),
        ("GET", f"/playback/v1/recordings/{recording}/audio", None),
        ("GET", f"/playback/v1/recordings/{recording}/peaks", None),
        ("POST", f"/auth/v1/credentials/{credential}/state", {"change": "freeze"}),
    )


async def test_listings_name_nobody_of_another_tenant(vault):
    for home in vault.homes:
        answer = await vault.stand.client.get(
            "/auth/v1/principals", headers=as_(vault, Who.ADMIN, home)
        )
        listed = {each["id"] for each in json.loads(answer.content)["principals"]}
        assert {home.company.partner.id, home.other_partner.id} <= listed
        assert not listed & {other.company.partner.id for other in vault.others(home)}
