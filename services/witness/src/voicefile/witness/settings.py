"""What a witness can be told, each with its unit and why the default is what it is."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicefile.chassis.settings import Port


class WitnessSettings(BaseSettings):
    """Read from the environment, prefix VOICEFILE_WITNESS_."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_WITNESS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    folder: Path = Path("witness")
    """Where the key and the memory are: on a disk of its own, never restored from a backup."""

    host: str = "localhost"
    """Where it listens."""

    port: Port = 8446
    """Its one port, HTTPS only."""

    tls_certificate: Path | None = None
    """PEM file with chain and key; without it one is made that holds for localhost alone."""

    connections_max: Annotated[int, Field(ge=1)] = 100
    """How many connections the port holds; more are answered 503."""

    request_bytes_max: Annotated[int, Field(ge=8_192)] = 65_536
    """The largest request: a checkpoint with all its signatures and 63 hashes fits many times."""
