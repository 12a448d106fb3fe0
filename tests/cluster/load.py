"""People who file and listen all the time, each as the partner guide says, and count failures."""

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass, field

import httpx
from tests.cluster import front
from tests.cluster.cluster import Cluster
from tests.cluster.standard_client import StandardClient
from tests.faults import people

ASKED_S_MAX = 20.0
PAUSE_S = 0.05


@dataclass
class Load:
    """Everybody of one company. `failed` names what was given up, or answered wrongly."""

    cluster: Cluster
    company: people.Company
    client: StandardClient = field(default_factory=StandardClient)
    filed: dict = field(default_factory=dict)
    """By key: the answer."""
    signed_in: list = field(default_factory=list)
    """Request ids of sign-ins that were answered."""
    heard: int = 0
    wrong: list = field(default_factory=list)
    over: bool = False

    async def run(self, *, workers: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._again_and_again(number))

    @property
    def failed(self) -> list[str]:
        return [*self.client.failed, *self.wrong]

    async def _again_and_again(self, number: int) -> None:
        address = f"127.77.{number}.1"
        async with front.client(
            self.cluster.doors, address=address, timeout_s=ASKED_S_MAX
        ) as client:
            while not self.over:
                await self._once(client)
                await asyncio.sleep(PAUSE_S)

    async def _once(self, client: httpx.AsyncClient) -> None:
        key = secrets.token_hex(16)
        audio, said = people.noise(key, seconds=2), people.told_about(key)
        token = await self._token(client)
        filed = await self.client.ask(
            lambda: people.upload(client, token=token, key=key, audio=audio, said=said)
        )
        if filed is None or not self._right(filed, httpx.codes.CREATED, "filed"):
            return
        answer = self.filed[key] = filed.json()
        entered = await self.client.ask(
            lambda: people.sign_in(client, answer["access_id"], answer["pin"])
        )
        if entered is None or not self._right(entered, httpx.codes.CREATED, "signed in"):
            return
        self.signed_in.append(entered.headers[people.REQUEST_ID])
        session = people.session(entered)
        heard = await self.client.ask(lambda: people.heard(client, session, answer["recording_id"]))
        if heard is None or not self._right(heard, httpx.codes.OK, "heard"):
            return
        if hashlib.sha256(heard.content).digest() != hashlib.sha256(audio).digest():
            self.wrong.append("heard something else")
        self.heard += 1

    async def _token(self, client: httpx.AsyncClient) -> str:
        basic = httpx.BasicAuth(self.company.partner, self.company.secret)
        granted = await self.client.ask(
            lambda: client.post(
                "/auth/v1/token", data={"grant_type": "client_credentials"}, auth=basic
            )
        )
        assert granted is not None
        return granted.raise_for_status().json()["access_token"]

    def _right(self, answer: httpx.Response, status: int, what: str) -> bool:
        if answer.status_code != status:
            self.wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code == status

    async def lasted(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.1)
