"""The real command serving the real vault over HTTPS, killed and started again at will."""

import asyncio
import os
import signal
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

READY_S_MAX = 60
DEPLOYMENT = "faults"
SETTINGS = {
    "VOICEFILE_DEPLOYMENT": DEPLOYMENT,
    # Retries come soon after a kill, not only when a lease of fifteen seconds has lapsed.
    "VOICEFILE_INGEST_LEASE_S": "2",
    "VOICEFILE_INGEST_LEASE_RENEW_S": "0.5",
    "VOICEFILE_INGEST_DUPLICATE_WAIT_S": "5",
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class ServedVault:
    """One folder, and the process that serves it just now."""

    data: Path
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    ready_s: list = field(default_factory=list)
    """How long each start took until the vault said it was ready."""
    _log: asyncio.subprocess.Process | None = None
    _started_s: float = 0.0
    _trusted: ssl.SSLContext | None = None

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def client(self, *, origin="127.0.0.1", timeout_s=20.0):
        """A client at an address of its own: throttles count networks."""
        transport = httpx.AsyncHTTPTransport(verify=self._trust(), local_address=origin)
        return httpx.AsyncClient(
            base_url=self.url, transport=transport, timeout=timeout_s, trust_env=False
        )

    async def start(self):
        """Starts it; does not wait."""
        self._started_s = time.monotonic()
        environment = os.environ | SETTINGS
        environment["VOICEFILE_DATA_DIR"] = str(self.data)
        environment["VOICEFILE_PORT"] = str(self.port)
        environment["VOICEFILE_HEALTH_PORT"] = str(self.health_port)
        environment["VOICEFILE_HOST"] = "127.0.0.1"
        # Through a pipe: what is done to the vault's own files is not done to its log.
        reading, writing = os.pipe()
        log = os.open(f"{self.data}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._log = await asyncio.create_subprocess_exec("cat", stdin=reading, stdout=log)
        self.process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("voicefile")), "serve", "all"),
            env=environment,
            stdout=writing,
            stderr=writing,
        )
        for each in (reading, writing, log):
            os.close(each)

    async def ready(self):
        """Waits until it serves; notes how long that took since it was started."""
        while not await self._says_ready():
            assert self.process.returncode is None, f"ended {self.process.returncode}"
            assert time.monotonic() - self._started_s < READY_S_MAX, "never ready"
            await asyncio.sleep(0.05)
        self.ready_s.append(time.monotonic() - self._started_s)

    async def _says_ready(self):
        try:
            context = self._trust()
            async with httpx.AsyncClient(verify=context, timeout=5, trust_env=False) as client:
                answer = await client.get(f"https://127.0.0.1:{self.health_port}/readyz")
        except (httpx.HTTPError, FileNotFoundError):
            return False
        return answer.status_code == httpx.codes.OK

    async def kill(self):
        """SIGKILL, and gone."""
        self.process.send_signal(signal.SIGKILL)
        await self.ended()

    async def stop(self):
        """In order; answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self):
        """Waits until it has ended; answers the exit code."""
        code = await self.process.wait()
        await self._log.wait()
        return code

    def _trust(self):
        if self._trusted is None:
            self._trusted = ssl.create_default_context(cafile=f"{self.data}/tls/ca.pem")
        return self._trusted
