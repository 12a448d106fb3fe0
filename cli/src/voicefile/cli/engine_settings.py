"""What a service that runs apart is told: its engines, its neighbours, its certificates.

Read from the environment (`VOICEFILE_…`), or from files of the same names in the folder that
VOICEFILE_SECRETS_DIR names. No error about a setting shows what was set.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from voicefile.chassis.settings import DeploymentSettings, Port

PREFIX: Final = "VOICEFILE_"
SECRETS_DIR: Final = "VOICEFILE_SECRETS_DIR"
SERVICES: Final = ("auth", "audit", "ingest", "playback", "portal", "backup")
_ADDRESS: Final = re.compile(r"https://[^/\s,@?#]+:\d{1,5}", re.ASCII)
_STORES: Final = ("mongo_uri", "kafka_bootstrap")
_BLOBS: Final = ("s3_endpoint", "s3_bucket", "s3_access_key", "s3_secret_key")
_TLS: Final = ("service_certificate", "service_ca")
_NEEDED: Final = {
    "auth": (*_TLS, *_STORES, "audit_url"),
    "audit": (*_TLS, *_STORES, "auth_url"),
    "ingest": (*_TLS, *_STORES, *_BLOBS, "auth_url"),
    "playback": (*_TLS, *_STORES, *_BLOBS, "auth_url"),
    "portal": (*_TLS, "auth_url", "playback_url"),
    "backup": (
        *(*_TLS, *_STORES, *_BLOBS),
        *("auth_url", "audit_url", "ingest_url", "playback_url"),
    ),
}
_NEEDED_BY_ROOT: Final = {
    "file": ("root_dir",),
    "transit": ("transit_url", "transit_token"),
    "pkcs11": ("pkcs11_module", "pkcs11_token", "pkcs11_pin"),
}
_ROOT_SETTINGS: Final = (
    "root_dir",
    "transit_url",
    "transit_token",
    "transit_mount",
    "transit_ca",
    "pkcs11_module",
    "pkcs11_token",
    "pkcs11_pin",
)
_OTHER: Final = "other_"
ROOTED: Final = frozenset({"auth", "audit"})
"""Services with a root key, each with one of its own."""
T = TypeVar("T", bound=BaseSettings)


class SettingsRefused(Exception):
    """Settings are missing or don't fit. Names them and shows none of their values."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _https(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("an address is https://host:port")
    return value


Addresses = Annotated[
    tuple[Annotated[str, AfterValidator(_https)], ...], NoDecode, BeforeValidator(_split)
]
"""Where a service answers, each https://host:port, separated by commas."""


