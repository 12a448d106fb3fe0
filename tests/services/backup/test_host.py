"""Somebody has taken over the host that carries backups: they read nothing."""

import os
import shutil
from pathlib import Path

import pytest
from tests.corpus.make_long import make_long
from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Patterns, leaks_in_folder
from tests.services.backup.house import House

from voicefile.backup.ask_services import SERVICES
from voicefile.backup.errors import KeyInvalid
from voicefile.backup.manifest import manifests
from voicefile.backup.signing import key_at
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.identity.ids import new_id

CANARIES = int(os.environ.get("VOICEFILE_BACKUP_CANARIES", "48"))
"""How many are tried; 10,000 before a release, in some minutes."""
OF_A_RECORDING = 8
MARK_BYTES = 16

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120 + CANARIES // 5),
]


async def said_of_one(house: House, number: int, sound: bytes) -> list[Canary]:
    """What somebody said and was told about one recording, and a mark in its sound."""
    customer = {
        "name": f"Zq{new_id()[:12]} Xw{new_id()[:12]}",
        "phone": f"+49 30 {int(new_id()[:12], 16) % 10**11:011d}",
        "email": f"{new_id()[:14]}@example.test",
        "customer_number": f"K{new_id()[:14]}",
    }
    reference, mark = f"V-{new_id()[:14]}", os.urandom(MARK_BYTES)
    filed = await house.filed(
        house.stand.companies[number % 2],
        audio=sound[:-MARK_BYTES] + mark,
        customer=customer,
        contract_reference=reference,
    )
    told = {"reference": reference, "access ID": filed["access_id"], "PIN": filed["pin"]}
    return [*(Canary(*each) for each in (customer | told).items()), Canary("sound", mark)]


def taken_over(house: House, folder: Path) -> Path:
    """All that is on that host: the target, backup's own store, its key, its settings."""
    shutil.copytree(house.place.backup, folder / "target")
    shutil.copy(house.place.backup_key, folder)
    for path in (house.place.data / "documents").glob("backup.db*"):
        shutil.copy(path, folder)
    settings = [
        f"{name}={value}" for name, value in os.environ.items() if name.startswith("VOICEFILE_")
    ]
    (folder / "environment").write_text("\n".join(settings))
    return folder


async def test_root_on_the_backup_host_reads_none_of_the_canaries(house: House, tmp_path: Path):
    sound, said = make_long("alaw", 1.0), list[Canary]()
    for number in range(-(-CANARIES // OF_A_RECORDING)):
        said += await said_of_one(house, number, sound)
    assert len(said) >= CANARIES
    await house.backed_up()
    patterns = Patterns(
        ((canary.what, encoding), pattern)
        for canary in said
        for encoding, pattern in canary.patterns()
    )
    host = taken_over(house, tmp_path)
    assert len([path for path in host.rglob("*") if path.is_file()]) > 20
    # The planted control: one of each kind, among the target's own files.
    planted = set()
    for number, canary in enumerate(said[:OF_A_RECORDING]):
        where = f"target/planted-{number}"
        _, pattern = next(iter(canary.patterns()))
        (host / where).write_bytes(os.urandom(1_000) + b"\0" + pattern + b"\0" + os.urandom(1_000))
        planted.add((canary.what, where))
    assert {(leak.what, leak.where) for leak in leaks_in_folder(host, patterns)} == planted


async def test_no_key_on_the_backup_host_opens_a_dump(house: House):
    """It has one, which signs: tried as if it were a recipient's. The control is a recipient."""
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    seed = key_at(house.place.backup_key, "").key.seed
    thief, recipient = SealingKeyPair.from_secret(seed), house.pairs[0]
    for found in await manifests(house.repository, house.key):
        for service in SERVICES:
            with pytest.raises(KeyInvalid):
                await house.reading(thief).dump(found, service)
            await (await house.reading(recipient).dump(found, service)).check()
    with pytest.raises(KeyInvalid):
        await house.reading(thief).keys()
    await (await house.reading(recipient).keys()).check()


async def test_who_may_be_sealed_to_is_not_for_backup_to_say(house: House):
    """It asks, and is told nothing it could change: there is nothing in its request."""
    async with house.stand.vault.client(peer="backup") as backup:
        asked = {"recipients": "mine+00000000+AAAA", "to": "mine"}
        answer = await backup.post("/auth/internal/v1/dumps", json=asked, params=asked)
    assert answer.status_code == 200
    assert b"mine" not in answer.content
    assert b"archive0" in answer.content
