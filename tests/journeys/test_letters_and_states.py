"""PINs on their way: re-issued, sealed for the letter shop, in letters that come back; and what a
partner learns of its recordings.
"""

import asyncio
import base64

import pytest
from tests.journeys.noise import noise, wav_of
from tests.stand import stand

from voicefile.auth.issuing.pins import pin_context
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.primitives import SealingKeyPair, open_text


@pytest.fixture
async def vault(tmp_path):
    async with stand(tmp_path) as running:
        yield running


@pytest.fixture
def company(vault):
    return vault.companies[0]


class Crm:
    """A partner's program."""

    def __init__(self, company, token):
        self._client = company.client
        self._bearer = {"Authorization": f"Bearer {token}"}

    async def status(self, filed):
        path = f"/ingest/v1/recordings/{filed['recording_id']}"
        return (await self._client.get(path, headers=self._bearer)).raise_for_status().json()

    async def changes(self, after=0, **query):
        query = {"after": after, **query}
        answer = await self._client.get("/ingest/v1/changes", headers=self._bearer, params=query)
        return answer.raise_for_status().json()

    async def change(self, filed, what, body=None):
        credential = (await self.status(filed))["credential_id"]
        return await self._client.post(
            f"/auth/v1/credentials/{credential}/{what}", headers=self._bearer, json=body
        )


@pytest.fixture
async def crm(company):
    return Crm(company, await company.partner_token())


async def may_sign_in(company, access_id, pin):
    return (await company.sign_in(access_id, pin)).status_code == 201


async def test_a_new_pin_ends_the_old_one_and_every_session_of_it(company, crm):
    filed = (await company.upload()).json()
    session = await company.session(filed["access_id"], filed["pin"])
    shown = await company.client.get("/playback/v1/recordings", headers=session)
    assert len(shown.json()["recordings"]) == 1
    renewed = (await crm.change(filed, "reissue")).json()
    # What plays at this moment ends with its lease, within a minute; nothing new begins.
    for path in ("", f"/{filed['recording_id']}/audio", f"/{filed['recording_id']}/peaks"):
        answer = await company.client.get(f"/playback/v1/recordings{path}", headers=session)
        assert answer.status_code == 401
    assert not await may_sign_in(company, filed["access_id"], filed["pin"])
    assert await may_sign_in(company, filed["access_id"], renewed["pin"])


async def test_after_a_new_pin_a_retry_does_not_tell_the_old_one(company, crm):
    key, token = "Zr8kQ2mVx5Tn7Wp4Jc9Hf1", await company.partner_token()
    said = {"contract_reference": "V-7", "token": token, "key": key}
    filed = (await company.upload(**said)).json()
    await crm.change(filed, "reissue")
    again = await company.upload(**said)
    assert again.status_code == 409
    assert again.json()["type"].endswith(":answer-expired")


async def test_a_sealed_pin_is_read_by_the_letter_shop_alone(company, crm):
    shop, admin = SealingKeyPair.generate(), await company.staff_token("admin")
    await company.client.put(
        "/auth/v1/letter-shop",
        headers={"Authorization": f"Bearer {admin}"},
        json={"public_key": base64.b64encode(shop.public).decode()},
    )
    filed = (await company.upload(pin_delivery={"mode": "sealed"})).json()
    assert "pin" not in filed
    credential = (await crm.status(filed))["credential_id"]
    context = pin_context(b"test", company.id, credential).encode()
    sealed = base64.b64decode(filed["sealed_pin"])
    with pytest.raises(CryptoError):
        open_text(SealingKeyPair.generate(), sealed, context)
    pin = open_text(shop, sealed, context).decode()
    assert await may_sign_in(company, filed["access_id"], pin)


async def test_care_orders_a_new_pin_and_never_sees_it(company, crm):
    filed = (await company.upload()).json()
    credential = (await crm.status(filed))["credential_id"]
    token = await company.staff_token("care")
    agent = {"Authorization": f"Bearer {token}", "Purpose": "customer-request"}
    path = f"/auth/v1/credentials/{credential}/reissue"
    refused = await company.client.post(path, headers=agent)
    assert refused.json()["type"].endswith(":letter-shop-missing")
    assert await may_sign_in(company, filed["access_id"], filed["pin"])
    shop, admin = SealingKeyPair.generate(), await company.staff_token("admin")
    await company.client.put(
        "/auth/v1/letter-shop",
        headers={"Authorization": f"Bearer {admin}"},
        json={"public_key": base64.b64encode(shop.public).decode()},
    )
    ordered = (await company.client.post(path, headers=agent)).raise_for_status().json()
    assert ordered["pin"] is None
    context = pin_context(b"test", company.id, credential).encode()
    pin = open_text(shop, base64.b64decode(ordered["sealed_pin"]), context).decode()
    assert not await may_sign_in(company, filed["access_id"], filed["pin"])
    assert await may_sign_in(company, filed["access_id"], pin)


