"""The transparency log: deeds appended and published, proofs made, a whole log recounted."""

import time
from pathlib import Path

import uvloop
from tests.bench.figures import Row, median
from tests.bench.vault import folder
from tests.services.audit.conftest import DEPLOYMENT, LOG_KEY, Instance, key_of, new_id

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.append import Sequencer
from voicefile.audit.check import check_log
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.events import received
from voicefile.audit.prove import prove_recording
from voicefile.audit.settings import AuditSettings
from voicefile.contracts.deed.v1 import Action
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.translog.proof_text import TlogProof

DEEDS = 24_000
BATCH = 2_000
TENANTS = 8
PROOFS = 60
RATE_MIN = 5_000
PROOF_BYTES_MAX = 1_024
PROOF_MS_MAX = 5.0
VERIFIED_MIN = 10**7 / 120
LEVELS_AT_10_7 = 24
HASH_LINE_BYTES = 45


def measure() -> list[Row]:
    with folder() as scratch:
        return uvloop.run(_measured(scratch))


async def _measured(scratch: Path) -> list[Row]:
    docs = await SqliteDocStore.open(scratch / "audit.db", COLLECTIONS)
    try:
        house = _House(docs)
        one = [await house.appended([new_id()], DEEDS) for _ in range(2)]
        many = [await house.appended([new_id() for _ in range(TENANTS)], DEEDS)]
        tenant = new_id()
        recordings = await house.vouched(tenant)
        await house.appended([tenant], DEEDS)
        proving, sizes, levels = await _proofs(docs, tenant, recordings)
        begun_s = time.perf_counter()
        report = await check_log(docs, tenant, key_of(tenant))
        checked = report.sequenced / (time.perf_counter() - begun_s)
    finally:
        await docs.close()
    appended = [rate for rate, _ in one]
    return [
        Row(
            "deeds appended, one log, durable",
            appended,
            "/s",
            promise=f">= {RATE_MIN:,}/s",
            kept=max(appended) >= RATE_MIN,
        ),
        Row("  and published (tiles, checkpoints)", [rate for _, rate in one], "/s"),
        Row(
            f"deeds appended, {TENANTS} logs",
            [rate for rate, _ in many],
            "/s",
            median(appended),
            "one log",
        ),
        Row(
            "a recording's proof",
            proving,
            "ms",
            promise=f"<= {PROOF_MS_MAX:.0f} ms",
            kept=median(proving) <= PROOF_MS_MAX,
        ),
        Row(
            "  hashes and checkpoint as text",
            sizes,
            "bytes",
            promise=f"<= {PROOF_BYTES_MAX:,}",
            kept=max(sizes) <= PROOF_BYTES_MAX,
        ),
        Row(
            "  the same in a log of 10^7, by arithmetic",
            [median(sizes) + (LEVELS_AT_10_7 - levels) * HASH_LINE_BYTES],
            "bytes",
            of="hashes alone 768 bytes",
            promise=f"<= {PROOF_BYTES_MAX:,}",
            kept=median(sizes) + (LEVELS_AT_10_7 - levels) * HASH_LINE_BYTES <= PROOF_BYTES_MAX,
        ),
        Row(
            "entries recounted and verified",
            [checked],
            "/s",
            VERIFIED_MIN,
            "10^7 in 120 s",
            promise=f">= {VERIFIED_MIN:,.0f}/s",
            kept=checked >= VERIFIED_MIN,
        ),
    ]


class _House:
    """Audit's two halves over one store."""

    def __init__(self, docs: SqliteDocStore) -> None:
        settings = AuditSettings()
        self._docs = docs
        self._instance = Instance()
        self._publisher = Publisher(docs, settings=settings, deployment=DEPLOYMENT)
        self._publisher.use(LOG_KEY)
        self._sequencer = Sequencer(
            docs,
            settings=settings,
            on_appended=self._publisher.appended,
            on_failure=lambda _: None,
        )

    async def appended(self, tenants: list[str], count: int) -> tuple[float, float]:
        """Deeds per second until durable, and until all are under a checkpoint."""
        events = [self._instance.does(tenants[n % len(tenants)]) for n in range(count)]
        begun_s = time.perf_counter()
        for start in range(0, count, BATCH):
            parsed = [received(event) for event in events[start : start + BATCH]]
            await self._sequencer.append([deed for deed in parsed if deed is not None])
        durable_s = time.perf_counter() - begun_s
        while await self._publisher.publish_all():
            pass
        return count / durable_s, count / (time.perf_counter() - begun_s)

    async def vouched(self, tenant: str) -> list[str]:
        """Deeds that vouch for receipts and for their key."""
        recordings = [new_id() for _ in range(PROOFS)]
        # As every tenant's log does, it begins by naming the key that receipts are signed with.
        vouching = [(Action.ACTION_TENANT_OPENED, tenant)]
        vouching += [(Action.ACTION_ACCESS_ISSUED, recording) for recording in recordings]
        events = [
            self._instance.does(
                tenant, action=action, object_id=object_id, commitment=bytes(range(32))
            )
            for action, object_id in vouching
        ]
        await self._sequencer.append([d for e in events if (d := received(e)) is not None])
        return recordings


async def _proofs(
    docs: SqliteDocStore, tenant: str, recordings: list[str]
) -> tuple[list[float], list[float], int]:
    took_ms, sizes, levels = [], [], 0
    for recording in recordings:
        begun_s = time.perf_counter()
        proof = await prove_recording(docs, tenant, recording)
        took_ms.append((time.perf_counter() - begun_s) * 1000)
        levels = max(levels, len(proof.hashes))
        sizes.append(len(str(TlogProof(proof.entry.index, proof.hashes, proof.checkpoint))))
    return took_ms, sizes, levels
