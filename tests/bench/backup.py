"""Backup against restic and borg: the same vault's files, a first and a second day, a restore.

They read files of a vault at rest and hold the key they seal with; ours carries what it can't
open, and a restore makes a vault of it that is ready to be served. None has copied anything before
it is measured: a vault copies a recording within seconds, in time that would be nobody's. What is
restored counts when it is on the disk. Installed from the system's packages: `apt-get install
restic borgbackup`; without them their rows are missing.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from tests.bench.figures import Row
from tests.bench.vault import folder
from tests.services.backup.house import House, house_in, two_recipients
from tests.stand import Company

from voicefile.crypto.primitives import SealingKeyPair
from voicefile.eventbus.port import EventBus

RECORDINGS = int(os.environ.get("VOICEFILE_BENCH_BACKUP_RECORDINGS", "200"))
"""On the first day; 10,000 are 5 GB."""
SMALL = max(1, RECORDINGS // 4)
"""On the first day of a smaller vault: a second day should cost the same there."""
CHANGED = max(1, RECORDINGS // 20)
"""On the second day of both."""
PROMISED = 1.05
"""Of what is new, a second day may write so much."""


@dataclass
class Figures:
    """Of one program: seconds and bytes."""

    first_s: float = 0.0
    first_bytes: int = 0
    second_s: float = 0.0
    second_bytes: int = 0
    restore_s: float = 0.0


@dataclass
class Days:
    """Two days of a vault, by the program that carried its backups."""

    found: dict[str, Figures]
    new: int
    """Bytes of the second day's blobs."""


OURS = "ours"


