"""What people get wrong in a day, with something in it that must not come back."""

import json
import secrets
import socket
import uuid
from typing import Any
from urllib.parse import urlsplit

from tests.corpus.bad import bad_audio_cases
from tests.corpus.spoken_files import spoken
from tests.journeys.noise import noise, wav_of
from tests.journeys.vault_process import VaultProcess
from tests.journeys.working_day import UPLOAD_BYTES_MAX, Day, Person, Work, bearer, digits
from tests.stand import metadata

SESSIONS = "/auth/v1/customer-sessions"


class Mistakes:
    """Made by the people at work."""

    def __init__(self, work: Work) -> None:
        self.day = work.day
        self.client = work.client
        self.work = work

    def get_it_wrong(self) -> None:
        """What does not fit: in wrong fields, under unknown keys, in headers and addresses."""
        odd = self.day.hide("something in the wrong place", f"Zilpzalp {secrets.token_hex(8)}")
        number = self.day.hide("a number in the wrong place", digits(16))
        self._wrong_bodies(odd, number)
        self._wrong_addresses(odd, number)
        self._wrong_headers(odd, number)
        self._wrong_logins(odd, number)

    def _wrong_bodies(self, odd: str, number: str) -> None:
        day, client = self.day, self.client
        wrong_pin = day.hide("wrong PIN", digits(10))
        wrong = {"access_id": self.work.filed[3]["access_id"], "pin": wrong_pin}
        assert client.post(SESSIONS, json=wrong).status_code == 401
        for body in (
            {"access_id": number, "pin": number},
            {"access_id": odd, "pin": odd, odd: number},
            {"access_id": {odd: number}, "pin": [odd]},
            [odd],
            {"challenge": odd, "answer": number},
        ):
            assert client.post(SESSIONS, json=body).is_client_error
            assert client.post(f"{SESSIONS}/answers", json=body).is_client_error
        assert client.post(SESSIONS, content=f'{{"pin": "{odd}", '.encode()).is_client_error
        assert client.post(SESSIONS, json={"pin": odd * 4_000}).status_code == 413
        for search in ({"email": odd}, {odd: odd, "email": {odd: odd}}):
            for care in (self.work.care, self.work.care | {"Purpose": "dispute"}):
                client.post("/auth/v1/customer-searches", json=search, headers=care)

    def _wrong_addresses(self, odd: str, number: str) -> None:
        client, partner = self.client, bearer(self.work.token)
        for path in (f"/{odd}", f"/auth/{odd}", f"/ingest/v1/recordings/{odd}?pin={number}"):
            assert client.get(path, headers=partner).status_code in (401, 404)
        assert client.get(f"/ingest/v1/changes?after={odd}&{odd}={odd}", headers=partner).is_error
        assert client.get(f"/playback/v1/recordings/{number}/audio").is_error
        assert client.get(f"/portal/recordings/{number}").is_redirect
        assert client.request(f"ODD{number}", "/portal/").is_error
        assert client.get(f"/?{odd}={number}").is_redirect

    def _wrong_headers(self, odd: str, number: str) -> None:
        strange = {
            "User-Agent": odd,
            "Referer": f"https://{number}.example.org/{odd}",
            "X-Forwarded-For": odd,
            "Voicefile-Client-Address": odd,
            "Voicefile-Device": odd,
            "Voicefile-Request-Id": odd,
            "Traceparent": f"00-{number}{number}-{number}-01",
            "Tracestate": f"vf={number}",
            "Baggage": f"name={odd}",
            "Accept-Language": odd,
            "Cookie": f"__Host-vf_session={number}; __Host-vf_language={odd}",
            "Authorization": f"Bearer {odd}",
            "Purpose": odd,
            "Range": f"bytes={number}-",
            "Content-Type": f"application/{odd}",
        }
        for path in ("/portal/", "/portal/recordings", "/playback/v1/recordings", SESSIONS):
            self.client.get(path, headers=strange)
            self.client.post(path, headers=strange, content=odd.encode())

    def _wrong_logins(self, odd: str, number: str) -> None:
        client = self.client
        login = {"username": odd, "password": odd, "totp": number}
        assert client.post("/auth/v1/staff-sessions", json=login).status_code == 401
        form = {"grant_type": odd, "client_assertion": number}
        assert client.post("/auth/v1/token", data=form).status_code == 400
        form = {"grant_type": "client_credentials"}
        assert client.post("/auth/v1/token", data=form, auth=(number, odd)).status_code == 401

    def refused(self) -> None:
        """Uploads that are not taken: bad sound, bad metadata, too much, cut off, not theirs."""
        day = self.day
        odd = day.hide("something in a refused upload", f"Zaunkönig {secrets.token_hex(8)}")
        audio, person = wav_of(noise(2.0, seed=2)), Person()
        for value in person.values():
            day.hide("about a customer refused", value)
        day.uploads.append(audio)
        said = metadata(customer=person.said)
        for case in bad_audio_cases()[::16]:
            assert self.work.post(said, case.body, str(uuid.uuid4())).status_code in (413, 415, 422)
        for changes in (
            {"consent": None},
            {"customer": person.said | {"phone": odd}},
            {"customer": person.said | {odd: odd}},
            {odd: odd},
            {"recorded_at": odd},
            {"retention_class": day.hide("a class", f"fink-{secrets.token_hex(8)}")},
            {"scope": {"department": odd}},
            {"join_access_id": digits(12)},
            {"sensitive": True},
            {"sensitive": odd},
        ):
            answer = self.work.post(
                metadata(customer=person.said) | changes, audio, str(uuid.uuid4())
            )
            assert 400 <= answer.status_code < 500
        self._wrong_keys(said, audio)
        large = wav_of(noise(UPLOAD_BYTES_MAX / 16_000 + 4, seed=3))
        day.uploads.append(large)
        assert self.work.post(said, large, str(uuid.uuid4())).status_code == 413
        self._malformed(odd)
        self._abort(said, audio)

    def _wrong_keys(self, said: dict[str, Any], audio: bytes) -> None:
        day = self.day
        key = day.hide("a guessable key", f"Bestellung-{secrets.token_hex(3)}")
        assert self.work.post(said, audio, key).status_code == 400
        reused = day.hide("a key used twice", str(uuid.uuid4()))
        assert self.work.post(said, spoken("pcm8-8k.wav"), reused).status_code == 201
        assert self.work.post(said, audio, reused).status_code == 409

    def _malformed(self, odd: str) -> None:
        parts = [
            ("metadata", (None, f'{{"customer": {{"name": "{odd}"', "application/json")),
            ("audio", (odd, odd.encode(), "audio/wav")),
        ]
        headers = bearer(self.work.token) | {"Idempotency-Key": str(uuid.uuid4())}
        path = "/ingest/v1/recordings"
        assert self.client.post(path, headers=headers, files=parts).status_code == 422
        assert self.client.post(path, headers=headers, files=parts[::-1]).status_code == 400
        assert self.client.post(path, headers=headers, json={odd: odd}).status_code == 415

    def _abort(self, said: dict[str, Any], audio: bytes) -> None:
        """Half an upload, then the connection is gone."""
        address = urlsplit(self.day.vault.url)
        head = (
            f'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{json.dumps(said)}\r\n'
            f'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\n'
        ).encode()
        body = head + audio
        request = (
            f"POST /ingest/v1/recordings HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {self.work.token}\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(body) + 5}\r\n\r\n"
        ).encode()
        context = self.day.vault.context()
        assert address.hostname
        assert address.port
        with (
            socket.create_connection((address.hostname, address.port)) as plain,
            context.wrap_socket(plain, server_hostname=address.hostname) as connection,
        ):
            connection.sendall(request + body)


def a_working_day(vault: VaultProcess) -> Day:
    """Does all of it; answers what must not be found."""
    day = Day(vault)
    with vault.client(event_hooks={"response": [day.seen]}) as client:
        work = Work(day, client)
        work.open_office()
        work.store()
        work.listen()
        work.look_up()
        work.use_portal()
        mistakes = Mistakes(work)
        mistakes.get_it_wrong()
        mistakes.refused()
    return day
