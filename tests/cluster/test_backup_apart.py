"""Services apart are backed up by one of them: into a bucket, verified, and restored elsewhere.

Into a folder, and into other engines, which other services then stand on.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import DEPLOYMENT, Cluster
from tests.cluster.stand_apart import stand_over
from tests.engines import running
from tests.engines.openbao import OpenBao
from tests.engines.provision import VOICEFILE
from tests.faults.nemesis.verdict import read_logs
from tests.services.backup.house import heard, house_in, two_recipients

from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.backup.read_back import Reading
from voicefile.backup.repository import Repository
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import key_at
from voicefile.backup.verify import verify
from voicefile.cli.backup_targets import BUCKET, S3, bucket_rooms
from voicefile.cli.embedded import STORES
from voicefile.cli.place import Place
from voicefile.cli.restore import restore
from voicefile.cli.restore_into_folder import IntoFolder
from voicefile.contracts.deed.v1 import Action

pytestmark = [asked_for, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
OF_BACKUP = "VOICEFILE_BACKUP_"


@dataclass
class BackedUp:
    """A recording that was filed, and a backup that was ordered after it."""

    filed: dict
    said: str


def said(told: Mapping[str, str], *command: str) -> str:
    """By `voicefile backup`, to whoever is told no more than that."""
    done = subprocess.run(
        [str(VOICEFILE), "backup", *command],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def ordered(cluster: Cluster) -> str:
    """By an operator, with backup's own settings."""
    [replica] = cluster.replicas["backup"]
    return said(replica.environment(), "run")


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
        restored = await restore(reading, place, IntoFolder(place, cluster.root))
    assert restored.whole, restored
    with two_recipients() as pairs:
        async with house_in(place.data, pairs, pins=PinPool) as again:
            assert await heard(again.stand.client, backed_up.filed) is not None


def target_of(cluster: Cluster) -> dict[str, str]:
    """What somebody is told who can read it, and knows of nothing else."""
    told = cluster.replicas["backup"][0].environment()
    target = {name: value for name, value in told.items() if name.startswith(f"{OF_BACKUP}S3_")}
    return {"VOICEFILE_DEPLOYMENT": DEPLOYMENT, **target}


def settings_of(cluster: Cluster, folder: Path) -> Path:
    """Each service's in a folder of its own, a file for each."""
    for service in STORES:
        own = folder / service
        own.mkdir(parents=True)
        told = cluster.replicas[service][0].environment()
        for name in (each for each in told if each.startswith("VOICEFILE_")):
            (own / name.lower()).write_text(told[name])
    return folder


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[OpenBao]:
    running.engine("openbao")  # skips, and says why, where there is none
    engine = OpenBao(tmp_path / "bao", tmp_path / "certificates")
    engine.start()
    yield engine
    engine.stop()


async def filed_and_lost(cluster: Cluster) -> dict:
    """What was filed before everything went but backup's target and the root key."""
    try:
        await asyncio.to_thread(cluster.start)
        async with stand_over(cluster) as made:
            await made.furnished(companies=1)
            filed = (await made.companies[0].upload()).raise_for_status().json()
        await asyncio.to_thread(ordered, cluster)
    finally:
        await asyncio.to_thread(cluster.stop)
    return filed


async def test_a_vault_with_its_root_in_a_transit_engine_goes_on_over_other_engines(
    bao: OpenBao, tmp_path: Path
):
    lost = Cluster(tmp_path / "lost", replicas=1, bao=bao)
    other = Cluster(tmp_path / "other", replicas=1, bao=bao, backed_up=False)
    filed = await filed_and_lost(lost)
    secret = tmp_path / "secret"
    secret.write_text(lost.recipients[0].secret.expose().hex())
    key = key_at(lost.backup_key, DEPLOYMENT).public
    try:
        await asyncio.to_thread(lost.engines.s3.start)
        await asyncio.to_thread(other.furnish)
        engines = settings_of(other, tmp_path / "settings")
        command = ["restore", str(tmp_path / "beside"), "--from", S3, "--key", str(key)]
        command += ["--engines", str(engines), "--secret", str(secret)]
        report = await asyncio.to_thread(said, target_of(lost), *command)
        assert "recordings   1\n" in report, report
        assert report.count("root version left") == 1, "the lost vault's period"
        await asyncio.to_thread(other.serve)
        async with other.client() as client:
            assert await heard(client, filed) is not None
    finally:
        unclean = await asyncio.to_thread(other.stop)
        await asyncio.to_thread(lost.engines.s3.stop)
    assert unclean == []
