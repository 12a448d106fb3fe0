"""Every step of every journey at another instance: nobody can tell."""

import asyncio
import base64
import dataclasses
import json
import re
import time

import httpx
import jwt
import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.services.ingest.fake_decoder import wav
from tests.services.replicas.many import many
from tests.stand import OPERATOR, metadata

from voicefile.auth.keys.rotate import rotate
from voicefile.auth.tenants.open_tenant import close_tenant, reopen_tenant
from voicefile.auth.tenants.principals import NewPrincipal, add_principal, remove_principal
from voicefile.contracts.deed.v1 import Event
from voicefile.deeds.deed import Action
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Role

AUDIO = wav(bytes(range(256)) * 500)


@pytest.fixture
async def vault(tmp_path):
    async with many(tmp_path) as opened:
        yield opened


async def told(answer):
    assert answer.is_success, (answer.status_code, answer.text)
    return answer.json() if answer.content else None


async def stored(company, **changes):
    return await told(await company.upload(AUDIO, **changes))


async def heard(client, recording, headers, *, pieces=7):
    """The recording, range by range."""
    whole, at = b"", 0
    step = len(AUDIO) // pieces
    while at < len(AUDIO):
        asked = {**headers, "Range": f"bytes={at}-{min(at + step, len(AUDIO)) - 1}"}
        answer = await client.get(f"/playback/v1/recordings/{recording}/audio", headers=asked)
        assert answer.status_code == 206, answer.text
        whole += answer.content
        at = len(whole)
    return whole


async def deeds(vault, *actions):
    """Whatever of these went over the bus, each once."""
    await vault.settled()
    found = {}
    for topic in vault.broker.topics.values():
        for event in topic:
            deed = Event.FromString(event.payload).deed
            if deed.action in actions:
                found[deed.deed_id] = deed
    return list(found.values())


async def test_a_customer_from_the_letter_to_the_log_out(vault):
    (company,) = vault.companies
    for _ in range(3):
        filed = await stored(company)
        session = await company.session(filed["access_id"], filed["pin"])
        listed = await told(await vault.client.get("/playback/v1/recordings", headers=session))
        assert [each["recording_id"] for each in listed["recordings"]] == [filed["recording_id"]]
        assert await heard(vault.client, filed["recording_id"], session) == AUDIO
        assert (await vault.client.delete(
            "/auth/v1/customer-sessions/current", headers=session
        )).status_code == 204  # fmt: skip
        for _ in range(4):
            gone = await vault.client.get("/playback/v1/recordings", headers=session)
            assert gone.status_code == 401
    granted = await deeds(vault, Action.ACTION_RELEASE_GRANTED)
    joined = await deeds(vault, Action.ACTION_RELEASE_JOINED)
    # Two instances of playback served each listening: one was given the key, the other joined.
    assert (len(granted), len(joined)) == (3, 3)


async def test_a_sensitive_file_asks_its_question_wherever_the_answer_arrives(vault):
    (company,) = vault.companies
    filed = await stored(company, sensitive=True, question={"kind": "digits", "answer": "4711"})
    for answer, status in (("0815", 401), ("4711", 201)):
        asked = await told(await company.sign_in(filed["access_id"], filed["pin"]))
        body = {"challenge": asked["challenge"], "answer": answer}
        tried = await vault.client.post("/auth/v1/customer-sessions/answers", json=body)
        assert tried.status_code == status
    session = {"Authorization": f"Bearer {tried.json()['session_token']}"}
    assert await heard(vault.client, filed["recording_id"], session) == AUDIO
    # A challenge opens one session, wherever it is brought a second time.
    for _ in range(4):
        again = await vault.client.post("/auth/v1/customer-sessions/answers", json=body)
        assert again.status_code == 401


async def test_a_new_pin_kills_the_old_one_everywhere_at_once(vault):
    (company,) = vault.companies
    filed = await stored(company)
    session = await company.session(filed["access_id"], filed["pin"])
    token = {"Authorization": f"Bearer {await company.partner_token()}"}
    status = await told(
        await vault.client.get(f"/ingest/v1/recordings/{filed['recording_id']}", headers=token)
    )
    new = await told(
        await vault.client.post(
            f"/auth/v1/credentials/{status['credential_id']}/reissue", headers=token
        )
    )
    for _ in range(2):
        refused = await vault.client.get("/playback/v1/recordings", headers=session)
        assert refused.status_code == 401
        assert (await company.sign_in(filed["access_id"], filed["pin"])).status_code == 401
    session = await company.session(filed["access_id"], new["pin"])
    assert await heard(vault.client, filed["recording_id"], session) == AUDIO


