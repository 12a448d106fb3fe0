"""A day's dump of documents with one in a hundred changed, against a whole one of the same vault.

Documents alone: copies of blobs cost what is new anyway. As the services give them out and backup
puts them, in a small vault and one ten times as large.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from tests.bench.figures import Row, median
from tests.bench.load import load
from tests.bench.vault import folder
from tests.services.backup.house import House, house_in

from voicefile.backup.ask_services import SERVICES
from voicefile.backup.manifest import Dump
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.dumps.recipient import Recipient

LARGE = int(os.environ.get("VOICEFILE_BENCH_INCREMENTS", "20000"))
"""Recordings in the larger vault, each of a customer of its own."""
SIZES = (LARGE // 10, LARGE)
RUNS = 3
PROMISED = 0.1


@dataclass
class Figures:
    """Of one vault: seconds and bytes of each run."""

    whole_s: list[float] = field(default_factory=list)
    changes_s: list[float] = field(default_factory=list)
    whole_bytes: list[float] = field(default_factory=list)
    changes_bytes: list[float] = field(default_factory=list)


def measure() -> list[Row]:
    pairs = [SealingKeyPair.generate(), SealingKeyPair.generate()]
    told = [str(Recipient(f"archive{n}", pair.public)) for n, pair in enumerate(pairs)]
    os.environ["VOICEFILE_BACKUP_RECIPIENTS"] = ",".join(told)
    rows = []
    for size in SIZES:
        with folder() as scratch:
            rows += _rows(size, uvloop.run(_measured(scratch, pairs, size)))
    return rows


async def _measured(scratch: Path, pairs: list[SealingKeyPair], size: int) -> Figures:
    figures = Figures()
    async with house_in(scratch / "vault", pairs) as house:
        (home,) = await house.furnished(1)
        await load(house.stand, home, size)
        await house.told()
        _, known = await _dumped(house, {})
        for _ in range(RUNS):
            await load(house.stand, home, size // 100)
            await house.told()
            took_s, changes = await _dumped(house, known)
            assert all(each.since for each in changes.values())
            figures.changes_s.append(took_s)
            figures.changes_bytes.append(_bytes(changes))
            took_s, known = await _dumped(house, {})
            figures.whole_s.append(took_s)
            figures.whole_bytes.append(_bytes(known))
    return figures


async def _dumped(house: House, known: Mapping[str, Dump]) -> tuple[float, dict[str, Dump]]:
    """Of each service what has changed since its known dump, or all."""
    services, found = house.rounds._taking._services, {}
    begun_s = time.perf_counter()
    for each in SERVICES:
        since = known[each].mark if each in known else ""
        found[each] = await services.dump(each, house.repository, since=since)
    return time.perf_counter() - begun_s, found


def _bytes(dumps: Mapping[str, Dump]) -> float:
    return sum(each.object.bytes for dump in dumps.values() for each in dump.segments)


def _rows(size: int, found: Figures) -> list[Row]:
    kept = median(found.changes_bytes) / median(found.whole_bytes) <= PROMISED
    return [
        Row(f"{size:,} stored, whole", found.whole_s, "s"),
        Row("  1 % changed", found.changes_s, "s", median(found.whole_s), "whole"),
        Row("  whole", [each / 1e6 for each in found.whole_bytes], "MB"),
        Row(
            "  1 % changed",
            [each / 1e6 for each in found.changes_bytes],
            "MB",
            median(found.whole_bytes) / 1e6,
            "whole",
            promise=f"<= {PROMISED}",
            kept=kept,
        ),
    ]
