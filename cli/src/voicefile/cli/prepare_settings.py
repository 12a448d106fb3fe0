"""What `voicefile prepare` is told: where the engines are, and an administrator's credentials.

Read like a service's settings: from the environment (`VOICEFILE_…`) or from files of the same names
in the folder that VOICEFILE_SECRETS_DIR names. The administrator's begin with VOICEFILE_ADMIN_,
so that no service that is given a folder of its own gets them by mistake.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicefile.cli.engine_settings import PREFIX


class NotPrepared(Exception):
    """Why not, for a person, without a secret."""


class PrepareSettings(BaseSettings):
    """Engines, and who may change them. Each field's sentence is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    admin_mongo_uri: SecretStr | None = None
    """The document store, as somebody who may make users."""

    admin_mongo_certificate: Path | None = None
    """PEM file with chain and key to show to it, if it asks for one."""

    mongo_ca: Path | None = None
    """PEM file of its authority."""

    kafka_bootstrap: str | None = None
    """Brokers to begin with, host:port, separated by commas."""

    kafka_ca: Path | None = None
    """PEM file of the brokers' authority."""

    admin_kafka_certificate: Path | None = None
    """PEM file with chain and key of somebody who may make topics and rules."""

    admin_kafka_username: str | None = None
    """The same by password."""

    admin_kafka_password: SecretStr | None = None
    """The password that goes with it."""

    s3_endpoint: Annotated[str, Field(pattern=r"^https://[^/\s]+$")] | None = None
    """Where sealed recordings are kept: https://host:port."""

    s3_region: str = "us-east-1"
    """The region requests are signed for."""

    s3_bucket: str | None = None
    """The bucket to make."""

    s3_ca: Path | None = None
    """PEM file of the blob store's authority."""

    admin_s3_access_key: str | None = None
    """Somebody who may make buckets."""

    admin_s3_secret_key: SecretStr | None = None
    """The secret that goes with it."""


def shown(secret: SecretStr | None) -> str:
    """What it hides; nothing if there is none."""
    return "" if secret is None else secret.get_secret_value()


def told(things: Iterable[tuple[str, bool]]) -> str:
    """One line for each: whether it was made now or was there."""
    return "".join(f"{'made ' if made else 'there'}  {name}\n" for name, made in things)
