"""Rotation: slips and subject keys re-wrapped under a new epoch key, in the documents of auth."""

import resource
import time
from pathlib import Path

import uvloop
from tests.bench.figures import Row, median
from tests.bench.load import AT_ONCE, add_copies
from tests.bench.vault import folder
from tests.services.auth.issuing_world import Upload, World, an_auth

from voicefile.auth.keys.rotate import rotate
from voicefile.auth.store import ACCESS
from voicefile.chassis.collector import settle_collector
from voicefile.crypto.envelope import object_id
from voicefile.crypto.keyring import rewrap_slip
from voicefile.crypto.secret import DataKey
from voicefile.identity.ids import new_id

DOCUMENTS = 8_000
RUNS = 3
PROMISED = 5_000
WRAPPED_PER_DOCUMENT = 2
"""A customer with one recording: a slip and a subject key."""


def measure() -> list[Row]:
    with folder() as scratch:
        return uvloop.run(_measured(scratch))


async def _measured(scratch: Path) -> list[Row]:
    async with an_auth(scratch) as world:
        tenant = await world.tenant()
        upload = Upload(await world.partner(tenant))
        assert (await world.issue(upload.partner, upload)).status_code == 201
        for _ in range(0, DOCUMENTS, AT_ONCE):
            await add_copies(world.ports, tenant, upload.recording, AT_ONCE)
        settle_collector()  # as a service does that has started
        runs = [await _rotated(world) for _ in range(RUNS)]
        bare = [await _crypto(world, tenant) for _ in range(RUNS)]
    documents = [rate for rate, _ in runs]
    wrapped = [WRAPPED_PER_DOCUMENT * rate for rate in documents]
    return [
        Row(
            "slips and subject keys re-wrapped",
            wrapped,
            "/s",
            median(bare),
            "crypto alone, on one core",
            promise=f">= {PROMISED}/s",
            kept=median(wrapped) >= PROMISED,
        ),
        Row("  access documents rewritten", documents, "/s"),
        Row("  CPU of one document", [cpu * 1000 for _, cpu in runs], "ms"),
        Row("  crypto alone", bare, "/s"),
        Row("blob bytes rewritten", [0], "bytes", of="rotation has no blob store"),
    ]


async def _rotated(world: World) -> tuple[float, float]:
    """Documents per second of one whole turn, and CPU seconds of each."""
    world.clock.s += world.settings.epoch_max_s
    before, begun_s = _cpu_s(), time.perf_counter()
    done = await rotate(world.ports)
    took_s, cpu_s = time.perf_counter() - begun_s, _cpu_s() - before
    assert done.documents_rewrapped > DOCUMENTS
    world.clock.s += world.settings.epoch_grace_s + 1
    await rotate(world.ports)
    assert not (await world.ports.store.find(ACCESS, "epoch", "none", limit=1))
    return done.documents_rewrapped / took_s, cpu_s / done.documents_rewrapped


async def _crypto(world: World, tenant: str) -> float:
    epoch = await world.custody.epoch(tenant)
    name = object_id(new_id(), "slip")
    slip = epoch.wrap(DataKey.random(), name)
    begun_s = time.process_time()
    for _ in range(DOCUMENTS):
        rewrap_slip(slip, name, old=epoch, new=epoch)
    return DOCUMENTS / (time.process_time() - begun_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
