"""Services apart over real engines beside the embedded vault: the same asked of both, in turns.

All of it on this machine: a dozen processes and their engines share the cores that one process
has for itself. So the ratios tell what running apart costs, not how far it scales.
"""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvloop
from tests.bench.figures import Row, median, quantile
from tests.bench.growth import STEPS, Subject, subject_of
from tests.bench.load import AT_ONCE_APART, load
from tests.bench.uploader import BOUNDARY, body_of
from tests.bench.vault import folder, vault_process
from tests.cluster.cluster import Cluster
from tests.cluster.furniture import Engines
from tests.cluster.stand_apart import stand_over
from tests.corpus.make_long import make_long
from tests.stand import Stand, stand

from voicefile.auth.events import TOPIC, wrap
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.deeds.series import DeedSeries
from voicefile.identity.ids import new_id

SECONDS = 60
UPLOADS, PARTNERS = 48, 8
STARTS, CUSTOMERS = 64, 8
EVENTS, WRITERS = 2_000, 100
RUNS = 2
SMALL = 1_000
LARGE = int(os.environ.get("VOICEFILE_BENCH_APART", "100000"))
"""Recordings stored on the engines while latency is measured, a tenth of as many its own company's;
0 leaves that part out."""
ROUNDS = 100
GROWTH_MAX = 1.2
SETTLES_S, SETTLES_S_MAX, ROUNDS_TO_SETTLE = 20, 600, 3
"""Until services that stood still have their leases and connections again, and then until they
answer all that is asked, so often in a row."""
CODE_S = 31
"""Until staff's next one-time code: whoever was let in and then turned away has used up theirs."""
SEQUENCED_S_MAX = 120.0


@dataclass
class Form:
    """A vault as its users reach it: HTTPS at the public doors."""

    client: httpx.AsyncClient
    token: str


