"""The main job: a partner stores a voice file, the customer hears it, care plays it."""

import hashlib

import pytest
from tests.stand import stand

from voicefile.cli.partner import sample


@pytest.fixture
async def vault(tmp_path):
    async with stand(tmp_path) as running:
        yield running


async def test_a_customer_hears_exactly_what_the_partner_stored(vault):
    company = vault.companies[0]
    filed = (await company.upload()).json()
    assert filed["state"] == "playable"
    session = await company.session(filed["access_id"], filed["pin"])
    shown = await vault.client.get("/playback/v1/recordings", headers=session)
    assert [each["recording_id"] for each in shown.json()["recordings"]] == [filed["recording_id"]]
    heard = await vault.client.get(
        f"/playback/v1/recordings/{filed['recording_id']}/audio", headers=session
    )
    assert heard.content == sample()
    assert hashlib.sha256(heard.content).hexdigest() == filed["sha256"]


async def test_care_finds_a_recording_by_contract_number_and_plays_it_with_a_purpose(vault):
    company = vault.companies[0]
    filed = (await company.upload(contract_reference="V-2026-1")).json()
    agent = {
        "Authorization": f"Bearer {await company.staff_token('care')}",
        "Purpose": "complaint",
    }
    found = await vault.client.post(
        "/auth/v1/customer-searches", headers=agent, json={"contract_reference": "v-2026-1"}
    )
    [customer] = found.json()["customers"]
    assert customer["customer"]["name"] == "Erika Mustermann"
    heard = await vault.client.get(
        f"/playback/v1/recordings/{filed['recording_id']}/audio", headers=agent
    )
    assert heard.content == sample()


async def test_after_signing_out_the_session_opens_nothing(vault):
    company = vault.companies[0]
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    await vault.client.delete("/auth/v1/customer-sessions/current", headers=session)
    shown = await vault.client.get("/playback/v1/recordings", headers=session)
    assert shown.status_code == 401


async def test_the_log_proves_the_receipt(vault):
    company = vault.companies[0]
    filed = (await company.upload()).json()
    await vault.settled()
    auditor = {"Authorization": f"Bearer {await company.staff_token('auditor')}"}
    proof = await vault.client.get(
        f"/audit/v1/recordings/{filed['recording_id']}/proof", headers=auditor
    )
    assert proof.status_code == 200
