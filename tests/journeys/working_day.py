"""A working day at a vault: everything people do and get wrong, with everything said kept aside."""

import base64
import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyotp
from tests.corpus.spoken_files import spoken
from tests.journeys.canaries import Canary
from tests.journeys.noise import noise, wav_of
from tests.journeys.vault_process import VaultProcess, partner_token, staff_token
from tests.stand import metadata

from voicefile.auth.issuing.pins import pin_context
from voicefile.crypto.primitives import SealingKeyPair, open_text
from voicefile.portal.forms import csrf_of

PIN_DIGITS = 10
UPLOAD_BYTES_MAX = 400_000
SPOKEN = ("alaw-8k.wav", "flac-16k.flac", "m4a-16k-front.m4a", "mp3-8k.mp3", "opus-voice.opus")
NOT_HTTP = b"Invalid HTTP request received."
GUARDED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src ",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-",
}


def digits(count: int) -> str:
    """Nothing a counter or a date would come by."""
    return str(secrets.choice(range(1, 10))) + "".join(
        secrets.choice("0123456789") for _ in range(count - 1)
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Person:
    """A customer nobody is called like."""

    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    said: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.said = {
            "name": f"Käthe Zitronenfalter-{self.mark}",
            "phone": f"+4930{digits(9)}",
            "email": f"kanarien.vogel.{self.mark}@example.org",
            "customer_number": f"KD-{digits(12)}",
            "birth_date": "1907-11-23",
            "address": {
                "street": f"Zeisigallee {self.mark}",
                "addition": f"bei Gimpel & Söhnen {self.mark}",
                "city": f"Vogelsang-{self.mark}",
            },
        }

    def values(self) -> list[str]:
        address = self.said["address"]
        return [*(text for text in self.said.values() if isinstance(text, str)), *address.values()]


@dataclass
class Day:
    """What happened, for whoever searches afterwards."""

    vault: VaultProcess
    canaries: list[Canary] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    refusals: list[bytes] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def hide(self, what: str, value: str | bytes) -> str:
        self.canaries.append(Canary(what, value))
        return value if isinstance(value, str) else ""

    def seen(self, response: httpx.Response) -> None:
        """A hook of the clients: what refuses must not repeat what was asked."""
        self._guarded(response)
        status = response.status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if response.is_redirect:
            self.refusals.append(response.headers["location"].encode())
        if status >= 400:
            response.read()
            head = "\n".join(f"{name}: {text}" for name, text in response.headers.items())
            self.refusals.append(head.encode() + b"\n\n" + response.content)

    @staticmethod
    def _guarded(response: httpx.Response) -> None:
        """Every answer says how a browser has to treat it, but for what is no HTTP at all."""
        headers, path = response.headers, response.request.url.path
        assert "server" not in headers
        if response.status_code == 400 and response.read() == NOT_HTTP:
            return
        for name, value in GUARDED.items():
            assert value in headers.get(name, "missing"), (path, name)


class Work:
    """One after the other, what a company's people do in a day."""

    def __init__(self, day: Day, client: httpx.Client) -> None:
        self.day = day
        self.client = client
        self.company = day.vault.first_company
        self.tenant = self.company["id"]
        self.letter_shop = SealingKeyPair.generate()
        self.token = ""
        self.filed: list[dict[str, Any]] = []
        self.people: list[Person] = []
        self.care: dict[str, str] = {}

    def open_office(self) -> None:
        """Signs everybody in; the administrator asks for long PINs and adds an agent."""
        for company in self.day.vault.known["tenants"]:
            for role in ("care", "auditor", "admin"):
                self._hide_staff(company[role])
            self.day.hide("client secret", company["partner"]["client_secret"])
        first = self.day.vault.known["recording"]
        self.day.hide("PIN of the demo", first["pin"])
        self.day.hide("access ID of the demo", first["access_id"])
        self.token = self._token(partner_token(self.client, self.company["partner"]))
        admin = bearer(staff_token(self.client, self.company["admin"]))
        rules = {
            "retention_days": {"contract": 1_095},
            "default_retention_class": "contract",
            "pin_digits": PIN_DIGITS,
        }
        self._ok(self.client.put("/auth/v1/policy", json=rules, headers=admin))
        shop = {"public_key": base64.b64encode(self.letter_shop.public).decode()}
        self._ok(self.client.put("/auth/v1/letter-shop", json=shop, headers=admin))
        agent = self.day.hide("a staff member's name", f"Agathe Stieglitz-{secrets.token_hex(4)}")
        new = {"role": "care", "handle": "stieglitz", "name": agent}
        self.agent = self._ok(self.client.post("/auth/v1/principals", json=new, headers=admin))
        self._hide_staff(self.agent)
        self.care = bearer(staff_token(self.client, self.company["care"]))

    def store(self) -> None:
        """Uploads in many formats: plain, sensitive, joined, for the letter shop; one retried."""
        for number, name in enumerate(SPOKEN):
            self._upload(spoken(name), sensitive=number % 2 == 0)
        self._upload(wav_of(noise(6.0)))
        self._upload(spoken("pcm16-8k.wav"), join_access_id=self.filed[0]["access_id"])
        sealed = self._upload(spoken("ulaw-8k.wav"), pin_delivery={"mode": "sealed"})
        self._open_letter(sealed)
        silent = self._upload(wav_of(noise(1.0) * 0))
        assert silent["state"] == "quarantined"

    def _upload(self, audio: bytes, *, sensitive: bool = False, **changes: Any) -> dict[str, Any]:
        day, person = self.day, Person()
        self.people.append(person)
        for value in person.values():
            day.hide("about a customer", value)
        said = metadata(
            contract_reference=day.hide("contract reference", f"V/{digits(11)}"),
            contract_kind=day.hide("contract kind", f"Volierenvertrag {person.mark}"),
            contract_parts=[day.hide("contract part", f"Tarif Nachtigall {person.mark}")],
            agent=day.hide("agent", f"verkauf.{person.mark}"),
            campaign=day.hide("campaign", f"Amselaktion {person.mark}"),
            consent={
                "obtained_at": "2026-01-20T14:02:30+01:00",
                "method": "spoken",
                "wording_sha256": day.hide("wording", secrets.token_hex(32)),
            },
            customer=person.said,
            **changes,
        )
        if sensitive:
            said["sensitive"] = True
            said["question"] = {
                "kind": "digits" if len(self.filed) % 4 else "iban_last4",
                "answer": day.hide("answer", digits(16)),
                "prompt": day.hide("prompt", f"Wie viele Finken, {person.mark}?"),
            }
        key = day.hide("Idempotency-Key", str(uuid.uuid4()))
        day.hide("Idempotency-Key", uuid.UUID(key).bytes)
        day.uploads.append(audio)
        answers = [self.post(said, audio, key) for _ in range(1 if self.filed else 2)]
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert len({answer.content for answer in answers}) == 1
        filed = answers[0].json()
        for name in ("access_id", "pin", "receipt", "sha256"):
            if name in filed:
                day.hide(name, filed[name])
        day.hide("sha256 of the audio", hashlib.sha256(audio).digest())
        self.filed.append(filed | {"said": said})
        return filed

    def post(self, said: dict[str, Any], audio: bytes, key: str) -> httpx.Response:
        return self.client.post(
            "/ingest/v1/recordings",
            headers={"Authorization": f"Bearer {self.token}", "Idempotency-Key": key},
            files=[
                ("metadata", (None, json.dumps(said), "application/json")),
                ("audio", (f"{said['contract_reference']}.wav", audio, "audio/wav")),
            ],
        )

    def _open_letter(self, filed: dict[str, Any]) -> None:
        status = self._ok(
            self.client.get(
                f"/ingest/v1/recordings/{filed['recording_id']}", headers=bearer(self.token)
            )
        )
        deployment = self.day.vault.deployment
        context = pin_context(deployment, self.tenant, status["credential_id"])
        sealed = base64.b64decode(filed["sealed_pin"])
        pin = open_text(self.letter_shop, sealed, context.encode()).decode()
        self.filed[-1]["pin"] = self.day.hide("PIN for the letter shop", pin)

    def listen(self) -> None:
        """Customers sign in, answer, hear in pieces, sign out; one gets a new PIN."""
        for filed in (self.filed[0], self.filed[1], self.filed[5], self.filed[7]):
            session = self._sign_in(filed)
            shown = self._ok(self.client.get("/playback/v1/recordings", headers=session))
            for each in shown["recordings"]:
                where = f"/playback/v1/recordings/{each['recording_id']}"
                for part in ("audio", "audio?rendition=telephone", "peaks"):
                    answer = self.client.get(f"{where}/{part}", headers=session)
                    assert answer.status_code == 200
                some = self.client.get(
                    f"{where}/audio", headers=session | {"Range": "bytes=70000-71000"}
                )
                assert some.status_code in (206, 416)
            self.client.delete("/auth/v1/customer-sessions/current", headers=session)
        filed = self.filed[1]
        credential = self._status(filed)["credential_id"]
        renewed = self._ok(
            self.client.post(
                f"/auth/v1/credentials/{credential}/reissue", headers=bearer(self.token)
            )
        )
        old = self.client.post(
            "/auth/v1/customer-sessions",
            json={"access_id": filed["access_id"], "pin": filed["pin"]},
        )
        assert old.status_code == 401
        filed["pin"] = self.day.hide("re-issued PIN", renewed["pin"])
        self._sign_in(filed)

    def _sign_in(self, filed: dict[str, Any]) -> dict[str, str]:
        tried = {"access_id": filed["access_id"], "pin": filed["pin"]}
        answer = self._ok(self.client.post("/auth/v1/customer-sessions", json=tried))
        if "challenge" in answer:
            self._hide_token("challenge", answer["challenge"])
            said = {"challenge": answer["challenge"], "answer": filed["said"]["question"]["answer"]}
            path = "/auth/v1/customer-sessions/answers"
            answer = self._ok(self.client.post(path, json=said))
        self._hide_token("session token", answer["session_token"])
        return bearer(answer["session_token"])

    def look_up(self) -> None:
        """Care finds customers by each field, plays and downloads with a purpose."""
        person, filed = self.people[0], self.filed[0]
        care = self.care | {"Purpose": "complaint"}
        wanted = {
            "contract_reference": filed["said"]["contract_reference"],
            **{name: person.said[name] for name in ("phone", "email", "customer_number")},
        }
        for name, value in wanted.items():
            found = self._ok(
                self.client.post("/auth/v1/customer-searches", json={name: value}, headers=care)
            )
            assert [each["customer"]["name"] for each in found["customers"]] == [
                person.said["name"]
            ]
        unknown = self.day.hide("a name searched for in vain", f"+4940{digits(9)}")
        self._ok(
            self.client.post("/auth/v1/customer-searches", json={"phone": unknown}, headers=care)
        )
        where = f"/playback/v1/recordings/{filed['recording_id']}"
        assert self.client.get(f"{where}/audio?download=true", headers=care).status_code == 200
        assert self.client.get(f"{where}/peaks", headers=care).status_code == 200

    def use_portal(self) -> None:
        """The same through the pages: forms, cookies, the player, a wrong PIN, signing out."""
        origin = {"Origin": self.day.vault.url}
        with self._browser(origin) as browser:
            filed = self.filed[2]
            form = {"access_id": filed["access_id"], "pin": self.day.hide("typed PIN", digits(10))}
            assert browser.post("/portal/sign-in", data=form).status_code == 401
            page = browser.post("/portal/sign-in", data=form | {"pin": filed["pin"]})
            assert filed["said"]["question"]["prompt"] in page.text
            challenge = page.text.split('name="challenge" value="')[1].split('"')[0]
            self._hide_token("challenge", challenge)
            answer = filed["said"]["question"]["answer"]
            said = {"challenge": challenge, "answer": answer}
            assert browser.post("/portal/answer", data=said).status_code == 303
            session = browser.cookies["__Host-vf_session"]
            self._hide_token("session token", session)
            self._hide_token("device", browser.cookies["__Host-vf_device"])
            here = f"/portal/recordings/{filed['recording_id']}"
            for path in ("/portal/recordings", here, f"{here}/audio", f"{here}/peaks"):
                assert browser.get(path).status_code == 200
            assert browser.post("/portal/sign-out", data={"csrf": csrf_of(session)}).is_redirect
        with self._browser(origin) as browser:
            agent = self.agent
            code = pyotp.TOTP(agent["totp_secret"]).now()
            form = {"username": agent["username"], "password": agent["password"], "totp": code}
            assert browser.post("/portal/care/sign-in", data=form).is_redirect
            token = self._token(browser.cookies["__Host-vf_care"])
            form = {
                "csrf": csrf_of(token),
                "field": "email",
                "value": self.people[1].said["email"],
                "purpose": "quality",
            }
            page = browser.post("/portal/care/search", data=form)
            assert self.people[1].said["name"] in page.text

    def _browser(self, headers: dict[str, str]) -> httpx.Client:
        return self.day.vault.client(
            headers=headers, event_hooks={"response": [self.day.seen]}, follow_redirects=False
        )

    def _status(self, filed: dict[str, Any]) -> dict[str, Any]:
        where = f"/ingest/v1/recordings/{filed['recording_id']}"
        return self._ok(self.client.get(where, headers=bearer(self.token)))

    def _hide_staff(self, staff: dict[str, Any]) -> None:
        self.day.hide("password", staff["password"])
        self.day.hide("TOTP secret", staff["totp_secret"])
        padding = "=" * (-len(staff["totp_secret"]) % 8)
        self.day.hide("TOTP secret", base64.b32decode(staff["totp_secret"] + padding))

    def _hide_token(self, what: str, token: str) -> None:
        self.day.hide(what, token)
        bare = token.removeprefix("vs_")
        self.day.hide(what, base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))

    def _token(self, token: str) -> str:
        return self.day.hide("access token", token)

    @staticmethod
    def _ok(answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, (answer.request.url.path, answer.status_code, answer.text)
        return answer.json() if answer.content else {}
