"""A vault that is lost and restored: how long until somebody hears, and whether all of it is there.

Recordings are filed through the partners' door, each another one, with PINs as slow as in earnest.
Then everything that was stored is gone: a restore has the target, a recipient's key, and the root
key as it was put away on the first day. Every blob is compared with the lost one by its hash, IDs
and PINs are tried at the customers' door, what is heard is compared with what was uploaded, and
each log is recounted from outside against a head that was kept.

10,000 recordings take most of an hour and 20 GB: nobody gets them who has not named them.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop
from tests.bench.figures import Row
from tests.bench.vault import folder
from tests.corpus.make_long import make_long
from tests.services.backup.house import House, heard, house_in, recounted, two_recipients
from tests.stand import Company

from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.backup.verify import verify
from voicefile.blobstore.port import BlobStore
from voicefile.cli.place import Place
from voicefile.cli.restore import Restored, restore
from voicefile.cli.restore_into_folder import IntoFolder
from voicefile.crypto.primitives import SealingKeyPair

RECORDINGS: Final = int(os.environ.get("VOICEFILE_BENCH_RESTORED", "10000"))
RECORDING_S: Final = float(os.environ.get("VOICEFILE_BENCH_RESTORED_S", "20"))
"""How long each is; 20 seconds are half a megabyte with what is stored beside the original."""
HEARD: Final = min(RECORDINGS, int(os.environ.get("VOICEFILE_BENCH_RESTORED_HEARD", "1000")))
"""So many are signed in to and heard, spread over all: each costs the hash of a PIN."""
CHANGED: Final = max(1, RECORDINGS // 100)
"""Filed between the first backup and the second."""
LOST: Final = 5
"""Filed after the last backup."""
WRONG: Final = 5
"""Wrong PINs that are tried first: else it would say little that right ones open."""
TOGETHER: Final = 8
TOKEN_S: Final = 120
EVERY_S: Final = 240
"""How often who wants to lose five minutes at most has backups taken."""
RTO_S: Final = 600
RPO_S: Final = 300
T = TypeVar("T")


@dataclass
class Lost:
    """What somebody has kept of a vault that is no more."""

    filed: list[dict[str, Any]] = field(default_factory=list)
    """Answers to uploads that a backup has."""
    blobs: dict[str, str] = field(default_factory=dict)
    """SHA-256 by name."""
    logs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The key and the newest head, by log."""
    bytes: int = 0
    file_s: float = 0.0
    first_s: float = 0.0
    second_s: float = 0.0


@dataclass(frozen=True)
class Took:
    """By the clock, and of this process's cores."""

    wall_s: float
    cpu_s: float


def measure() -> Iterator[Row]:
    # Nobody here hangs up: each listening lasts until its five idle minutes are over.
    os.environ["VOICEFILE_PLAYBACK_LISTENINGS_MAX"] = str(2 * HEARD)
    with folder() as scratch, two_recipients() as pairs:
        yield from uvloop.run(_measured(scratch, pairs))


async def _measured(scratch: Path, pairs: list[SealingKeyPair]) -> list[Row]:
    data, target, root = scratch / "vault", scratch / "target", scratch / "root"
    async with house_in(data, pairs, pins=PinPool) as house:
        shutil.copytree(house.root, root)
        lost = await _lived(house)
    house.place.backup.rename(target)
    shutil.rmtree(data)
    reading = house.reading(of=target)
    _now("verifies")
    verifying, verdict = await _timed(verify(reading.repository, house.key))
    assert verdict.sound, verdict.findings
    copying, _ = await _timed(asyncio.to_thread(_copied, target, scratch / "copy"))
    place = Place(scratch / "restored")
    _now("restores")
    restoring, restored = await _timed(restore(reading, place, IntoFolder(place, root)))
    shutil.rmtree(target)
    begun_s = time.perf_counter()
    async with house_in(place.data, pairs, pins=PinPool) as again:
        assert await heard(again.stand.client, lost.filed[0]) is not None
        starting_s = time.perf_counter() - begun_s
        found = await _compared(again, lost, restored)
    return [
        *_lived_rows(lost, verifying),
        *_restored_rows(restoring, copying, starting_s),
        *found,
    ]


async def _lived(house: House) -> Lost:
    """Filed, backed up, filed a little, backed up, and a little more that no backup has."""
    homes = await house.furnished(2)
    lost, sound = Lost(), make_long("alaw", RECORDING_S)
    _now(f"files {RECORDINGS:,} recordings")
    filing, lost.filed = await _timed(_filed(homes, sound, range(RECORDINGS)))
    lost.file_s = filing.wall_s
    _now("backs up")
    lost.first_s = await _backed_up(house)
    lost.filed += await _filed(homes, sound, range(RECORDINGS, RECORDINGS + CHANGED))
    # Heads of before: what is done after a backup is in no log that is restored from it.
    await _heard_of(house)
    for log in ("platform", *(home.id for home in homes)):
        path, client = f"/audit/v1/logs/{log}", house.stand.client
        key, head = [(await client.get(f"{path}/{each}")).text for each in ("key", "checkpoint")]
        lost.logs[log] = key, head
    lost.second_s = await _backed_up(house)
    lost.blobs = await _hashes(house.stand.blobs)
    lost.bytes = sum(entry.sealed_bytes for entry in await _entries(house.stand.blobs))
    await _filed(homes, sound, range(LOST))
    return lost


