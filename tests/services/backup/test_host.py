"""Somebody has taken over the host that carries backups: they read nothing."""

import os
from pathlib import Path

import pytest
from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Patterns
from tests.services.backup.house import House

from voicefile.identity.ids import new_id

CANARIES = int(os.environ.get("VOICEFILE_BACKUP_CANARIES", "40"))
"""How many are tried; 10,000 before a release."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def files(*places: Path) -> list[Path]:
    return [path for place in places for path in place.rglob("*") if path.is_file()]


def leaked(patterns: Patterns, paths: list[Path]) -> set:
    return {found for path in paths for found in patterns.within(path.read_bytes())}


async def test_root_on_the_backup_host_reads_none_of_the_canaries(house: House, tmp_path: Path):
    """All that backup has: the target, its own store, its key."""
    said: list[Canary] = []
    for number in range(max(1, CANARIES // 8)):
        customer = {
            "name": f"Zq{new_id()[:12]} Xw{new_id()[:12]}",
            "phone": f"+49 30 {int(new_id()[:12], 16) % 10**11:011d}",
            "email": f"{new_id()[:14]}@example.test",
            "customer_number": f"K{new_id()[:14]}",
        }
        reference = f"V-{new_id()[:14]}"
        filed = await house.filed(
            house.stand.companies[number % 2], customer=customer, contract_reference=reference
        )
        said += [Canary(name, value) for name, value in customer.items() if name != "phone"]
        said += [Canary("phone", customer["phone"]), Canary("reference", reference)]
        said += [Canary("access ID", filed["access_id"])]
    await house.backed_up()
    patterns = Patterns(
        ((canary.what, encoding), pattern)
        for canary in said
        for encoding, pattern in canary.patterns()
    )
    documents = house.place.data / "documents"
    host = [*files(house.place.backup), house.place.backup_key, *documents.glob("backup.db*")]
    assert len(host) > 20
    assert leaked(patterns, host) == set()
    # The planted control.
    planted = tmp_path / "planted"
    planted.write_bytes(b"\0" * 1_000 + said[0].value.encode() + b"\0")  # type: ignore[union-attr]
    assert leaked(patterns, [planted])


async def test_who_may_be_sealed_to_is_not_for_backup_to_say(house: House):
    """It asks, and is told nothing it could change: there is nothing in its request."""
    async with house.stand.vault.client(peer="backup") as backup:
        asked = {"recipients": "mine+00000000+AAAA", "to": "mine"}
        answer = await backup.post("/auth/internal/v1/dumps", json=asked, params=asked)
    assert answer.status_code == 200
    assert b"mine" not in answer.content
    assert b"archive0" in answer.content
