"""One instance loses its store for a while: it says so, and is as good as before afterwards."""

import asyncio

import pyotp
import pytest
from tests.services.replicas.many import many
from tests.services.replicas.test_journeys import AUDIO, heard, stored, told

from voicefile.audit.settings import AuditSettings
from voicefile.identity.ids import new_id


@pytest.fixture
async def vault(tmp_path):
    async with many(tmp_path) as opened:
        yield opened


async def answers(client, requests):
    """By method and path: the status, and what went wrong if nothing came back."""
    found = {}
    for method, path, how in requests:
        async with asyncio.timeout(20):
            answer = await client.request(method, path, **how)
        found[f"{method} {path}"] = answer.status_code
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "retry-after" in answer.headers
    return found


async def test_auth_says_that_it_cannot_now(vault):
    (company,) = vault.companies
    filed = await stored(company)
    token = await company.partner_token()
    care = await company.staff_token("care")
    added = company.staff["auditor"]
    session = await company.session(filed["access_id"], filed["pin"])
    replica = vault.replicas["auth"][0]
    typed = {
        "username": added.username,
        "password": added.password.expose(),
        "totp": pyotp.TOTP(added.totp_secret.expose()).now(),
    }
    signing_in = {"access_id": filed["access_id"], "pin": filed["pin"]}
    agent = {"Authorization": f"Bearer {care}", "Purpose": "quality"}
    outside = [
        (
            "POST",
            "/auth/v1/token",
            {
                "data": {"grant_type": "client_credentials"},
                "auth": (company.partner.id, company.partner.client_secret.expose()),
            },
        ),
        ("POST", "/auth/v1/staff-sessions", {"json": typed}),
        ("POST", "/auth/v1/customer-sessions", {"json": signing_in}),
        ("DELETE", "/auth/v1/customer-sessions/current", {"headers": session}),
        ("POST", "/auth/v1/customer-searches", {"headers": agent, "json": {"phone": "030 1"}}),
    ]
    hearing = {**session, "Idempotency-Key": "x"}
    inside = [
        ("POST", "/auth/internal/v1/hearable", {"headers": hearing, "json": {}}),
        (
            "POST",
            "/auth/internal/v1/releases",
            {
                "headers": session,
                "json": {
                    "recording_id": filed["recording_id"],
                    "instance_key": "A" * 43 + "=",
                    "listening": new_id(),
                },
            },
        ),
    ]
    replica.cut_off()
    async with vault.at(replica, "auth") as one:
        said = await answers(one, outside)
    async with vault.inside("playback", only={"auth": replica}) as one:
        said |= await answers(one, inside)
    assert not await replica.service.ready()
    replica.cut_off(False)
    assert set(said.values()) == {503}, said
    # The code was not used up, and the session lives: nothing had happened.
    async with vault.at(replica, "auth") as one:
        assert await told(await one.post("/auth/v1/staff-sessions", json=typed))
    assert await heard(vault.client, filed["recording_id"], session) == AUDIO
    assert token


async def test_ingest_says_that_it_cannot_now_and_the_retry_finds_out(vault):
    (company,) = vault.companies
    await stored(company)
    headers = {"Authorization": f"Bearer {await company.partner_token()}"}
    replica = vault.replicas["ingest"][0]
    key = new_id()
    replica.cut_off()
    async with vault.at(replica, "ingest") as one:
        here = type(company)(company.id, company.ports, one, company.partner, company.staff)
        refused = await here.upload(AUDIO, key=key, token=headers["Authorization"][7:])
        assert refused.status_code == 503
        said = await answers(one, [("GET", "/ingest/v1/changes", {"headers": headers})])
        assert set(said.values()) == {503}
    replica.cut_off(False)
    assert (await company.upload(AUDIO, key=key)).status_code == 201


async def test_playback_gives_back_what_it_could_not_write_down(vault):
    (company,) = vault.companies
    filed = await stored(company)
    session = await company.session(filed["access_id"], filed["pin"])
    replica = vault.replicas["playback"][0]
    replica.cut_off()
    path = f"/playback/v1/recordings/{filed['recording_id']}/audio"
    async with vault.at(replica, "playback") as one:
        assert set((await answers(one, [("GET", path, {"headers": session})])).values()) == {503}
        replica.cut_off(False)
        assert await heard(one, filed["recording_id"], session) == AUDIO


async def test_audit_says_no_and_serves_nothing_it_cannot_read(vault):
    (company,) = vault.companies
    await stored(company)
    await vault.settled()
    await asyncio.sleep(1)
    headers = {"Authorization": f"Bearer {await company.staff_token('auditor')}"}
    await vault.until(lambda: vault.leader("audit"))
    standby = next(each for each in vault.replicas["audit"] if not each.leading)
    log = f"/audit/v1/logs/{company.id}"
    requests = [
        ("GET", f"{log}/checkpoint", {}),
        ("GET", f"{log}/key", {}),
        ("GET", f"{log}/tile/0/000.p/2", {}),
        ("GET", f"{log}/entries", {"headers": headers}),
    ]
    standby.cut_off()
    async with vault.at(standby, "audit") as one:
        said = await answers(one, requests)
    assert set(said.values()) == {503}, said
    await asyncio.sleep(AuditSettings().durable_within_s + 0.1)
    async with vault.inside("auth", only={"audit": standby}) as one:
        answer = await told(await one.get("/audit/internal/v1/appendable"))
        assert answer["appendable"] is False
    standby.cut_off(False)
    async with vault.at(standby, "audit") as one:
        assert set((await answers(one, requests)).values()) == {200}


async def test_an_instance_that_stops_cuts_no_listener_off(vault):
    (company,) = vault.companies
    filed = await stored(company)
    session = await company.session(filed["access_id"], filed["pin"])
    assert await heard(vault.client, filed["recording_id"], session) == AUDIO
    gone, stays = vault.replicas["playback"]
    gone.stopping.set()
    listenings = stays.service.public.state.playback.listenings
    (listening,) = listenings._open.values()
    await vault.until(lambda: not gone.takes_requests)
    await asyncio.sleep(0.5)
    listening.leased_until = 0.0
    assert await heard(vault.client, filed["recording_id"], session) == AUDIO
    assert (listening.over, listening.leased_until > 0) == (False, True)