class _Deaf:
    """A bus on which backup hears nothing: it finds by names what is to be copied, when asked."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def subscribe(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


def _deaf(service: str, bus: EventBus) -> EventBus:
    return _Deaf(bus) if service == "backup" else bus


def measure() -> list[Row]:
    with folder() as scratch, two_recipients() as pairs:
        places = [scratch / size for size in ("small", "large")]
        for place in places:
            place.mkdir()
        small, large = [
            uvloop.run(_days(place, pairs, recordings))
            for place, recordings in zip(places, (SMALL, RECORDINGS), strict=True)
        ]
    return [*_rows(large), *_growth(small, large), *_promises(large)]


async def _days(scratch: Path, pairs: list[SealingKeyPair], recordings: int) -> Days:
    data = scratch / "vault"
    others = {name: make(scratch) for name, make in OTHERS.items() if shutil.which(name)}
    days = Days({name: Figures() for name in (OURS, *others)}, 0)
    ours = days.found[OURS]
    async with house_in(data, pairs, bus=_deaf) as house:
        (home,) = await house.furnished(1)
        await _file(house, home, recordings)
        ours.first_s, ours.first_bytes = await _ours(house)
        for name, other in others.items():
            figures = days.found[name]
            figures.first_s, figures.first_bytes = other.back_up(data)
        before = _bytes(house.place.blobs)
        await _file(house, home, CHANGED)
        days.new = _bytes(house.place.blobs) - before
        ours.second_s, ours.second_bytes = await _ours(house)
        for name, other in others.items():
            figures = days.found[name]
            figures.second_s, figures.second_bytes = other.back_up(data)
        begun_s = time.perf_counter()
        _, restored = await house.restored(scratch / "restored")
        ours.restore_s = time.perf_counter() - begun_s
        assert restored.whole
        assert restored.auth.recordings == recordings + CHANGED
    for name, other in others.items():
        days.found[name].restore_s = other.restore(scratch / f"restored-{name}")
    return days


def _growth(small: Days, large: Days) -> list[Row]:
    """What the same changes cost where more is stored."""
    of = f"that of {SMALL:,} stored"
    rows = []
    for name, figures in large.found.items():
        less = small.found[name]
        what = f"second day, {RECORDINGS:,} stored: {name}"
        rows += [
            Row(what, [figures.second_s], "s", less.second_s, of),
            Row("  written", [figures.second_bytes / 1e6], "MB", less.second_bytes / 1e6, of),
        ]
    return rows


def _promises(days: Days) -> list[Row]:
    written = days.found[OURS].second_bytes
    return [
        Row("second day: new blobs", [days.new / 1e6], "MB"),
        Row(
            "second day: written",
            [written / 1e6],
            "MB",
            days.new / 1e6,
            f"them; the rest is {(written - days.new) / 1e6:.2f} MB",
            promise=f"<= {PROMISED}",
            kept=written <= PROMISED * days.new,
        ),
    ]


def _rows(days: Days) -> list[Row]:
    rows = []
    for what, unit, of in (
        ("first day", "s", lambda each: each.first_s),
        ("first day, written", "MB", lambda each: each.first_bytes / 1e6),
        ("second day", "s", lambda each: each.second_s),
        ("second day, written", "MB", lambda each: each.second_bytes / 1e6),
        ("restore", "s", lambda each: each.restore_s),
    ):
        ours = of(days.found[OURS])
        rows.append(Row(what, [ours], unit))
        rows += [
            Row(f"  {name}", [of(each)], unit, ours, OURS)
            for name, each in days.found.items()
            if name != OURS
        ]
    return rows


async def _file(house: House, home: Company, count: int) -> None:
    # Nor does backup begin by itself meanwhile.
    async with house.rounds._turn:
        for _ in range(count):
            await house.filed(home)
        while await house.stand.ports.store.pending(1):
            await asyncio.sleep(0.02)


async def _ours(house: House) -> tuple[float, int]:
    before, begun_s = _bytes(house.place.backup), time.perf_counter()
    assert await house.rounds.take() is not None, house.rounds.failing
    return time.perf_counter() - begun_s, _bytes(house.place.backup) - before


@dataclass(frozen=True)
class Other:
    """Another program, over the vault's folder."""

    repository: Path
    environment: Mapping[str, str]
    create: Callable[[Path], list[str]]
    extract: Callable[[Path], list[str]]

    def back_up(self, data: Path) -> tuple[float, int]:
        before, begun_s = _bytes(self.repository), time.perf_counter()
        self.run(self.create(data))
        return time.perf_counter() - begun_s, _bytes(self.repository) - before

    def restore(self, out: Path) -> float:
        out.mkdir()
        begun_s = time.perf_counter()
        self.run(self.extract(out), cwd=out)
        # Ours is on the disk when it is through; neither of them sees to that.
        self.run(["sync", "--file-system", str(out)])
        return time.perf_counter() - begun_s

    def run(self, command: list[str], cwd: Path | None = None) -> None:
        env = {**os.environ, **self.environment}
        subprocess.run(command, check=True, capture_output=True, env=env, cwd=cwd)


def _restic(scratch: Path) -> Other:
    repository = scratch / "restic"
    environment = {
        "RESTIC_PASSWORD": "for this run alone",
        "RESTIC_REPOSITORY": str(repository),
        "RESTIC_CACHE_DIR": str(scratch / "restic-cache"),
    }
    restic = Other(
        repository,
        environment,
        lambda data: ["restic", "backup", str(data / "blobs"), str(data / "documents")],
        lambda out: ["restic", "restore", "latest", "--target", str(out)],
    )
    restic.run(["restic", "init"])
    return restic


def _borg(scratch: Path) -> Other:
    repository = scratch / "borg"
    environment = {
        "BORG_PASSPHRASE": "for this run alone",
        "BORG_REPO": str(repository),
        "BORG_BASE_DIR": str(scratch / "borg-base"),
    }
    name = "::{now:%H%M%S%f}"
    borg = Other(
        repository,
        environment,
        lambda data: ["borg", "create", name, str(data / "blobs"), str(data / "documents")],
        lambda _out: ["sh", "-c", 'borg extract "::$(borg list --last 1 --short)"'],
    )
    borg.run(["borg", "init", "-e", "repokey-blake2"])
    return borg


OTHERS: Mapping[str, Callable[[Path], Other]] = {"restic": _restic, "borg": _borg}


def _bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
