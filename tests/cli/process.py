"""A `voicefile serve SERVICE` process with ports of its own, watched from outside."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.engines.ports import choose_ports

from voicefile.chassis.tls import service_certificate

VOICEFILE = Path(sys.executable).with_name("voicefile")
NOWHERE = "https://127.0.0.1:9"
READY_S_MAX = 90.0
AWAY = "mongodb://auth:the-words-are-secret@127.0.0.1:9/?tls=true"
"""Nobody listens there."""


def settings(certificates: Path, service: str) -> dict[str, str]:
    """Everything the service needs, with neighbours and engines that are not there."""
    return {
        "VOICEFILE_SERVICE_CERTIFICATE": str(service_certificate(certificates, service)),
        "VOICEFILE_SERVICE_CA": str(certificates / "ca.pem"),
        "VOICEFILE_AUTH_URL": NOWHERE,
        "VOICEFILE_AUDIT_URL": NOWHERE,
        "VOICEFILE_INGEST_URL": NOWHERE,
        "VOICEFILE_PLAYBACK_URL": NOWHERE,
        "VOICEFILE_BACKUP_FOLDER": str(certificates.parent / "target"),
        "VOICEFILE_BACKUP_KEY": str(certificates.parent / "backup.key"),
        "VOICEFILE_MONGO_URI": AWAY,
        "VOICEFILE_MONGO_CA": str(certificates / "ca.pem"),
        "VOICEFILE_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "VOICEFILE_KAFKA_CA": str(certificates / "ca.pem"),
        "VOICEFILE_S3_ENDPOINT": NOWHERE,
        "VOICEFILE_S3_BUCKET": "voicefile",
        "VOICEFILE_S3_ACCESS_KEY": "somebody",
        "VOICEFILE_S3_SECRET_KEY": "the-words-are-secret",
        "VOICEFILE_S3_CA": str(certificates / "ca.pem"),
        "VOICEFILE_ROOT_DIR": str(certificates.parent / "root" / service),
    }


@dataclass
class Served:
    """One process. `told` is its whole environment but for the path to Python."""

    folder: Path
    service: str
    told: dict[str, str]
    ports: dict[str, int] = field(
        default_factory=lambda: choose_ports(("public", "internal", "health"))
    )
    process: subprocess.Popen[bytes] | None = None
    pretending: str = ""
    """How a service behaves that only pretends to be this one."""

    @property
    def command(self) -> list[str]:
        if self.pretending:
            pretend = Path(__file__).with_name("pretend.py")
            return [sys.executable, str(pretend), self.pretending]
        return [str(VOICEFILE), "serve", self.service]

    @property
    def authority(self) -> Path:
        return Path(self.told["VOICEFILE_SERVICE_CA"])

    @property
    def log(self) -> str:
        return (self.folder / f"{self.service}.log").read_text()

    def start(self) -> "Served":
        own = {
            f"VOICEFILE_{name}PORT": str(self.ports[port])
            for name, port in (("", "public"), ("INTERNAL_", "internal"), ("HEALTH_", "health"))
        }
        with (self.folder / f"{self.service}.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                env={"PATH": os.environ["PATH"], **own, **self.told},
                stdout=log,
                stderr=log,
            )
        return self

    def get(self, port: str, path: str, **asked) -> httpx.Response:
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(verify=trusted, trust_env=False, timeout=30) as client:
            return client.get(f"https://localhost:{self.ports[port]}{path}", **asked)

    def until(self, path: str, status: int) -> httpx.Response:
        """Waits until health says so."""
        assert self.process is not None
        ends_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                answer = self.get("health", path)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == status:
                return answer
            assert self.process.poll() is None, self.log
            assert time.monotonic() < ends_s, self.log
            time.sleep(0.1)

    def tell_to_stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(60)

    def events(self) -> list[str]:
        """What it logged, by name."""
        return [json.loads(line)["event"] for line in self.log.splitlines()]

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
