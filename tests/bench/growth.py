"""Latency as the vault grows: the same requests to a small and a large one, in turns."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from tests.bench.figures import Row, median
from tests.bench.load import load
from tests.bench.vault import folder
from tests.corpus.make_long import make_long
from tests.stand import Company, Stand, stand

SMALL = 1_000
LARGE = int(os.environ.get("VOICEFILE_BENCH_RECORDINGS", "100000"))
"""1000000 takes half an hour more, and 10 GB."""
ROUNDS = 60
WARM_UP = 4
PROMISED = 1.2


@dataclass
class Subject:
    """A vault with people in it, and what one round needs of it."""

    stand: Stand
    company: Company
    audio: bytes
    token: str
    care: dict[str, str]
    filed: dict[str, str]
    customer: dict[str, str]

    async def renew(self) -> None:
        """Tokens: loading takes longer than they last."""
        self.token = await self.company.partner_token()
        self.care = {
            "Authorization": f"Bearer {await self.company.staff_token('care')}",
            "Purpose": "complaint",
        }

    async def upload(self) -> None:
        answer = await self.company.upload(
            self.audio, contract_reference=f"R-{time.monotonic_ns()}", token=self.token
        )
        self.filed = answer.raise_for_status().json()

    async def sign_in(self) -> None:
        self.customer = await self.company.session(self.filed["access_id"], self.filed["pin"])

    async def list(self) -> None:
        answer = await self.stand.client.get("/playback/v1/recordings", headers=self.customer)
        assert len(answer.raise_for_status().json()["recordings"]) == 1

    async def search(self) -> None:
        answer = await self.stand.client.post(
            "/auth/v1/customer-searches", headers=self.care, json={"phone": "+49 30 7654321"}
        )
        answer.raise_for_status()

    async def release(self) -> None:
        """Up to the first bytes of the recording."""
        path = f"/playback/v1/recordings/{self.filed['recording_id']}/audio"
        answer = await self.stand.client.get(
            path, headers=self.customer | {"Range": "bytes=0-1023"}
        )
        assert answer.raise_for_status().status_code == 206


STEPS: dict[str, Callable[[Subject], Awaitable[None]]] = {
    "upload of 1 s, issued": Subject.upload,
    "sign-in with ID and PIN": Subject.sign_in,
    "list of recordings": Subject.list,
    "release and first bytes": Subject.release,
    "care's search": Subject.search,
}


def measure() -> list[Row]:
    with folder() as scratch:
        return uvloop.run(_measured(scratch))


async def _measured(scratch: Path) -> list[Row]:
    async with AsyncExitStack() as running:
        vaults, speeds = {}, []
        for count in (SMALL, LARGE):
            place = scratch / str(count)
            place.mkdir()
            vaults[count] = await subject_of(
                await running.enter_async_context(stand(place, companies=1))
            )
            speeds.append(await load(vaults[count].stand, vaults[count].company, count))
        # What loading left to do (logs to move, pages to write) is not what is measured.
        await asyncio.sleep(2)
        await asyncio.to_thread(os.sync)
        for subject in vaults.values():
            await subject.renew()
        took = {(step, count): [] for step in STEPS for count in vaults}
        for turn in range(ROUNDS + WARM_UP):
            # Each is first as often as the other: the second finds warmer caches.
            pair = list(vaults.items())[:: 1 if turn % 2 else -1]
            for step, act in STEPS.items():
                for count, subject in pair:
                    begun_s = time.perf_counter()
                    await act(subject)
                    if turn >= WARM_UP:
                        took[step, count].append((time.perf_counter() - begun_s) * 1000)
    rows = [Row("loader", [speeds[-1]], "rec/s")]
    for step in STEPS:
        small, large = median(took[step, SMALL]), took[step, LARGE]
        rows.append(
            Row(
                f"{step}, {LARGE:,} stored",
                large,
                "ms",
                small,
                f"{SMALL:,} stored",
                promise=f"<= {PROMISED}",
                kept=median(large) / small <= PROMISED,
            )
        )
    return rows


async def subject_of(made: Stand) -> Subject:
    company = made.companies[0]
    subject = Subject(made, company, make_long("alaw", 1), "", {}, {}, {})
    await subject.renew()
    customer = {"name": "Gesuchte Kundin", "phone": "+49 30 7654321"}
    await company.upload(subject.audio, customer=customer)
    return subject
