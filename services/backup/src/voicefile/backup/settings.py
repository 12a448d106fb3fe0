"""What backup can be told, each with its unit and why the default is what it is."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DAY_S = 24 * 3_600
KEYS_S_MAX = 28 * DAY_S
"""With seven days of an epoch that makes 35: the promise after which nothing opens any more."""


class BackupSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_BACKUP_."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_BACKUP_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    folder: Path | None = None
    """A target in files: a disk of its own, or what another machine mounts. Of the embedded vault
    `backup` in its own folder unless set, which survives no broken disk."""

    s3_endpoint: Annotated[str, Field(pattern=r"^https://[^/\s]+$")] | None = None
    """A target in a bucket: https://host:port. Best one that keeps what was put, for its time."""

    s3_bucket: str | None = None
    """The bucket; another one, and best another provider's, than that of the recordings."""

    s3_region: str = "us-east-1"
    """The region requests are signed for."""

    s3_access_key: str | None = None
    """Who backup is to that bucket."""

    s3_secret_key: SecretStr | None = None
    """The secret that goes with it."""

    s3_ca: Path | None = None
    """PEM file of the authority of that store; without it the system's own count."""

    key: Path | None = None
    """The file of the key that signs manifests; made at the first start."""

    drill_reports: str | None = None
    """The key that the drill's reports are signed with, as `voicefile backup drill-key` printed
    it; without it nobody is told how drills ended."""

    every_s: Annotated[int, Field(ge=60, le=DAY_S)] = DAY_S
    """How often a whole backup is taken; copies of new recordings are made at once."""

    whole_every_s: Annotated[int, Field(ge=0, le=7 * DAY_S)] = 7 * DAY_S
    """How often documents are dumped whole; in between, what has changed. 0: each time. Services
    know what has changed for eight days."""

    again_s: Annotated[int, Field(ge=1, le=3_600)] = 300
    """How long after one that failed it is tried again."""

    copy_every_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often is looked for new recordings and tombstones; these are promised in a minute."""

    keys_max_s: Annotated[int, Field(ge=DAY_S, le=KEYS_S_MAX)] = KEYS_S_MAX
    """How long key backups are kept; 28 days at most, or what was erased could come back."""

    erased_s: Annotated[int, Field(ge=0, le=KEYS_S_MAX)] = 0
    """How long copies of what was erased stay all the same: time to look into an erasure that
    nobody wants to have ordered. Beyond 28 days no key opens them anyway."""

    days: Annotated[int, Field(ge=1, le=366)] = 7
    """For so many days the last backup of each is kept."""

    weeks: Annotated[int, Field(ge=0, le=520)] = 5
    """For so many weeks the last backup of each is kept."""

    months: Annotated[int, Field(ge=0, le=120)] = 12
    """For so many months the last backup of each is kept."""

    late_s: Annotated[int, Field(ge=60)] = 26 * 3_600
    """After this without a whole backup, one is missed: the log says so, and the alarm rings."""

    dump_s_max: Annotated[float, Field(ge=1)] = 3_600.0
    """How long a service may take to give out its dump."""
