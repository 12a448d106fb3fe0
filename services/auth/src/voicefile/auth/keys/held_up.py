"""Held up: forged records that stand between rotation and the end of a period of keys.

What each of them wraps may be the only key to a recording that somebody forged around, so rotation
destroys nothing under it. Here it is told: each record once in the log, all of them in a gauge and
a log line of every run, until they are mended or gone.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

import structlog
from msgspec.structs import replace
from prometheus_client import Gauge

from voicefile.auth.forgeries import forgery
from voicefile.auth.ports import Ports
from voicefile.auth.records import RecordForged
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.crypto.primitives import sha256
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import PLATFORM

log = structlog.get_logger(__name__)

TOLD_MAX: Final = 256
"""Forged records that are told singly; whoever forges more is told as a number."""


@lru_cache(maxsize=1)
def in_the_way() -> Gauge:
    """Alarm whenever it is not zero: keys live longer than promised."""
    return Gauge(
        "voicefile_forged_records_in_the_way",
        "Forged records that keep old keys from being destroyed",
    )


async def tell_held_up(forged: Sequence[RecordForged], *, ports: Ports) -> None:
    """Takes what one run of rotation met, which may be nothing; records what is new of it."""
    met = {_name(each): each for each in forged}
    in_the_way().set(len(met))
    if met:
        log.error("rotation_held_up", documents=len(met))
    deployment = await the_deployment(ports)
    told = tuple(sorted(met))[:TOLD_MAX]
    if told == deployment.record.forged:
        return
    deeds = [
        (forgery(met[name], request_id=""), None)
        for name in told
        if name not in deployment.record.forged
    ]
    changed = replace(deployment.record, forged=told)
    records = ports.deployments.of(PLATFORM)
    # One write for what is told and that it was: killed anywhere, each is told once.
    with suppress(VersionConflict):  # another instance tells it, or the next run does
        await ports.deeds.write_many(
            deeds, lambda events: records.replace(deployment, changed, pending=events)
        )


def _name(forged: RecordForged) -> str:
    # Whoever forged the record chose its ids: no longer than any other, whatever they are.
    return sha256(f"{forged.tenant}\0{forged.document}".encode()).hex()[:32]
