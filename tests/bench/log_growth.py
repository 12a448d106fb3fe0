"""The log as it grows: proofs from a small and a large one, a whole one recounted, news signed."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from tests.bench.figures import Row, median, quantile
from tests.bench.vault import folder
from tests.services.audit.conftest import DEPLOYMENT, LOG_KEY, Instance, key_of, new_id

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.append import Sequencer
from voicefile.audit.check import check_log
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.events import received
from voicefile.audit.indexing import Indexer
from voicefile.audit.prove import prove_recording, read_head
from voicefile.audit.releases import ReleaseWatch
from voicefile.audit.settings import AuditSettings
from voicefile.contracts.deed.v1 import Action
from voicefile.docstore.sqlite import SqliteDocStore

SMALL: Final = 1_000
LARGE: Final = int(os.environ.get("VOICEFILE_BENCH_DEEDS", "100000"))
"""10000000 takes about twenty minutes, and 7 GB."""
BATCH: Final = 2_000
PROOFS: Final = 200
PROOF_MS_MAX: Final = 5.0
PROOF_HASH_BYTES_MAX: Final = 1_024
VERIFIED_MIN: Final = 10**7 / 120
INDEXED: Final = 24_000
TENANTS: Final = 8
STEADY_S: Final = 20.0
STEADY_RATE: Final = 1_000
"""Deeds a second while the delay until a checkpoint is measured."""
TICK_S: Final = 0.05
LOOK_S: Final = 0.005


@dataclass
class Log:
    """A log of that many deeds, with recordings whose receipts it vouches for all over it."""

    docs: SqliteDocStore
    tenant: str
    recordings: list[str]
    rate: float
    """Deeds a second, until under a checkpoint."""


def measure() -> list[Row]:
    with folder() as scratch:
        return uvloop.run(_measured(scratch))


async def _measured(scratch: Path) -> list[Row]:
    rows = await _delays(scratch / "steady.db")
    rows += await _indexing(scratch)
    small, large = [
        await _grown(scratch / f"{size}.db", size) for size in (SMALL, max(LARGE, SMALL))
    ]
    try:
        took: dict[int, list[float]] = {SMALL: [], LARGE: []}
        sizes: dict[int, list[float]] = {SMALL: [], LARGE: []}
        for turn in range(PROOFS):
            for log, size in ((small, SMALL), (large, LARGE)):
                recording = log.recordings[turn % len(log.recordings)]
                begun_s = time.perf_counter()
                proof = await prove_recording(log.docs, log.tenant, recording)
                took[size].append((time.perf_counter() - begun_s) * 1000)
                sizes[size].append(32 * len(proof.hashes))
        begun_s = time.perf_counter()
        report = await check_log(large.docs, large.tenant, key_of(large.tenant))
        whole_s = time.perf_counter() - begun_s
    finally:
        await small.docs.close()
        await large.docs.close()
    assert report.published == LARGE
    return [
        *rows,
        Row(f"deeds appended and published, up to {LARGE:,}", [large.rate], "/s"),
        Row(
            f"a recording's proof, {LARGE:,} deeds",
            took[LARGE],
            "ms",
            median(took[SMALL]),
            f"{SMALL:,} deeds",
            promise=f"<= {PROOF_MS_MAX:.0f} ms",
            kept=median(took[LARGE]) <= PROOF_MS_MAX,
        ),
        Row(
            "  its hashes",
            sizes[LARGE],
            "bytes",
            median(sizes[SMALL]),
            f"{SMALL:,} deeds",
            promise=f"<= {PROOF_HASH_BYTES_MAX:,}",
            kept=max(sizes[LARGE]) <= PROOF_HASH_BYTES_MAX,
        ),
        Row(
            f"all {LARGE:,} recounted and verified",
            [whole_s],
            "s",
            LARGE / VERIFIED_MIN,
            "10^7 in 120 s",
            promise=f">= {VERIFIED_MIN:,.0f}/s",
            kept=LARGE / whole_s >= VERIFIED_MIN,
        ),
    ]


class _Keeper:
    """Audit's appending half, with whatever hears of news."""

    def __init__(self, docs: SqliteDocStore, *, indexing: bool = False) -> None:
        settings = AuditSettings()
        self.docs = docs
        self.instance = Instance()
        self.publisher = Publisher(docs, settings=settings, deployment=DEPLOYMENT)
        self.publisher.use(LOG_KEY)
        watch = ReleaseWatch(docs, settings=settings)
        self.indexer = Indexer(docs, settings=settings, watch=watch) if indexing else None
        self._sequencer = Sequencer(
            docs, settings=settings, on_appended=self._appended, on_failure=lambda _: None
        )

    def _appended(self, tenant: str) -> None:
        self.publisher.appended(tenant)
        if self.indexer is not None:
            self.indexer.appended(tenant)

    async def append(self, tenant: str, count: int, *, vouching: str = "") -> None:
        events = []
        if vouching:
            # A log begins by naming the key that receipts are signed with.
            opened = Action.ACTION_TENANT_OPENED
            action = opened if vouching == tenant else Action.ACTION_ACCESS_ISSUED
            events.append(
                self.instance.does(
                    tenant, action=action, object_id=vouching, commitment=bytes(range(32))
                )
            )
        events += [self.instance.does(tenant) for _ in range(count - len(events))]
        await self._sequencer.append([deed for each in events if (deed := received(each))])

    async def published(self) -> None:
        while await self.publisher.publish_all():
            pass


