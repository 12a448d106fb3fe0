"""The crowd at the doors of a cluster, which can be asked to rest, and a probe that never rests."""

import asyncio
import contextlib
import random
import secrets
import time

import httpx
from tests.cluster import front
from tests.faults import people
from tests.faults.crowd import Crowd, Filed

PROBED_S_MAX = 120.0
PROBE_TIMEOUT_S = 8.0
ASKED_S_MAX = 25.0
PROBES_PAUSE_S = 0.25
UNHURRIED_S = 6.0


class Outside:
    """A cluster as the crowd knows it: a client at an address of its own."""

    def __init__(self, cluster):
        self._cluster = cluster

    def client(self, *, origin="127.0.0.1", timeout_s=ASKED_S_MAX):
        return front.client(self._cluster.doors, address=origin, timeout_s=timeout_s)


class RestingCrowd(Crowd):
    """Everybody goes on, unless asked to rest: then what was asked is still told."""

    def rest(self):
        self._resting = True

    def go_on(self):
        self._resting = False

    async def at_rest(self):
        """Waits until nobody asks for anything any more."""
        while self._busy:
            await asyncio.sleep(0.05)

    unhurried = False
    """Whether everybody takes a breath between two things: a fifth of the work, or less."""
    _resting = False
    _busy = 0

    async def _again_and_again(self, work):
        while not self.over:
            if self._resting:
                await asyncio.sleep(0.05)
                continue
            self._busy += 1
            try:
                await work()
            finally:
                self._busy -= 1
            pause_s = UNHURRIED_S if self.unhurried else 0.0
            await asyncio.sleep(pause_s + self.chance.uniform(0.05, 0.4))

    async def run(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._again_and_again(self._mistype))

    async def _mistype(self):
        """Somebody at the portal mistypes an access ID: it asks auth, and nothing is done."""
        form = {"access_id": f"{self.chance.randrange(10**12):012d}", "pin": "00000000"}
        async with self.vault.client(origin=self._origin()) as client:
            with contextlib.suppress(httpx.HTTPError):
                headers = {"Origin": front.BASE_URL}
                await client.post("/portal/sign-in", data=form, headers=headers)
        await asyncio.sleep(1)

    async def serves(self, *, within_s=PROBED_S_MAX):
        """Files, signs in and hears once, from new connections; how long until that worked.

        Each try is an upload with a key of its own, noted like everybody's.
        """
        began_s, key = time.monotonic(), secrets.token_hex(16)
        while time.monotonic() - began_s < within_s:
            try:
                if await self._job(key):
                    return time.monotonic() - began_s
            except httpx.HTTPError:
                # Whatever it was, it is not served yet.
                pass
            await asyncio.sleep(PROBES_PAUSE_S)
        return float("inf")

    async def _job(self, key):
        origin = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.9"
        async with self.vault.client(origin=origin, timeout_s=PROBE_TIMEOUT_S) as client:
            token = await self.company.partner_token(client)
            answer = await self._upload(client, token, key)
            if answer is None:
                return False
            # Nobody else knows of it yet, so nobody has made another PIN for it.
            mine = Filed(key, answer, answer["pin"])
            heard = await self._hears(client, mine)
            if heard:
                self._note(key, [answer])
            return heard

    async def _hears(self, client, mine):
        op, entered = await self._asked(
            "sign_in",
            lambda: people.sign_in(client, mine.answer["access_id"], mine.pin),
            access_id=mine.answer["access_id"],
            pin=mine.pin,
            expected={401, 429, 503},
        )
        if entered is None:
            return False
        self.history.tell(op, "ok", request=entered.headers[people.REQUEST_ID])
        headers = people.session(entered)
        return await self._listen(client, headers, secrets.token_hex(8), mine)