def measure() -> Iterator[Row]:
    with folder() as scratch, _running(scratch / "cluster") as cluster:
        yield from uvloop.run(_beside(cluster, scratch))
        yield from uvloop.run(_events(cluster, scratch))
        if LARGE:
            yield from uvloop.run(_growth(cluster, LARGE, own=False))
            yield from uvloop.run(_growth(cluster, LARGE // 10, own=True))


async def _beside(cluster: Cluster, scratch: Path) -> list[Row]:
    async with AsyncExitStack() as forms:
        apart = await forms.enter_async_context(_apart(cluster))
        one = await forms.enter_async_context(_embedded(scratch / "var"))
        return await _uploads(apart, one) + await _starts(apart, one)


@contextmanager
def _running(place: Path):
    # Without backup, as the embedded vault beside it: a dump reads all there is meanwhile.
    cluster = Cluster(place, backed_up=False, engines=_roomy)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _roomy(folder: Path, certificates: Path) -> Engines:
    """Private ones, whose document store holds what the loader writes."""
    engines = Engines.private(folder, certificates)
    engines.mongo.cache = "8G"
    return engines


@asynccontextmanager
async def _apart(cluster: Cluster) -> AsyncIterator[Form]:
    async with stand_over(cluster) as made:
        await made.furnished(companies=1)
        async with cluster.client() as client:
            yield Form(client, await made.companies[0].partner_token())


@asynccontextmanager
async def _embedded(data: Path) -> AsyncIterator[Form]:
    with vault_process(data) as vault:
        context = ssl.create_default_context(cafile=str(vault.authority))
        async with httpx.AsyncClient(
            base_url=f"https://localhost:{vault.port}", verify=context, trust_env=False, timeout=60
        ) as client:
            yield Form(client, vault.tenants[0]["partner_token"])


async def _uploads(apart: Form, one: Form) -> list[Row]:
    audio = make_long("alaw", SECONDS)
    for form in (apart, one):
        await _filed(form, audio, PARTNERS)
    rates, took_ms, beside = [], [], []
    for _ in range(RUNS):
        whole_s, _ = await _timed(lambda: _filed(one, audio, UPLOADS))
        beside.append(UPLOADS / whole_s)
        whole_s, lasted = await _timed(lambda: _filed(apart, audio, UPLOADS))
        rates.append(UPLOADS / whole_s)
        took_ms += [each * 1000 for each in lasted]
    return [
        Row(f"recordings of 1 min, {PARTNERS} at once", rates, "rec/s", median(beside), "embedded"),
        Row("  an upload lasts", took_ms, "ms"),
    ]


async def _timed(work: Callable[[], Awaitable[list[float]]]) -> tuple[float, list[float]]:
    begun_s = time.perf_counter()
    lasted = await work()
    return time.perf_counter() - begun_s, lasted


async def _filed(form: Form, audio: bytes, count: int) -> list[float]:
    async def one() -> None:
        (await _upload(form, audio)).raise_for_status()

    return await _shared(one, count, PARTNERS)


async def _upload(form: Form, audio: bytes) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {form.token}",
        "Idempotency-Key": new_id(),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    body = body_of(audio, "audio/wav")
    return await form.client.post("/ingest/v1/recordings", headers=headers, content=body)


async def _shared(work: Callable[[], Awaitable[None]], count: int, hands: int) -> list[float]:
    """Each of `hands` does the next one as soon as it is free; how long each took."""
    left, took = count, []

    async def hand() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            begun_s = time.perf_counter()
            await work()
            took.append(time.perf_counter() - begun_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(hands):
            group.create_task(hand())
    return took


async def _starts(apart: Form, one: Form) -> list[Row]:
    found = {}
    for name, form in (("apart", apart), ("embedded", one)):
        audio = make_long("alaw", 2)
        filed = [(await _upload(form, audio)).raise_for_status().json() for _ in range(STARTS)]
        waiting = iter(filed)
        begun_s = time.perf_counter()
        took = await _shared(lambda f=form, w=waiting: _start(f, next(w)), STARTS, CUSTOMERS)
        found[name] = (STARTS / (time.perf_counter() - begun_s), [each * 1000 for each in took])
    (rate, took), (rate_one, took_one) = found["apart"], found["embedded"]
    beside = "embedded"
    return [
        Row(f"playback starts, {CUSTOMERS} at once", [rate], "/s", rate_one, beside),
        Row("  PIN to first bytes, p50", [median(took)], "ms", median(took_one), beside),
        Row("  p99", [quantile(took, 0.99)], "ms", quantile(took_one, 0.99), beside),
    ]


async def _start(form: Form, filed: dict[str, str]) -> None:
    who = {"access_id": filed["access_id"], "pin": filed["pin"]}
    entered = (await form.client.post("/auth/v1/customer-sessions", json=who)).raise_for_status()
    headers = {
        "Authorization": f"Bearer {entered.json()['session_token']}",
        "Range": "bytes=0-1023",
    }
    path = f"/playback/v1/recordings/{filed['recording_id']}/audio"
    answer = await form.client.get(path, headers=headers)
    assert answer.status_code == 206, answer.status_code


async def _events(cluster: Cluster, scratch: Path) -> list[Row]:
    """From a deed's durable write to its durable place in the log, through relay and bus."""
    async with stand_over(cluster) as made:
        await made.furnished(companies=1)
        rates = [await _sequenced(made) for _ in range(RUNS)]
    place = scratch / "one"
    place.mkdir()
    async with stand(place, companies=1) as made:
        beside = [await _sequenced(made) for _ in range(RUNS)]
    what = f"events, written by {WRITERS} and heard by audit"
    return [Row(what, rates, "/s", median(beside), "embedded")]


async def _sequenced(made: Stand) -> float:
    series = DeedSeries(made.ports.store, topic=TOPIC, wrap=wrap)
    deed = Deed(
        actor=Actor.service(), action=Action.ACTION_RECORDINGS_LISTED, tenant=made.companies[0].id
    )
    begun_s = time.perf_counter()
    await _shared(lambda: series.record(deed), EVENTS, WRITERS)
    async with made.vault.client(peer="auth") as client, asyncio.timeout(SEQUENCED_S_MAX):
        while True:
            answer = await client.get("/audit/internal/v1/appendable")
            if answer.is_success and answer.json()["sequenced"].get(series.boot_id) == EVENTS:
                return EVENTS / (time.perf_counter() - begun_s)
            await asyncio.sleep(0.05)


async def _growth(cluster: Cluster, count: int, *, own: bool) -> list[Row]:
    """The same requests of one company before and after so many recordings more are stored.

    They are another company's, or its own. Where the stand-in for MongoDB serves, its own say
    little about the vault: it reads all that an index finds before it takes the first of them.
    """
    async with stand_over(cluster) as made:
        await made.furnished(companies=2)
        subject = await subject_of(made)
        await load(made, subject.company, SMALL, at_once=AT_ONCE_APART)
        before, _ = await _rounds(subject)
        filled = made.companies[0 if own else 1]
        speed = await load(made, filled, count, at_once=AT_ONCE_APART, meanwhile=_standing(cluster))
        await _settled(subject)
        after, again = await _rounds(subject)
    whose = "its own" if own else "another company's"
    rows = [
        Row(f"loader, {count:,} recordings of {whose}", [speed], "rec/s"),
        Row("  then told to come again", [float(again)], f"of {len(STEPS) * (ROUNDS + 4)}"),
    ]
    for step, took in after.items():
        few = median(before[step])
        rows.append(
            Row(
                f"  {step}, they are stored",
                took,
                "ms",
                few,
                "before",
                promise=f"<= {GROWTH_MAX}",
                kept=median(took) / few <= GROWTH_MAX,
            )
        )
    return rows


@contextmanager
def _standing(cluster: Cluster):
    """Its services are paused: the stand-in store goes through all it has for some questions."""
    for replica in cluster.everybody:
        replica.pause()
    try:
        yield
    finally:
        for replica in cluster.everybody:
            replica.resume()
        # One stopped in a write can't know what became of it: it ends, and is started anew.
        cluster.await_ready()


async def _settled(subject: Subject) -> None:
    """Until everything that is asked is answered again, several times in a row."""
    await asyncio.sleep(SETTLES_S)
    async with asyncio.timeout(SETTLES_S_MAX):
        while not await _served(_all_of_it(subject)):
            await asyncio.sleep(CODE_S)


async def _all_of_it(subject: Subject) -> None:
    await subject.renew()
    for act in [*STEPS.values()] * ROUNDS_TO_SETTLE:
        await act(subject)


async def _served(asked: Awaitable[None]) -> bool:
    """False: it was told to come again."""
    try:
        await asked
    except httpx.HTTPStatusError as refused:
        if refused.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise
        return False
    return True


async def _rounds(subject: Subject) -> tuple[dict[str, list[float]], int]:
    """How long each step took in ms, and how many were told to come again, and did."""
    took: dict[str, list[float]] = {step: [] for step in STEPS}
    again = 0
    for turn in range(ROUNDS + 4):
        for step, act in STEPS.items():
            begun_s = time.perf_counter()
            while not await _served(act(subject)):
                again += 1
                await asyncio.sleep(1)
            if turn >= 4:
                took[step].append((time.perf_counter() - begun_s) * 1000)
    return took, again
