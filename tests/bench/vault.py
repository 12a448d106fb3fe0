"""The vault as another process: start it, ask what it uses, stop it."""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.bench.figures import Usage, children, family_cpu_s, usage

ROOT = Path(__file__).parents[2]


@dataclass
class VaultProcess:
    """A running vault with tenants in it."""

    data: Path
    port: int
    process: subprocess.Popen[str] = field(repr=False)
    tenants: list[dict[str, str]] = field(default_factory=list, repr=False)

    @property
    def authority(self) -> Path:
        return self.data / "tls" / "ca.pem"

    @property
    def usage(self) -> Usage:
        return usage(self.process.pid)

    @property
    def decoders_cpu_s(self) -> float:
        """Of the zygote and all decoders it has forked so far."""
        return family_cpu_s(self.process.pid)

    @property
    def zygote(self) -> int:
        return children(self.process.pid)[0]

    def tell(self, **asked: Any) -> dict[str, Any]:
        """Asks the process itself."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def sign_in(self, filed: dict[str, str]) -> dict[str, str]:
        """The header of the customer who was told this access ID and PIN."""
        with self.client() as client:
            answer = client.post(
                "/auth/v1/customer-sessions",
                json={"access_id": filed["access_id"], "pin": filed["pin"]},
            )
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['session_token']}"}

    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(
            base_url=f"https://localhost:{self.port}", verify=context, trust_env=False, timeout=60
        )

    def uploaded(self, audio: Path, media_type: str = "audio/wav", **job: Any) -> dict[str, Any]:
        """Lets partners of the first tenant upload from another process."""
        wanted = {
            "port": self.port,
            "authority": str(self.authority),
            "token": self.tenants[0]["partner_token"],
            "audio": str(audio),
            "media_type": media_type,
            "uploads": 1,
            "partners": 1,
            **job,
        }
        ran = subprocess.run(
            [sys.executable, "-m", "tests.bench.uploader"],
            cwd=ROOT,
            input=json.dumps(wanted),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(ran.stdout)

    def profiled(self, into: Path) -> None:
        self.tell(do="profiled", into=str(into))


@contextmanager
def vault_process(
    data: Path, *, companies: int = 1, core: int | None = None, **settings: str
) -> Iterator[VaultProcess]:
    """A vault over `data` with that many new tenants, ready to serve; on one core if named."""
    port, health_port = free_port(), free_port()
    environment = os.environ | {
        "VOICEFILE_DATA_DIR": str(data),
        "VOICEFILE_PORT": str(port),
        "VOICEFILE_HEALTH_PORT": str(health_port),
        **settings,
    }
    cores = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})  # a child inherits it, with all its threads
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.vault_process", str(companies)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(0, cores)
    assert process.stdin
    assert process.stdout
    with process:
        try:
            started = VaultProcess(data, port, process)
            started.tenants += json.loads(process.stdout.readline())["tenants"]
            yield started
        finally:
            process.stdin.close()
            process.wait(timeout=60)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one bench, on the disk that the project lies on."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_place()) as made:
        yield Path(made)


def _place() -> str | None:
    # /tmp may be memory: then durable writes would cost nothing.
    return os.environ.get("VOICEFILE_BENCH_DIR")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
