"""MongoDB's wire protocol: `mongod` where it is installed, else secantusdb, over TLS with users.

The half about `mongod` is written from its documentation: there was none where this was written.
"""

import functools
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from tests.engines.certificates import certificate
from tests.engines.environment import python, version_in_lock
from tests.engines.process import Engine, write_private

ADMIN = "admin"
SECANTUS = "secantusdb"
SECANTUS_LACKS = (
    "one node that calls itself a replica set: no election, no rollback, no lagging secondary",
    "aggregation paths through arrays answer wrongly without saying so",
    "slow (hundreds of inserts a second): no figure taken on it says anything about MongoDB",
    "a beta by one maintainer",
)


@functools.cache
def installed_mongod() -> str | None:
    return shutil.which("mongod")


class Mongo(Engine):
    """One node that calls itself a replica set, so that majority and sessions mean something."""

    name = "mongo"
    start_s_max = 90.0
    cache = "128M"
    """Of secantusdb, at most. One that changes more than this holds stands still for good."""

    @property
    def kind(self) -> str:
        mongod = installed_mongod()
        if mongod is None:
            return f"{SECANTUS} {version_in_lock(SECANTUS)}"
        said = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"db version v(\S+)", said.stdout)
        return f"mongod {found[1] if found else '?'}"

    @property
    def lacks(self) -> Sequence[str]:  # type: ignore[override]
        return () if installed_mongod() else SECANTUS_LACKS

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.ports['main']}"

    @property
    def uri_admin(self) -> str:
        return self.uri(ADMIN, self._password, ADMIN)

    @property
    def client_certificate(self) -> Path:
        return certificate(self.certificates, "operator")

    def uri(self, user: str, password: str, authenticated_by: str) -> str:
        """TLS is demanded by the address; whom to trust is said beside it."""
        return f"mongodb://{user}:{password}@{self.host}/?authSource={authenticated_by}&tls=true"

    def client(self, uri: str | None = None, **options: Any) -> MongoClient[dict[str, Any]]:
        """A driver connection, by default the administrator's. Close it."""
        settings: dict[str, Any] = {
            "serverSelectionTimeoutMS": 2000,
            "tls": True,
            "tlsCAFile": str(self.authority),
        }
        return MongoClient(uri or self.uri_admin, **settings | options)

    def command(self) -> Sequence[str]:
        return self._mongod() if installed_mongod() else [*self._secantus(), "--auth"]

    def prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        certificate(self.certificates, self.name)
        if not (self.folder / "admin.json").exists():
            write_private(
                self.folder / "admin.json", json.dumps({"password": secrets.token_urlsafe(24)})
            )
        if installed_mongod():
            if not (self.folder / "keyfile").exists():
                write_private(self.folder / "keyfile", secrets.token_hex(64))
        elif not any(self.data.iterdir()):
            self._make_secantus_administrator()

    def ready(self) -> bool:
        if installed_mongod() and not (self.folder / "served").exists():
            self._make_mongod_administrator()
        try:
            with self.client() as client:
                client.admin.command("ping")
                return bool(client.admin.command("hello").get("isWritablePrimary"))
        except PyMongoError:
            return False

    @property
    def _password(self) -> str:
        return str(json.loads((self.folder / "admin.json").read_text())["password"])

    @property
    def _create_administrator(self) -> dict[str, Any]:
        role = {"role": "root", "db": ADMIN}
        return {"createUser": ADMIN, "pwd": self._password, "roles": [role]}

    def _open_client(self) -> MongoClient[dict[str, Any]]:
        """Signed in as nobody, which works as long as there is no user."""
        return self.client(f"mongodb://{self.host}/?directConnection=true")

    def _secantus(self) -> list[str]:
        own = str(self.certificates / f"{self.name}.pem")
        return [
            *(str(python()), "-m", "secantus"),
            *("--host", "127.0.0.1", "--port", str(self.ports["main"])),
            *("--storage-path", str(self.data), "--cache-size", self.cache, "--sync-on-commit"),
            *("--tls-cert-file", own, "--tls-key-file", own, "--tls-ca-file", str(self.authority)),
            *("--log-level", "WARNING"),
        ]

    def _make_secantus_administrator(self) -> None:
        """Its first user is made while it asks nobody for a password; it serves nobody else yet."""
        self.spawn(self._secantus())
        self.await_ready(self._administrator_made)
        self.stop()

    def _administrator_made(self) -> bool:
        try:
            with self._open_client() as client:
                client.admin.command(self._create_administrator)
        except PyMongoError:
            return False
        return True

    def _mongod(self) -> list[str]:
        return [
            *(str(installed_mongod()), "--dbpath", str(self.data), "--replSet", "voicefile"),
            *("--bind_ip", "127.0.0.1", "--port", str(self.ports["main"])),
            *("--tlsMode", "requireTLS", "--tlsCAFile", str(self.authority)),
            *("--tlsCertificateKeyFile", str(self.certificates / f"{self.name}.pem")),
            *("--tlsAllowConnectionsWithoutCertificates", "--unixSocketPrefix", str(self.folder)),
            *("--auth", "--keyFile", str(self.folder / "keyfile"), "--quiet"),
            *("--wiredTigerCacheSizeGB", "0.25"),
        ]

    def _make_mongod_administrator(self) -> None:
        """Once, over the exception that a mongod without users makes for its own machine."""
        members = [{"_id": 0, "host": self.host}]
        for command in (
            {"replSetInitiate": {"_id": "voicefile", "members": members}},
            self._create_administrator,
        ):
            try:
                with self._open_client() as client:
                    client.admin.command(command)
            except OperationFailure:
                continue  # Done already, or not primary yet: it is asked again.
            except PyMongoError:
                return
