"""Settings every process has, read once from the environment (`VOICEFILE_…`) by who builds it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


class DeploymentSettings(BaseSettings):
    """One deployment of the vault. Each field's sentence is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_",
        frozen=True,
        extra="ignore",
        # An error about a setting must not print the setting.
        hide_input_in_errors=True,
    )

    deployment: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = "local"
    """Names this deployment; bound into every key and token, so that none serves two."""

    data_dir: Path = Path("var")
    """Where the embedded vault keeps everything."""

    host: str = "localhost"
    """Where the public port listens."""

    port: Port = 8443
    """The public port, HTTPS only."""

    health_host: str = "localhost"
    """Where the port of health listens: apart from `host`, which may be open to the world."""

    health_port: Port = 8444
    """The port of /livez, /readyz and /metrics, HTTPS only, never given to the outside."""

    connections_max: Annotated[int, Field(ge=1)] = 1000
    """How many connections one port holds; more are answered 503."""

    shutdown_s_max: Annotated[int, Field(ge=1, le=60)] = 10
    """How long requests under way may go on after a stop signal."""

    tls_certificate: Path | None = None
    """PEM file with the chain and its key; without it a development authority makes one."""

    @property
    def deployment_bytes(self) -> bytes:
        """The deployment's name as the key derivations take it."""
        return self.deployment.encode()

    @property
    def tls_dir(self) -> Path:
        """Where the development authority keeps its files."""
        return self.data_dir / "tls"
