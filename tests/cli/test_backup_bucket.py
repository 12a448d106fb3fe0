"""A target in a bucket, read by every command as one in a folder is; against a real S3 store."""

import contextlib
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import pytest_asyncio
from tests.cli.process import VOICEFILE
from tests.engines import running
from tests.services.backup.house import House, a_house, heard, house_in

from voicefile.backup.drill import reporter_of
from voicefile.backup.repository import Room
from voicefile.cli.backup_targets import S3, target_named
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.look_at_backup import (
    drill_backup,
    list_backups,
    restore_backup,
    verify_backups,
)
from voicefile.cli.restore_into_folder import IntoFolder
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.dumps.recipient import Recipient

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Bucket:
    """A bucket of the shared store, and what is set so that it is the target."""

    client: Any
    name: str
    settings: dict[str, str]

    def keys(self, room: Room) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=f"{room}/blobs/")
        return [each["Key"] for each in found.get("Contents", [])]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    s3, name = running.engine("s3"), f"backup-{secrets.token_hex(4)}"
    client = botocore.session.get_session().create_client(
        "s3",
        region_name=s3["region"],
        endpoint_url=s3["endpoint"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        verify=s3["ca"],
    )
    told = {
        "ENDPOINT": s3["endpoint"],
        "REGION": s3["region"],
        "BUCKET": name,
        "ACCESS_KEY": s3["access_key"],
        "SECRET_KEY": s3["secret_key"],
        "CA": s3["ca"],
    }
    with contextlib.closing(client), pytest.MonkeyPatch.context() as patch:
        client.create_bucket(Bucket=name)
        settings = {f"VOICEFILE_BACKUP_S3_{key}": value for key, value in told.items()}
        for setting, value in settings.items():
            patch.setenv(setting, value)
        made = Bucket(client, name, settings)
        yield made
        for room in Room:
            for key in [*made.keys(room), f"{room}/ready"]:
                client.delete_object(Bucket=name, Key=key)
        client.delete_bucket(Bucket=name)


@pytest.fixture(scope="module")
def drill_pair() -> Iterator[SealingKeyPair]:
    pair = SealingKeyPair.generate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICEFILE_BACKUP_DRILL_KEY", str(Recipient("drill", pair.public)))
        patch.setenv("VOICEFILE_BACKUP_DRILL_REPORTS", str(reporter_of(pair).public))
        yield pair


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory, bucket: Bucket, drill_pair) -> AsyncIterator[House]:
    """A vault with one backup, in the bucket and nowhere else."""
    async with a_house(tmp_path_factory.mktemp("vault"), companies=1) as made:
        await made.filed(made.stand.companies[0])
        await made.backed_up()
        assert made.rounds.name == "bucket"
        assert not made.place.backup.exists()
        yield made


async def test_it_is_listed_and_verified(house: House, tmp_path: Path, capsys):
    assert await list_backups(S3, str(house.key)) == 0
    assert "1 recordings" in capsys.readouterr().out
    for _ in range(2):  # the second look remembers the first
        assert await verify_backups(S3, str(house.key), tmp_path / "look.json") == 0
    assert "sound: 1 manifests" in capsys.readouterr().out


def empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_a_drill_reads_it_and_leaves_its_report_there(
    house: House, bucket: Bucket, drill_pair: SealingKeyPair, tmp_path: Path, capsys
):
    assert await drill_backup(S3, str(house.key), drill_pair, tmp_path) == 0
    assert "1 canaries of 1 tenants opened" in capsys.readouterr().out
    assert len(bucket.keys(Room.DRILLS)) == 1
    assert empty(tmp_path)


async def test_what_was_filed_is_heard_after_a_restore_from_it(house: House, tmp_path: Path):
    pair, out = house.pairs[1], tmp_path / "restored"
    code = await restore_backup(
        out,
        S3,
        str(house.key),
        into=lambda place: contextlib.nullcontext(IntoFolder(place, house.root)),
        pair=pair,
        at=None,
    )
    assert code == 0
    async with house_in(out, house.pairs) as again:
        assert await heard(again.stand.client, house.issued[0]) is not None


async def test_what_is_missing_in_it_is_named(house: House, bucket: Bucket, capsys):
    key = bucket.keys(Room.OBJECTS)[0]
    was = bucket.client.get_object(Bucket=bucket.name, Key=key)
    content = was["Body"].read()
    bucket.client.delete_object(Bucket=bucket.name, Key=key)
    code = await verify_backups(S3, str(house.key), None)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content, Metadata=was["Metadata"])
    assert code == 1
    assert f"missing or damaged: objects/{key.rpartition('/')[2]}" in capsys.readouterr().out
    assert await verify_backups(S3, str(house.key), None) == 0


def verified_by_command(house: House, tmp_path: Path, told: dict[str, str]):
    return subprocess.run(
        [str(VOICEFILE), "backup", "verify", "--from", "s3", "--key", str(house.key)],
        env={"PATH": os.environ["PATH"], **told},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_takes_its_credentials_from_files(
    house: House, bucket: Bucket, tmp_path: Path
):
    for setting, value in bucket.settings.items():
        (tmp_path / setting.lower()).write_text(value)
    done = verified_by_command(house, tmp_path, {"VOICEFILE_SECRETS_DIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sound: ")


async def test_a_bucket_that_refuses_is_said_in_one_line(
    house: House, bucket: Bucket, tmp_path: Path
):
    secret = "the-words-are-secret"
    told = bucket.settings | {"VOICEFILE_BACKUP_S3_SECRET_KEY": secret}
    done = verified_by_command(house, tmp_path, told)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "The target, or the blob store, can't be reached, or refuses us: "
    )
    assert len(done.stderr.splitlines()) == 1
    assert secret not in done.stderr


async def test_what_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("BUCKET", "ENDPOINT", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"VOICEFILE_BACKUP_S3_{name}", raising=False)
    with pytest.raises(SettingsRefused, match="S3_BUCKET, VOICEFILE_BACKUP_S3_ENDPOINT"):
        async with target_named(S3):
            pass


async def test_a_folder_of_that_name_is_a_folder_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / S3).mkdir()
    async with target_named(f"./{S3}") as repository:
        assert repository.name == "folder"


async def test_an_authority_that_can_not_be_read_is_named(bucket: Bucket, monkeypatch):
    monkeypatch.setenv("VOICEFILE_BACKUP_S3_CA", "/nowhere.pem")
    with pytest.raises(SettingsRefused, match="VOICEFILE_BACKUP_S3_CA"):
        async with target_named(S3):
            pass