async def test_care_finds_and_hears_and_every_code_works_once(vault):
    (company,) = vault.companies
    filed = await stored(company)
    agent = {"Authorization": f"Bearer {await company.staff_token('care')}", "Purpose": "dispute"}
    phone = {"phone": "+49 30 1234567"}
    found = await told(
        await vault.client.post("/auth/v1/customer-searches", headers=agent, json=phone)
    )
    assert len(found["customers"]) == 1
    assert await heard(vault.client, filed["recording_id"], agent) == AUDIO
    added = company.staff["care"]
    body = {
        "username": added.username,
        "password": added.password.expose(),
        "totp": pyotp.TOTP(added.totp_secret.expose()).now(),
    }
    for _ in range(4):
        again = await vault.client.post("/auth/v1/staff-sessions", json=body)
        assert again.status_code == 401


async def test_the_portal_needs_no_instance_of_its_own(vault):
    (company,) = vault.companies
    filed = await stored(company)
    form = {"access_id": filed["access_id"], "pin": filed["pin"]}
    here = {"sec-fetch-site": "same-origin"}
    answer = await vault.client.post("/portal/sign-in", data=form, headers=here)
    assert answer.status_code == 303
    cookies = "; ".join(each.split(";")[0] for each in answer.headers.get_list("set-cookie"))
    browser = {**here, "Cookie": cookies}
    page = await vault.client.get("/portal/recordings", headers=browser)
    assert filed["recording_id"] in page.text
    sound = f"/portal/recordings/{filed['recording_id']}/audio"
    assert (await vault.client.get(sound, headers=browser)).content == AUDIO
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)[1]
    out = await vault.client.post("/portal/sign-out", data={"csrf": csrf}, headers=browser)
    assert out.status_code == 303
    for _ in range(2):
        assert (await vault.client.get("/portal/recordings", headers=browser)).status_code == 303