async def _filed(homes: list[Company], sound: bytes, numbers: range) -> list[dict[str, Any]]:
    """One recording for each number, none like another; some at a time."""
    waiting, filed = list(reversed(numbers)), []

    async def partner(home: Company) -> None:
        token, until_s = "", 0.0
        while waiting:
            number = waiting.pop()
            if time.monotonic() > until_s:
                token, until_s = await home.partner_token(), time.monotonic() + TOKEN_S
            audio = sound[:-16] + number.to_bytes(16, "big")
            answer = await home.upload(audio, token=token)
            filed.append(answer.raise_for_status().json())
            assert filed[-1]["sha256"] == sha256(audio).hexdigest()

    async with asyncio.TaskGroup() as partners:
        for number in range(TOGETHER):
            partners.create_task(partner(homes[number % len(homes)]))
    return filed


async def _backed_up(house: House) -> float:
    """How long a whole backup takes, with the blobs copied that were told of."""
    await _heard_of(house)
    while await house.rounds._copying.wanted():
        pass
    begun_s = time.perf_counter()
    taken = await house.rounds.take()
    assert taken is not None, house.rounds.failing
    assert taken.left_out == 0
    return time.perf_counter() - begun_s


async def _heard_of(house: House) -> None:
    """Thousands of events may still be on their way: no test waits for so many."""
    while any([await store.pending(1) for store in house.stand.stores.values()]):
        await asyncio.sleep(0.1)


async def _compared(again: House, lost: Lost, restored: Restored) -> list[Row]:
    """Everything that was kept of the lost vault, held against the restored one."""
    _now("compares")
    blobs = await _hashes(again.stand.blobs)
    same = sum(blobs.get(name) == digest for name, digest in lost.blobs.items())
    step = max(1, len(lost.filed) // max(1, HEARD))
    sample = lost.filed[::step][:HEARD]
    for filed in sample[:WRONG]:
        wrong = {**filed, "pin": str((int(filed["pin"]) + 1) % 10**8).zfill(8)}
        assert await heard(again.stand.client, wrong) is None
    client = again.stand.client
    counted = [await recounted(client, log, *kept) for log, kept in lost.logs.items()]
    _now(f"signs in to {len(sample):,}, and listens")
    trying, right = await _timed(_heard_right(again, sample))
    all_there = restored.whole and restored.auth.recordings == len(lost.filed)
    return [
        _all("recordings restored", restored.auth.recordings, len(lost.filed), all_there),
        _all("blobs, the same to the bit", same, len(lost.blobs)),
        _all("IDs and PINs that open, and sound the same", right, len(sample)),
        Row("  each, with its PIN's hash", [trying.wall_s * 1_000 / len(sample)], "ms"),
        Row("deeds recounted, in logs that go on", [sum(counted)], "deeds", of="as heads kept say"),
    ]


async def _heard_right(again: House, sample: list[dict[str, Any]]) -> int:
    right, waiting = 0, list(sample)

    async def customer() -> None:
        nonlocal right
        while waiting:
            filed = waiting.pop()
            sound = await heard(again.stand.client, filed)
            right += sound is not None and sha256(sound).hexdigest() == filed["sha256"]

    async with asyncio.TaskGroup() as customers:
        for _ in range(TOGETHER // 2):
            customers.create_task(customer())
    return right


def _lived_rows(lost: Lost, verifying: Took) -> list[Row]:
    worst_s = EVERY_S + max(lost.first_s, lost.second_s)
    return [
        Row("filed", [len(lost.filed) / lost.file_s], "/s", of=f"{len(lost.filed):,} recordings"),
        Row("stored", [lost.bytes / 1e9], "GB", of=f"{len(lost.blobs):,} blobs"),
        Row("a first backup, its blobs copied already", [lost.first_s], "s"),
        Row("a second one", [lost.second_s], "s", lost.first_s, f"the first; {CHANGED} more"),
        Row(
            "RPO at worst",
            [worst_s],
            "s",
            of=f"every {EVERY_S} s, and as long as one takes",
            promise=f"<= {RPO_S} s",
            kept=worst_s <= RPO_S,
        ),
        Row("verified", [verifying.wall_s], "s", of=f"{verifying.cpu_s:.0f} s of a core"),
    ]


def _restored_rows(restoring: Took, copying: Took, starting_s: float) -> list[Row]:
    rto_s = restoring.wall_s + starting_s
    of = f"a plain copy of the target ({copying.wall_s:.0f} s)"
    return [
        Row("restored", [restoring.wall_s], "s", copying.wall_s, of),
        Row("  of a core", [restoring.cpu_s], "s"),
        Row("  from its start until one is heard", [starting_s], "s"),
        Row("RTO", [rto_s], "s", promise=f"<= {RTO_S} s", kept=rto_s <= RTO_S),
    ]


def _all(what: str, found: int, wanted: int, kept: bool | None = None) -> Row:
    kept = found == wanted if kept is None else kept
    return Row(what, [found], "", of=f"of {wanted:,}", promise="all", kept=kept)


async def _hashes(blobs: BlobStore) -> dict[str, str]:
    found = {}
    for entry in await _entries(blobs):
        content = await blobs.read(entry.name, 0, entry.sealed_bytes)
        found[str(entry.name)] = sha256(content).hexdigest()
    return found


async def _entries(blobs: BlobStore) -> list:
    found: list = []
    while page := await blobs.entries(after=found[-1].name if found else ""):
        found += page
    return found


def _copied(target: Path, copy: Path) -> None:
    """The same bytes by a plain copy, on the disk when it returns."""
    shutil.copytree(target, copy)
    os.sync()
    shutil.rmtree(copy)


def _now(doing: str) -> None:
    """Where it is: most of an hour is long to wait for a first row."""
    print(f"  {time.strftime('%H:%M:%S')} {doing}", file=sys.stderr, flush=True)


async def _timed(work: Awaitable[T]) -> tuple[Took, T]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    found = await work
    return Took(time.perf_counter() - wall_s, time.process_time() - cpu_s), found
