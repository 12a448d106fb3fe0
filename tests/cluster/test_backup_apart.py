"""Services apart are backed up by one of them: into a bucket, verified, and restored elsewhere."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import DEPLOYMENT, Cluster
from tests.engines.provision import VOICEFILE
from tests.faults.nemesis.verdict import read_logs
from tests.services.backup.house import heard, house_in, two_recipients

from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.backup.read_back import Reading
from voicefile.backup.repository import Repository
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import key_at
from voicefile.backup.verify import verify
from voicefile.cli.backup_targets import BUCKET, bucket_rooms
from voicefile.cli.place import Place
from voicefile.cli.restore import restore
from voicefile.contracts.deed.v1 import Action

pytestmark = [asked_for, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
OF_BACKUP = "VOICEFILE_BACKUP_"


@dataclass
class BackedUp:
    """A recording that was filed, and a backup that was ordered after it."""

    filed: dict
    said: str


def ordered(cluster: Cluster) -> str:
    """By an operator, with backup's own settings."""
    [replica] = cluster.replicas["backup"]
    done = subprocess.run(
        [str(VOICEFILE), "backup", "run"],
        env={"PATH": os.environ["PATH"], **replica.environment()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def backed_up(vault) -> BackedUp:
    answer = (await vault.companies[0].upload()).raise_for_status()
    return BackedUp(answer.json(), await asyncio.to_thread(ordered, vault.cluster))


@asynccontextmanager
async def target(cluster: Cluster) -> AsyncIterator[Repository]:
    """As backup is told of it."""
    told = cluster.replicas["backup"][0].environment()
    own = {
        name.removeprefix(OF_BACKUP).lower(): value
        for name, value in told.items()
        if name.startswith(OF_BACKUP)
    }
    async with bucket_rooms(BackupSettings(**own)) as rooms:
        yield Repository(BUCKET, rooms)


async def test_it_is_whole_and_in_the_log(vault, backed_up: BackedUp):
    assert backed_up.said.startswith("bucket: manifest ")
    key = key_at(vault.cluster.backup_key, DEPLOYMENT).public
    async with target(vault.cluster) as repository:
        verdict = await verify(repository, key)
    assert verdict.sound, verdict.findings
    assert verdict.newest is not None
    assert verdict.newest.counts[vault.companies[0].id] >= 1
    print(f"{verdict.manifests} manifests, {verdict.objects} objects, {verdict.bytes:,} bytes")
    await vault.settled()
    logs = await read_logs(vault.inside, vault.client)
    assert Action.ACTION_BACKUP_TAKEN in {deed.action for deed in logs.deeds}


async def test_what_was_filed_in_the_cluster_is_heard_in_a_vault_that_was_restored_from_it(
    vault, backed_up: BackedUp, tmp_path: Path
):
    cluster, place = vault.cluster, Place(tmp_path / "restored")
    key = key_at(cluster.backup_key, DEPLOYMENT).public
    async with target(cluster) as repository:
        reading = Reading(repository, key, deployment=DEPLOYMENT, pair=cluster.recipients[1])
        restored = await restore(reading, place, root=cluster.root)
    assert restored.whole, restored
    with two_recipients() as pairs:
        async with house_in(place.data, pairs, pins=PinPool) as again:
            assert await heard(again.stand.client, backed_up.filed) is not None
