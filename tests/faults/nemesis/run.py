"""A run of the nemesis: one fault after the other, while everybody works; what each one cost."""

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field

from tests.faults import people
from tests.faults.crowd import sound_of
from tests.faults.history import History, read
from tests.faults.nemesis.crowd_apart import Outside, RestingCrowd
from tests.faults.nemesis.faults import FAULTS
from tests.faults.nemesis.schedule import Step

RECOVERED_S_MAX = 30.0
CAUGHT_UP_S_MAX = 60.0
GIVEN_UP_S = 180.0
LONG_OUTAGE_S = 60.0
"""Who waits longer for a broker is in no hurry: see `_strike`."""
BUS = ("kafka", "everything")
"""After a fault of these is also measured how long the log takes to catch up."""


@dataclass
class Struck:
    """One step, carried out."""

    step: Step
    recovered_s: float
    """From the moment it was healed until a customer heard what a partner had just stored."""
    caught_up_s: float | None = None
    """From then until every deed so far stood in the log."""

    def __str__(self) -> str:
        caught_up = "" if self.caught_up_s is None else f", log complete {self.caught_up_s:.1f} s"
        return f"{self.step}: served after {self.recovered_s:.1f} s{caught_up}"

    @property
    def late(self) -> str:
        """What took longer than promised; empty if nothing did."""
        if self.recovered_s > RECOVERED_S_MAX:
            return f"{self}: more than {RECOVERED_S_MAX:.0f} s"
        if (self.caught_up_s or 0.0) > CAUGHT_UP_S_MAX:
            return f"{self}: more than {CAUGHT_UP_S_MAX:.0f} s"
        return ""


@dataclass
class Run:
    """Everybody, everything, and what was done to it."""

    cluster: object
    inside: object
    crowd: RestingCrowd
    outside: Outside
    guessed: tuple
    """Key, answer and credential of the recording whose PIN strangers guess."""
    path: object
    struck: list = field(default_factory=list)
    longest_pause_s: float = 0.0
    lasted_s: float = 0.0

    @property
    def ops(self):
        return read(self.path)

    async def suffer(self, steps):
        """The steps, one after the other, while the crowd works."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.crowd.run())
            try:
                for step in steps:
                    await asyncio.sleep(step.quiet_s)
                    self.struck.append(await self._strike(step))
                    print(self.struck[-1], flush=True)
            finally:
                self.crowd.over = True
        self.lasted_s = time.monotonic() - began_s

    async def _strike(self, step):
        fault = FAULTS[step.fault](self.cluster, step.target)
        # Behind a broker that is away for long waits all that everybody did meanwhile. A store that
        # they keep busy as it is could never do as much again in a minute, besides what is new.
        self.crowd.unhurried = step.held_s > LONG_OUTAGE_S
        began_s = time.monotonic()
        # In a thread: processes are killed and awaited there, and nobody here waits for that.
        await asyncio.to_thread(fault.__enter__)
        await asyncio.sleep(step.held_s)
        await asyncio.to_thread(fault.__exit__, None, None, None)
        self.longest_pause_s = max(self.longest_pause_s, time.monotonic() - began_s)
        struck = Struck(step, await self.crowd.serves(within_s=GIVEN_UP_S))
        if any(each in step.target for each in BUS):
            struck.caught_up_s = await self._caught_up()
        self.crowd.unhurried = False
        return struck

    async def _caught_up(self):
        self.crowd.rest()
        await self.crowd.at_rest()
        began_s = time.monotonic()
        try:
            await self.inside.truth.settled(within_s=GIVEN_UP_S)
        except TimeoutError:
            return float("inf")
        finally:
            self.crowd.go_on()
        return time.monotonic() - began_s


async def prepared(cluster, inside, folder, seed):
    """A company, and a recording whose PIN strangers will guess at."""
    outside, chance = Outside(cluster), random.Random(seed)
    company = await people.opened(inside.ports, f"nemesis-{secrets.token_hex(4)}")
    await inside.truth.heard("ingest", of="auth")
    key = secrets.token_hex(16)
    async with outside.client() as client:
        token = await company.partner_token(client)
        answer = await people.upload(
            client, token=token, key=key, audio=sound_of(key), said=people.told_about(key)
        )
        assert answer.status_code == 201, answer.text
        recording = answer.json()["recording_id"]
        status = await people.status_of(client, token=token, recording=recording)
    path = folder / "history"
    crowd = RestingCrowd(outside, History(path), company, chance, answer.json())
    guessed = (key, answer.json(), status.raise_for_status().json()["credential_id"])
    return Run(cluster, inside, crowd, outside, guessed, path)
