"""One person's dealings with a company, in every way the vault knows: what they leave behind."""

from dataclasses import dataclass
from typing import Any

import httpx
from tests.stand import Company, Stand

from voicefile.identity.guard import TELEPHONE_PREFIX
from voicefile.identity.ids import new_id

WRONG_PIN = "00000000"


@dataclass(frozen=True)
class Person:
    """Somebody, and how they come: the same at every company they deal with."""

    name: str
    phone: str
    email: str
    number: str
    contract: str
    iban_last4: str
    key: str
    """The Idempotency-Key that a shared CRM makes for their contract."""
    device: str
    address: str

    @property
    def customer(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "phone": self.phone,
            "email": self.email,
            "customer_number": self.number,
            "birth_date": "1971-03-14",
            "address": {"street": f"{self.name}straße 7", "city": "Berlin"},
        }


ERIKA = Person(
    name="Erika Mustermann-Vogelsang",
    phone="+49 30 998877665",
    email="erika.vogelsang@example.org",
    number="K-2026-774411",
    contract="V-2026-000815-B",
    iban_last4="7302",
    key="b7f2c0de-5a4e-4d77-9c1e-0c8a1a2b3c4d",
    device="the-very-same-browser-of-erika",
    address="203.0.113.77",
)
SOMEBODY = Person(
    name="Karl-Heinz Zwirbel",
    phone="+43 1 5550199",
    email="kh.zwirbel@example.com",
    number="99120034",
    contract="AT/445566/x",
    iban_last4="1188",
    key=new_id(),
    device="another-browser-altogether-it-is",
    address="198.51.100.4",
)


async def lived(s: Stand, company: Company, person: Person) -> None:
    """Everything from the first call to the customer's complaint."""
    plain = await _brought(company, person)
    question = {"kind": "iban_last4", "answer": person.iban_last4}
    secret = (
        (await company.upload(customer=person.customer, sensitive=True, question=question))
        .raise_for_status()
        .json()
    )
    await _listened(s, person, plain)
    await _answered(s, person, secret)
    await _telephoned(s, person, secret)
    await _complained(s, company, person)
    await _looked_after(s, company, person)


async def _brought(company: Company, person: Person) -> dict[str, Any]:
    said = {"customer": person.customer, "contract_reference": person.contract}
    first = (await company.upload(key=person.key, **said)).raise_for_status().json()
    again = (await company.upload(key=person.key, **said)).json()
    assert again["recording_id"] == first["recording_id"]
    joined = await company.upload(join_access_id=first["access_id"], **said)
    joined.raise_for_status()
    return dict(first)


def _browser(person: Person) -> dict[str, str]:
    return {"Voicefile-Client-Address": person.address, "Voicefile-Device": person.device}


async def _listened(s: Stand, person: Person, filed: dict[str, Any]) -> None:
    async with s.vault.client(peer="portal") as portal:
        tried = {"access_id": filed["access_id"], "pin": WRONG_PIN}
        wrong = await portal.post(
            "/auth/v1/customer-sessions", json=tried, headers=_browser(person)
        )
        assert wrong.status_code == 401
        tried["pin"] = filed["pin"]
        for _ in range(2):
            answer = await portal.post(
                "/auth/v1/customer-sessions", json=tried, headers=_browser(person)
            )
            token = answer.raise_for_status().json()["session_token"]
            session = {"Authorization": f"Bearer {token}"}
            path = f"/playback/v1/recordings/{filed['recording_id']}"
            for url in ("/playback/v1/recordings", f"{path}/audio", f"{path}/peaks"):
                (await portal.get(url, headers=session)).raise_for_status()
        await portal.delete("/auth/v1/customer-sessions/current", headers=session)


async def _answered(s: Stand, person: Person, filed: dict[str, Any]) -> None:
    async with s.vault.client(peer="portal") as portal:
        tried = {"access_id": filed["access_id"], "pin": filed["pin"]}
        for given in ("0000", person.iban_last4, None):
            asked = await portal.post(
                "/auth/v1/customer-sessions", json=tried, headers=_browser(person)
            )
            challenge = asked.raise_for_status().json()["challenge"]
            if given is not None:
                await portal.post(
                    "/auth/v1/customer-sessions/answers",
                    json={"challenge": challenge, "answer": given},
                    headers=_browser(person),
                )


async def _telephoned(s: Stand, person: Person, filed: dict[str, Any]) -> None:
    call = {"caller": person.phone, "call_id": new_id()}
    base = "/auth/internal/v1"
    async with s.vault.client(peer="playback") as playback:

        async def keyed(step: str, **keyed: str) -> httpx.Response:
            return await playback.post(f"{base}/telephone-logins{step}", json=keyed | call)

        login = (await keyed("", access_id=filed["access_id"])).raise_for_status().json()
        place = f"/{login['login_id']}"
        assert (await keyed(f"{place}/pin", pin=WRONG_PIN)).status_code == 401
        (await keyed(f"{place}/pin", pin=filed["pin"])).raise_for_status()
        session = (await keyed(f"{place}/answer", answer=person.iban_last4)).raise_for_status()
        shown = f"{TELEPHONE_PREFIX}{session.json()['session_id']}.{call['call_id']}"
        headers = {"Authorization": f"Bearer {shown}"}
        objected = f"{base}/recordings/{filed['recording_id']}/objection"
        for path in (f"{base}/hearable", objected):
            (await playback.post(path, headers=headers, json={})).raise_for_status()
        await playback.delete(f"{base}/telephone-sessions/current", headers=headers)


async def _complained(s: Stand, company: Company, person: Person) -> None:
    agent = {
        "Authorization": f"Bearer {await company.staff_token('care')}",
        "Purpose": "complaint",
    }
    for field, value in (
        ("phone", person.phone),
        ("email", person.email),
        ("customer_number", person.number),
        ("contract_reference", person.contract),
    ):
        found = await s.client.post(
            "/auth/v1/customer-searches", json={field: value}, headers=agent
        )
        assert found.raise_for_status().json()["customers"]
    recording = found.json()["customers"][0]["recordings"][0]["recording_id"]
    path = f"/playback/v1/recordings/{recording}/audio"
    heard = await s.client.get(path, params={"download": "true"}, headers=agent)
    heard.raise_for_status()


async def _looked_after(s: Stand, company: Company, person: Person) -> None:
    partner = {"Authorization": f"Bearer {await company.partner_token()}"}
    third = (await company.upload(customer=person.customer)).raise_for_status().json()
    for path in (f"/ingest/v1/recordings/{third['recording_id']}", "/ingest/v1/changes"):
        (await s.client.get(path, headers=partner)).raise_for_status()
    stored = await s.ports.access.of(company.id).find_one("recording", third["recording_id"])
    assert stored is not None
    base = f"/auth/v1/credentials/{stored.id}"
    for path, body in (
        ("reissue", None),
        ("letter", {"letter": "printed"}),
        ("state", {"change": "freeze"}),
    ):
        (await s.client.post(f"{base}/{path}", json=body, headers=partner)).raise_for_status()
    await s.settled()
    auditor = {"Authorization": f"Bearer {await company.staff_token('auditor')}"}
    for path in (f"logs/{company.id}/entries", f"recordings/{third['recording_id']}/proof"):
        (await s.client.get(f"/audit/v1/{path}", headers=auditor)).raise_for_status()