@pytest.mark.parametrize(
    ("audio", "finding"),
    [(wav_of(noise(2.0) * 0), "silent"), (wav_of((noise(2.0) > 0) * 32_767), "clipped")],
    ids=["silent", "clipped"],
)
async def test_what_nobody_could_understand_is_kept_and_not_heard(company, crm, audio, finding):
    filed = (await company.upload(audio)).json()
    assert filed["state"] == "quarantined"
    status = await crm.status(filed)
    assert (status["state"], status["findings"]) == ("quarantined", [finding])
    session = await company.session(filed["access_id"], filed["pin"])
    path = f"/playback/v1/recordings/{filed['recording_id']}"
    for part in ("audio", "audio?rendition=telephone", "peaks"):
        answer = await company.client.get(f"{path}/{part}", headers=session)
        assert answer.status_code == 404


async def test_a_letter_goes_its_way_and_a_returned_one_wants_a_new_pin(company, crm):
    filed = (await company.upload()).json()
    assert (await crm.status(filed))["letter"] == "wanted"
    for letter in ("printed", "sent"):
        assert (await crm.change(filed, "letter", {"letter": letter})).json()["letter"] == letter
    assert (await crm.change(filed, "letter", {"letter": "printed"})).status_code == 409
    came_back = await crm.change(filed, "state", {"change": "undelivered"})
    assert came_back.json() | {"credential_id": ""} == {
        "credential_id": "",
        "state": "undelivered",
        "letter": "returned",
    }
    # Somebody may have read it on its way.
    assert not await may_sign_in(company, filed["access_id"], filed["pin"])
    renewed = (await crm.change(filed, "reissue")).json()
    status = await crm.status(filed)
    assert (status["credential_state"], status["letter"]) == ("issued", "wanted")
    assert await may_sign_in(company, filed["access_id"], renewed["pin"])


async def test_a_frozen_id_lets_nobody_in_until_it_is_restored(company, crm):
    filed = (await company.upload()).json()
    await crm.change(filed, "state", {"change": "freeze"})
    assert not await may_sign_in(company, filed["access_id"], filed["pin"])
    await crm.change(filed, "state", {"change": "restore"})
    assert await may_sign_in(company, filed["access_id"], filed["pin"])


async def test_a_revoked_id_never_lets_anybody_in_again(company, crm):
    filed = (await company.upload()).json()
    await crm.change(filed, "state", {"change": "revoke"})
    assert not await may_sign_in(company, filed["access_id"], filed["pin"])
    for what, body in (("state", {"change": "restore"}), ("reissue", None)):
        assert (await crm.change(filed, what, body)).status_code == 409


async def test_a_partner_sees_what_became_of_its_recordings(company, crm):
    filed = (await company.upload()).json()
    status = await crm.status(filed)
    assert status["receipt"] == filed["receipt"]
    assert (status["state"], status["assurance"]) == ("playable", "uploaded")
    assert status["delete_on"] > "2027"


async def test_the_feed_is_gapless_and_goes_on_where_one_stopped(company, crm, vault):
    filed = [(await company.upload(contract_reference=f"V-{n}")).json() for n in range(3)]
    await crm.change(filed[0], "letter", {"letter": "sent"})
    await vault.published()
    changes = await everything_heard(crm, 4)
    assert [change["sequence"] for change in changes] == [1, 2, 3, 4]
    assert {change["recording_id"] for change in changes} == {
        each["recording_id"] for each in filed
    }
    told = [change for change in changes if change["recording_id"] == filed[0]["recording_id"]]
    assert [change["letter"] for change in told][-1] == "sent"
    assert (await crm.changes(after=2, limit=1))["changes"] == [changes[2]]
    assert await crm.changes(after=4) == {"changes": [], "next": 4}


async def everything_heard(crm, count):
    async with asyncio.timeout(10):
        while True:
            page = await crm.changes()
            if len(page["changes"]) >= count:
                return page["changes"]
            await asyncio.sleep(0.02)


async def test_another_companys_partner_sees_nothing_of_it(vault, company):
    filed = (await company.upload()).json()
    await vault.published()
    other = vault.companies[1]
    stranger = {"Authorization": f"Bearer {await other.partner_token()}"}
    path = f"/ingest/v1/recordings/{filed['recording_id']}"
    assert (await vault.client.get(path, headers=stranger)).status_code == 404
    feed = await vault.client.get("/ingest/v1/changes", headers=stranger)
    assert feed.json() == {"changes": [], "next": 0}