async def test_two_hundred_identical_uploads_at_once_are_one_recording(vault):
    (company,) = vault.companies
    key, said = new_id(), metadata()
    token = await company.partner_token()
    before = len(await deeds(vault, Action.ACTION_RECORDING_STORED))
    answers = await asyncio.gather(
        *(company.upload(AUDIO, key=key, token=token, **said) for _ in range(200))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(await deeds(vault, Action.ACTION_RECORDING_STORED)) == before + 1
    assert len(await deeds(vault, Action.ACTION_ACCESS_ISSUED)) == before + 1
    blobs = vault.replicas["ingest"][0].service.public.state.desk.marking.blobs
    assert len(await blobs.entries(limit=100)) == 3


async def test_the_log_is_the_same_at_every_instance(vault):
    (company,) = vault.companies
    filed = await stored(company)
    token = {"Authorization": f"Bearer {await company.partner_token()}"}
    path = f"/audit/v1/recordings/{filed['recording_id']}/proof"
    async with asyncio.timeout(30):
        while (proof := await vault.client.get(path, headers=token)).status_code != 200:
            await asyncio.sleep(0.1)
    again = await told(await vault.client.get(path, headers=token))
    for same in ("index", "salt", "entry", "verifier_key"):
        assert proof.json()[same] == again[same]
    await vault.settled()
    await asyncio.sleep(0.6)
    for part in ("checkpoint", "key", "tile/0/000.p/5", "tile/entries/000.p/5"):
        answers = []
        for replica in vault.replicas["audit"]:
            async with vault.at(replica, "audit") as one:
                answers.append(await one.get(f"/audit/v1/logs/{company.id}/{part}"))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1


async def test_what_auth_says_reaches_the_feed_once_whoever_hears_it(vault):
    (company,) = vault.companies
    filed = [await stored(company) for _ in range(6)]
    await vault.settled()
    token = {"Authorization": f"Bearer {await company.partner_token()}"}
    seen, after = [], 0
    while True:
        path = f"/ingest/v1/changes?after={after}&limit=2"
        page = (await told(await vault.client.get(path, headers=token)))["changes"]
        if not page:
            break
        seen += page
        after = page[-1]["sequence"]
    assert [each["sequence"] for each in seen] == [1, 2, 3, 4, 5, 6]
    assert {each["recording_id"] for each in seen} == {each["recording_id"] for each in filed}


async def test_a_closed_tenant_is_closed_at_every_instance_at_once(vault):
    (company,) = vault.companies
    filed = await stored(company)
    session = await company.session(filed["access_id"], filed["pin"])
    await close_tenant(company.id, by=OPERATOR, ports=company.ports)
    for _ in range(2):
        refused = await vault.client.get("/playback/v1/recordings", headers=session)
        assert refused.status_code == 401
        assert (await company.sign_in(filed["access_id"], filed["pin"])).status_code == 401
    await vault.settled()
    for _ in range(2):
        assert (await company.upload(AUDIO)).status_code == 403
    await reopen_tenant(company.id, by=OPERATOR, ports=company.ports)
    await vault.settled()
    await company.session(filed["access_id"], filed["pin"])
    await stored(company)


async def test_keys_turned_at_one_instance_stop_nobody_at_another(vault):
    (company,) = vault.companies
    before = await stored(company)
    session = await company.session(before["access_id"], before["pin"])
    here, there = (
        each.service.public.state.ports
        for each in (vault.replicas["auth"][0], vault.replicas["auth"][1])
    )
    old = (await there.custody.namespace(company.id)).current_epoch.id
    later_s = here.settings.epoch_max_s + 1

    def ahead(seconds):
        return dataclasses.replace(here, now_s=lambda: time.time() + seconds)

    turned = await rotate(ahead(later_s))
    assert (turned.epochs_opened, turned.documents_rewrapped) == (1, 1)
    # The other one has not looked since, and finds out by what it meets.
    assert (await there.custody.namespace(company.id)).current_epoch.id == old
    await vault.settled()
    for _ in range(2):
        filed = await stored(company)
        assert await heard(vault.client, before["recording_id"], session) == AUDIO
        after = await company.session(filed["access_id"], filed["pin"])
        assert await heard(vault.client, filed["recording_id"], after) == AUDIO
    # What was filed under the old epoch meanwhile moves on, and once it is forgotten it dies.
    for ports in (here, there):
        ports.custody.forget(company.id)
    await rotate(ahead(later_s))
    assert (await rotate(ahead(later_s + here.settings.epoch_grace_s + 1))).epochs_destroyed == 1
    for _ in range(2):
        filed = await stored(company)
        assert await heard(vault.client, before["recording_id"], session) == AUDIO


async def test_who_was_removed_gets_a_token_nowhere(vault):
    (company,) = vault.companies
    added = await add_principal(
        company.id, NewPrincipal(Role.PARTNER, "CRM 2"), by=OPERATOR, ports=company.ports
    )
    for _ in range(2):
        await company.partner_token(added)
    await remove_principal(company.id, added.id, by=OPERATOR, ports=company.ports)
    for _ in range(4):
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            await company.partner_token(added)


async def test_an_assertion_brought_to_all_instances_at_once_counts_once(vault):
    (company,) = vault.companies
    key = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    added = await add_principal(
        company.id,
        NewPrincipal(Role.PARTNER, "CRM 3", jwk={"kty": "OKP", "crv": "Ed25519", "x": public}),
        by=OPERATOR,
        ports=company.ports,
    )
    claims = {
        "iss": added.id,
        "sub": added.id,
        "aud": "test",
        "exp": int(time.time()) + 50,
        "jti": new_id(),
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, key, algorithm="EdDSA"),
    }
    answers = await asyncio.gather(
        *(vault.client.post("/auth/v1/token", data=form) for _ in range(12))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 11


async def test_a_code_and_a_challenge_raced_at_all_instances_count_once(vault):
    (company,) = vault.companies
    added = company.staff["auditor"]
    body = {
        "username": added.username,
        "password": added.password.expose(),
        "totp": pyotp.TOTP(added.totp_secret.expose()).now(),
    }
    answers = await asyncio.gather(
        *(vault.client.post("/auth/v1/staff-sessions", json=body) for _ in range(3))
    )
    assert sum(answer.is_success for answer in answers) == 1
    filed = await stored(company, sensitive=True, question={"kind": "digits", "answer": "4711"})
    asked = await told(await company.sign_in(filed["access_id"], filed["pin"]))
    body = {"challenge": asked["challenge"], "answer": "4711"}
    answers = await asyncio.gather(
        *(vault.client.post("/auth/v1/customer-sessions/answers", json=body) for _ in range(3))
    )
    assert sum(answer.is_success for answer in answers) == 1


async def test_wrong_pins_spread_over_all_instances_are_counted_exactly(tmp_path):
    async with many(tmp_path, of={"auth": 3}) as vault:
        (company,) = vault.companies
        filed = await stored(company)
        wrong = f"{(int(filed['pin']) + 1) % 10 ** len(filed['pin']):0{len(filed['pin'])}d}"
        answers = await asyncio.gather(
            *(company.sign_in(filed["access_id"], wrong) for _ in range(30))
        )
        refused = [json.loads(answer.content)["type"] for answer in answers]
        # Three tries without a pause, whoever of the three instances takes them.
        checked = await deeds(vault, Action.ACTION_CUSTOMER_SIGNED_IN)
        assert len(checked) == 3
        assert {kind.rsplit(":", 1)[1] for kind in refused} <= {
            "sign-in-refused",
            "rate-limited",
            "busy",
        }