class EngineSettings(BaseSettings):
    """One service apart. Each field's sentence is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        # An error about a setting must not print the setting.
        hide_input_in_errors=True,
    )

    mongo_uri: SecretStr | None = None
    """Where the service's own documents are: mongodb://user:password@host:port/."""

    mongo_database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")] | None = None
    """The service's own database; voicefile_<service> unless named."""

    mongo_ca: Path | None = None
    """PEM file of the authority of the document store; without it the system's own count."""

    mongo_certificate: Path | None = None
    """PEM file with chain and key to show to the document store, if it asks for one."""

    kafka_bootstrap: str | None = None
    """Brokers to begin with, host:port, separated by commas."""

    kafka_ca: Path | None = None
    """PEM file of the authority of the brokers; without it the system's own count."""

    kafka_certificate: Path | None = None
    """PEM file with chain and key to show to the brokers, if they know us by certificate."""

    kafka_username: str | None = None
    """Who we are to the brokers, if they know us by password."""

    kafka_password: SecretStr | None = None
    """The password that goes with it."""

    s3_endpoint: Annotated[str, AfterValidator(_https)] | None = None
    """Where sealed recordings are kept: https://host:port."""

    s3_region: str = "us-east-1"
    """The region requests are signed for."""

    s3_bucket: str | None = None
    """The bucket for sealed recordings; the vault's alone."""

    s3_access_key: str | None = None
    """Who we are to the blob store."""

    s3_secret_key: SecretStr | None = None
    """The secret that signs our requests to it."""

    s3_ca: Path | None = None
    """PEM file of the authority of the blob store; without it the system's own count."""

    root: Literal["file", "transit", "pkcs11"] = "file"
    """Where the root key is: files (for development only), a transit engine, or a PKCS#11 token."""

    root_dir: Path | None = None
    """Root key in files: the folder."""

    transit_url: Annotated[str, AfterValidator(_https)] | None = None
    """Transit engine (OpenBao, Vault): https://host:port."""

    transit_token: SecretStr | None = None
    """The token that may use this service's mount, and nothing else."""

    transit_mount: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{1,128}$")] = "transit"
    """Where the engine is mounted; auth and audit have one each."""

    transit_ca: Path | None = None
    """PEM file of the authority of the transit engine; without it the system's own count."""

    pkcs11_module: Path | None = None
    """The PKCS#11 module: a shared library."""

    pkcs11_token: str | None = None
    """The token's label; auth and audit have one each."""

    pkcs11_pin: SecretStr | None = None
    """The token's user PIN."""

    other_root: Literal["file", "transit", "pkcs11"] | None = None
    """While auth's root key is changed for another: where the one is that is not in use yet, or no
    longer. Whatever hangs on either opens; new versions are made in the other, VOICEFILE_ROOT."""

    other_root_dir: Path | None = None
    """Of that root: like VOICEFILE_ROOT_DIR."""

    other_transit_url: Annotated[str, AfterValidator(_https)] | None = None
    """Of that root: like VOICEFILE_TRANSIT_URL."""

    other_transit_token: SecretStr | None = None
    """Of that root: like VOICEFILE_TRANSIT_TOKEN."""

    other_transit_mount: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{1,128}$")] = "transit"
    """Of that root: like VOICEFILE_TRANSIT_MOUNT."""

    other_transit_ca: Path | None = None
    """Of that root: like VOICEFILE_TRANSIT_CA."""

    other_pkcs11_module: Path | None = None
    """Of that root: like VOICEFILE_PKCS11_MODULE."""

    other_pkcs11_token: str | None = None
    """Of that root: like VOICEFILE_PKCS11_TOKEN."""

    other_pkcs11_pin: SecretStr | None = None
    """Of that root: like VOICEFILE_PKCS11_PIN."""

    auth_url: Addresses = ()
    """Internal addresses of auth, https://host:port, separated by commas, used in turn."""

    audit_url: Addresses = ()
    """Internal addresses of audit."""

    ingest_url: Addresses = ()
    """Internal addresses of ingest."""

    playback_url: Addresses = ()
    """Internal addresses of playback."""

    service_certificate: Path | None = None
    """PEM file with chain and key of this service: common name and <name>.voicefile.internal."""

    service_ca: Path | None = None
    """PEM file of the authority of all services' certificates; two, while one replaces another."""

    internal_host: str = "localhost"
    """Where the internal port listens: other services' certificates only, TLS 1.3 only."""

    internal_port: Port = 8445
    """The internal port."""

    fronted: bool = False
    """Whether the public port is behind a front: then only the certificate CN=front gets in there,
    under the authority of all services, and the front says whose address a request comes from."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 3.0
    """After a stop signal: how long everything is still answered while nobody is called ready, so
    that load balancers notice."""

    def other(self) -> "EngineSettings | None":
        """The same, with the other root key in the place of the one in use; None without one."""
        if self.other_root is None:
            return None
        told = {name: getattr(self, _OTHER + name) for name in ("root", *_ROOT_SETTINGS)}
        return self.model_copy(update=told)

    def database(self, service: str) -> str:
        """The database that is the service's own."""
        return self.mongo_database or f"voicefile_{service}"

    def require(self, service: str) -> None:
        """Raises SettingsRefused naming everything the service can't do without."""
        self._require(service, [*_NEEDED[service], *self._needed_by_roots(service)])

    @property
    def root_place(self) -> tuple[object, ...]:
        """Which root key it is, whoever may use it; two of the same place are one."""
        match self.root:
            case "transit":
                return (self.transit_url, self.transit_mount)
            case "pkcs11":
                return (self.pkcs11_module, self.pkcs11_token)
        return (self.root_dir,)

    def require_documents(self, service: str) -> None:
        """The same for a command that needs only the service's documents."""
        self._require(service, ["mongo_uri"])

    def require_store(self, service: str) -> None:
        """The same for a command that needs its root key as well."""
        self._require(service, ["mongo_uri", *self._needed_by_roots(service)])

    def require_restore(self, service: str) -> None:
        """The same for a restore: documents and root keys, and blobs as ingest has them."""
        blobs = _BLOBS if service == "ingest" else ()
        self._require(service, ["mongo_uri", *blobs, *self._needed_by_roots(service)])

    def _needed_by_roots(self, service: str) -> list[str]:
        if service not in ROOTED:
            return []
        other = _NEEDED_BY_ROOT[self.other_root] if self.other_root else ()
        return [*_NEEDED_BY_ROOT[self.root], *(_OTHER + name for name in other)]

    def _require(self, service: str, needed: list[str]) -> None:
        missing = [variable(name) for name in needed if not getattr(self, name)]
        if missing:
            raise SettingsRefused(f"{service} can't be used without {', '.join(missing)}.")


def variable(name: str) -> str:
    """A setting's name in the environment."""
    return PREFIX + name.upper()


def read(kind: type[T], *, folder: Path | None = None) -> T:
    """One kind of settings: from the environment, then from the folder of secrets.

    `folder`: instead of the one that is set. Raises SettingsRefused.
    """
    folder = folder or _secrets_dir()
    if folder is not None and not folder.is_dir():
        raise SettingsRefused(f"{SECRETS_DIR} names no folder that can be read.")
    # The constructor takes the folder, but no type checker sees that.
    make: Callable[..., T] = kind
    try:
        return make(_secrets_dir=folder)
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = dict.fromkeys(_named(prefix, each["loc"]) for each in error.errors())
        raise SettingsRefused(f"What is set does not fit: {', '.join(wrong)}.") from None
    except SettingsError as error:
        # Its words quote nothing: the name of a field, and that its value is no JSON.
        raise SettingsRefused(f"What is set can't be read: {error}.") from None
    except OSError:
        raise SettingsRefused(f"{SECRETS_DIR} can't be read.") from None


def _secrets_dir() -> Path | None:
    told = os.environ.get(SECRETS_DIR)
    return Path(told) if told else None


def read_settings() -> tuple[DeploymentSettings, EngineSettings]:
    """What every process is told, and what a service apart is told. Raises SettingsRefused."""
    return read(DeploymentSettings), read(EngineSettings)


def _named(prefix: str, location: tuple[int | str, ...]) -> str:
    # Without a location it is a rule over several settings.
    return prefix + str(location[0]).upper() if location else f"{prefix}…"