async def _grown(path: Path, size: int) -> Log:
    keeper = _Keeper(await SqliteDocStore.open(path, COLLECTIONS))
    tenant, recordings = new_id(), []
    begun_s = time.perf_counter()
    await keeper.append(tenant, 1, vouching=tenant)
    for start in range(1, size, BATCH):
        recordings.append(new_id())
        await keeper.append(tenant, min(BATCH, size - start), vouching=recordings[-1])
        await keeper.published()
    rate = size / (time.perf_counter() - begun_s)
    return Log(keeper.docs, tenant, recordings, rate)


async def _delays(path: Path) -> list[Row]:
    """How long a deed waits for a checkpoint over it, while more come all the time."""
    keeper = _Keeper(await SqliteDocStore.open(path, COLLECTIONS))
    tenants = [new_id() for _ in range(TENANTS)]
    sizes, waiting, delays_s = dict.fromkeys(tenants, 0), [], []
    publishing = asyncio.create_task(keeper.publisher.run())
    each = int(STEADY_RATE * TICK_S)

    async def watch() -> None:
        while waiting or not appending.done():
            now_s = time.perf_counter()
            for tenant in {tenant for tenant, _, _ in waiting}:
                head = await read_head(keeper.docs, tenant) if sizes[tenant] else None
                covered = 0 if head is None else head.size
                done = [one for one in waiting if one[0] == tenant and one[1] <= covered]
                delays_s.extend(now_s - since_s for _, _, since_s in done)
                for one in done:
                    waiting.remove(one)
            await asyncio.sleep(LOOK_S)

    async def append() -> None:
        begun_s, turn = time.perf_counter(), 0
        while time.perf_counter() - begun_s < STEADY_S:
            tenant = tenants[turn % TENANTS]
            await keeper.append(tenant, each)
            sizes[tenant] += each
            waiting.append((tenant, sizes[tenant], time.perf_counter()))
            turn += 1
            await asyncio.sleep(max(0.0, begun_s + turn * TICK_S - time.perf_counter()))

    # Heads that do not exist yet can't be read.
    for tenant in tenants:
        await keeper.append(tenant, each)
        sizes[tenant] += each
    await keeper.published()
    appending = asyncio.create_task(append())
    await watch()
    keeper.publisher.stop()
    await publishing
    await keeper.docs.close()
    p99 = quantile(delays_s, 0.99)
    return [
        Row(f"from durable to signed, {STEADY_RATE:,} deeds/s", delays_s, "s"),
        Row("  its p99", [p99], "s", AuditSettings().checkpoint_every_s, "the interval"),
    ]


async def _indexing(scratch: Path) -> list[Row]:
    """What making deeds findable takes away from appending them."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(6):
        indexing = bool(turn % 2)
        docs = await SqliteDocStore.open(scratch / f"indexed{turn}.db", COLLECTIONS)
        keeper, tenant = _Keeper(docs, indexing=indexing), new_id()
        beside = asyncio.create_task(keeper.indexer.run()) if keeper.indexer else None
        begun_s = time.perf_counter()
        for _ in range(INDEXED // BATCH):
            await keeper.append(tenant, BATCH)
            await keeper.published()
        rates[indexing].append(INDEXED / (time.perf_counter() - begun_s))
        if beside is not None:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
        await docs.close()
    return [
        Row(
            "deeds appended while they are indexed",
            rates[True],
            "/s",
            median(rates[False]),
            "unindexed",
        )
    ]
