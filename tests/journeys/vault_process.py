"""A vault as its own process over HTTPS, as `make run` starts it, and everything it leaves."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyotp

START_S_MAX = 60
STOP_S_MAX = 30
# PR_CAPBSET_DROP, CAP_SYS_PTRACE: refused to whoever is not root, who has no such right anyway.
_DROP_PTRACE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@dataclass
class VaultProcess:
    """One start of a vault. `outside` is where it should write nothing at all."""

    data: Path
    outside: Path
    output: Path
    url: str
    health_url: str
    process: subprocess.Popen[bytes] = field(repr=False)
    started_in_s: float = 0.0
    deployment: bytes = b"local"

    @property
    def known(self) -> dict[str, Any]:
        """What var/demo.json says."""
        return json.loads((self.data / "demo.json").read_text())

    @property
    def first_company(self) -> dict[str, Any]:
        return self.known["tenants"][0]

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.data / "tls" / "ca.pem"))

    def client(self, **settings: Any) -> httpx.Client:
        """Trusts the vault's own authority and nothing else."""
        return httpx.Client(
            base_url=self.url, verify=self.context(), timeout=60, trust_env=False, **settings
        )

    def metrics(self) -> str:
        with httpx.Client(verify=self.context(), trust_env=False) as client:
            return client.get(f"{self.health_url}/metrics").raise_for_status().text

    def said(self) -> bytes:
        """Everything it wrote to standard output and standard error."""
        return self.output.read_bytes()

    def processes(self) -> list[int]:
        """The vault and everything it started."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            waiting += [int(child) for child in children]
        return found

    def written_outside(self) -> list[Path]:
        return sorted(self.outside.rglob("*"))


def partner_token(client: httpx.Client, partner: dict[str, str]) -> str:
    answer = client.post(
        "/auth/v1/token",
        data={"grant_type": "client_credentials"},
        auth=(partner["client_id"], partner["client_secret"]),
    )
    return answer.raise_for_status().json()["access_token"]


def staff_token(client: httpx.Client, staff: dict[str, str]) -> str:
    """A one-time code works only once, so keep the token."""
    answer = client.post(
        "/auth/v1/staff-sessions",
        json={
            "username": staff["username"],
            "password": staff["password"],
            "totp": pyotp.TOTP(staff["totp_secret"]).now(),
        },
    )
    return answer.raise_for_status().json()["access_token"]


@contextmanager
def vault_process(
    data: Path,
    scratch: Path,
    *,
    command: str = "demo",
    program: Sequence[str] = (),
    **settings: str,
) -> Iterator[VaultProcess]:
    """A vault over `data`, ready to serve; stopped at the end as Ctrl-C stops it."""
    port, health_port = free_port(), free_port()
    outside = scratch / "outside"
    outside.mkdir(parents=True, exist_ok=True)
    elsewhere = {
        name: str(outside)
        for name in ("TMPDIR", "TMP", "TEMP", "HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
    }
    environment = (
        os.environ
        | elsewhere
        | {
            "VOICEFILE_DATA_DIR": str(data),
            "VOICEFILE_PORT": str(port),
            "VOICEFILE_HEALTH_PORT": str(health_port),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        | settings
    )
    output = scratch / f"output-{port}.txt"
    voicefile = str(Path(sys.executable).with_name("voicefile"))
    started_s = time.monotonic()
    with (
        output.open("wb") as sink,
        subprocess.Popen(
            # Root may read every process; without this right, root is as curious as anybody.
            without_ptrace([*(program or [voicefile]), command]),
            env=environment,
            cwd=outside,
            stdout=sink,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        vault = VaultProcess(
            data,
            outside,
            output,
            f"https://localhost:{port}",
            f"https://localhost:{health_port}",
            process,
        )
        try:
            _wait_until_ready(vault, needs_demo=command == "demo")
            vault.started_in_s = time.monotonic() - started_s
            yield vault
        finally:
            process.terminate()
            process.wait(timeout=STOP_S_MAX)
    assert process.returncode == 0, vault.said().decode()


def without_ptrace(command: Sequence[str]) -> list[str]:
    """The command as somebody who may look into no process that does not allow it."""
    return [sys.executable, "-S", "-c", _DROP_PTRACE, *command]


def _wait_until_ready(vault: VaultProcess, *, needs_demo: bool) -> None:
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        assert vault.process.poll() is None, vault.said().decode()
        try:
            if (vault.data / "tls" / "ca.pem").exists():
                with httpx.Client(verify=vault.context(), trust_env=False) as client:
                    ready = client.get(f"{vault.health_url}/readyz").status_code == 200
                if ready and (not needs_demo or _told(vault)):
                    return
        except (httpx.TransportError, FileNotFoundError, ssl.SSLError):
            pass  # not listening yet
        time.sleep(0.05)
    raise AssertionError("the vault did not start in time")


def _told(vault: VaultProcess) -> bool:
    """The demo tells the terminal last of all."""
    return b"Ctrl-C stops" in vault.said()
