"""Backup against restic and borg: the same vault's files, a first and a second day, a restore.

They read files of a vault at rest and hold the key they seal with; ours carries what it can't
open, and a restore makes a vault of it that is ready to be served. Installed from the system's
packages: `apt-get install restic borgbackup`; without them their rows are missing.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvloop
from tests.bench.figures import Row
from tests.bench.vault import folder
from tests.services.backup.house import House, house_in
from tests.stand import company

from voicefile.crypto.primitives import SealingKeyPair
from voicefile.dumps.recipient import Recipient

RECORDINGS = int(os.environ.get("VOICEFILE_BENCH_BACKUP_RECORDINGS", "200"))
"""On the first day; 10,000 are 5 GB."""
CHANGED = max(1, RECORDINGS // 20)
"""On the second."""


@dataclass
class Figures:
    """Of one program: seconds and bytes."""

    first_s: float = 0.0
    first_bytes: int = 0
    second_s: float = 0.0
    second_bytes: int = 0
    restore_s: float = 0.0


def measure() -> list[Row]:
    with folder() as scratch:
        return uvloop.run(_measured(scratch))


async def _measured(scratch: Path) -> list[Row]:
    pairs = [SealingKeyPair.generate(), SealingKeyPair.generate()]
    told = [str(Recipient(f"archive{n}", pair.public)) for n, pair in enumerate(pairs)]
    os.environ["VOICEFILE_BACKUP_RECIPIENTS"] = ",".join(told)
    data = scratch / "vault"
    others = {name: make(scratch) for name, make in OTHERS.items() if shutil.which(name)}
    ours, found = Figures(), {name: Figures() for name in others}
    async with house_in(data, pairs) as house:
        home = await company(house.stand.ports, house.stand.client, "company")
        await _file(house, home, RECORDINGS)
        ours.first_s, ours.first_bytes = await _ours(house)
        for name, other in others.items():
            found[name].first_s, found[name].first_bytes = other.back_up(data)
        before = _bytes(house.place.blobs)
        await _file(house, home, CHANGED)
        new = _bytes(house.place.blobs) - before
        ours.second_s, ours.second_bytes = await _ours(house)
        for name, other in others.items():
            found[name].second_s, found[name].second_bytes = other.back_up(data)
        begun_s = time.perf_counter()
        _, restored = await house.restored(scratch / "restored")
        ours.restore_s = time.perf_counter() - begun_s
        assert restored.whole
    for name, other in others.items():
        found[name].restore_s = other.restore(scratch / f"restored-{name}")
    return [*_rows(ours, found), *_promises(ours, new)]


def _promises(ours: Figures, new: int) -> list[Row]:
    documents = ours.second_bytes - new
    return [
        Row("second day: new blobs", [new / 1e6], "MB"),
        Row(
            "second day: written",
            [ours.second_bytes / 1e6],
            "MB",
            against=new / 1e6,
            of=f"its new blobs; documents {documents / 1e6:.1f} MB",
        ),
    ]


def _rows(ours: Figures, found: Mapping[str, Figures]) -> list[Row]:
    rows = []
    for what, unit, of in (
        ("first day", "s", lambda each: each.first_s),
        ("first day, written", "MB", lambda each: each.first_bytes / 1e6),
        ("second day", "s", lambda each: each.second_s),
        ("second day, written", "MB", lambda each: each.second_bytes / 1e6),
        ("restore", "s", lambda each: each.restore_s),
    ):
        rows.append(Row(what, [of(ours)], unit))
        rows += [
            Row(f"  {name}", [of(each)], unit, against=of(ours), of="ours")
            for name, each in found.items()
        ]
    return rows


async def _file(house: House, home, count: int) -> None:
    for _ in range(count):
        await house.filed(home)
    await house.stand.published()


async def _ours(house: House) -> tuple[float, int]:
    before, begun_s = _bytes(house.place.backup), time.perf_counter()
    while await house.rounds._copying.wanted():
        pass
    assert await house.rounds.take() is not None
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
