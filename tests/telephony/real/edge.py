"""An edge as deploy/freeswitch ships it, started by its own `start`, on this machine's loopback.

What a carrier would see of it, and what lies where: nothing of it is changed for tests but its
settings. It listens where an edge does; two of them can't run at once on one machine.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.bench.figures import children
from tests.deploy.nginx import binary

from voicefile.chassis.tls import service_certificate

SHIPPED: Final = Path(__file__).parents[3] / "deploy" / "freeswitch"
MEMORY: Final = Path("/dev/shm")
INSTALLED: Final = "/usr/local/freeswitch/bin"
OLDEST: Final = (1, 10)
SIPS, FORWARDER = 5061, 8470
STARTS_S_MAX: Final = 60.0
AWAKES_S: Final = 3.0
"""It listens before it takes calls: until then it answers 503."""
ADDRESS: Final = "127.0.0.1"


class NotHere(Exception):
    """Why no edge can run on this machine."""


def switch() -> Path:
    """FreeSWITCH of this machine. Raises NotHere."""
    found = shutil.which("freeswitch", path=f"{os.environ.get('PATH', '')}:{INSTALLED}")
    if found is None:
        raise NotHere("no FreeSWITCH is installed")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version: (\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise NotHere("its FreeSWITCH is older than 1.10, or does not run")
    if not os.access(MEMORY, os.W_OK):
        raise NotHere("it has no /dev/shm")
    return Path(found)


class Edge:
    """One edge. `service` is playback's port on this machine."""

    def __init__(
        self, folder: Path, run: Path, *, vault: Path, service: int, wrap: Sequence[str] = ()
    ) -> None:
        """`vault`: the folder of certificates that lets an edge in. `wrap` runs `start`."""
        self.run, self.folder = run, folder
        self.papers, self.carrier = folder / "papers", folder / "carrier"
        self.papers.mkdir(parents=True)
        agent = service_certificate(folder / "sip", "edge")
        self.client = service_certificate(folder / "sip", "carrier")
        shutil.copy(agent, self.papers / "agent.pem")
        shutil.copy(folder / "sip" / "ca.pem", self.papers / "cafile.pem")
        shutil.copy(vault / "edge-1.pem", self.papers / "certificate.pem")
        shutil.copy(vault / "ca.pem", self.papers / "ca.pem")
        self.said = folder / "said"
        self.settings = {
            "PATH": f"{switch().parent}:{Path(binary()).parent}:{os.environ['PATH']}",
            "EDGE_RUN": str(run),
            "EDGE_PAPERS": str(self.papers),
            "EDGE_ADDRESS": ADDRESS,
            "EDGE_PROVIDERS": f"{ADDRESS}/32",
            "EDGE_SERVICE": f"{ADDRESS}:{service}",
        }
        self.shipped, self._wrap = SHIPPED, list(wrap)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until calls are taken."""
        for port in (SIPS, FORWARDER):
            assert not listens(port), f"something else listens on port {port}"
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [*self._wrap, str(self.shipped / "start")],
                env=self.settings,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                start_new_session=True,
            )
        ends_s = time.monotonic() + STARTS_S_MAX
        while not (listens(SIPS) and listens(FORWARDER)):
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < ends_s, "it does not listen"
            time.sleep(0.1)
        time.sleep(AWAKES_S)

    def stop(self) -> int:
        """Its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    def ended(self) -> int:
        """Waits for an end of its own."""
        assert self.process is not None
        return self.process.wait(60)

    def switch_pid(self) -> int:
        """FreeSWITCH's process."""
        return next(pid for pid, name in self.family() if name.startswith("freeswitch"))

    def family(self) -> list[tuple[int, str]]:
        """Whom `start` has started, with names."""
        assert self.process is not None
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            with suppress(FileNotFoundError):  # `start` sleeps in a process of its own
                found.append((pid, Path(f"/proc/{pid}/comm").read_text().strip()))
            left += children(pid)
        return found

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """FreeSWITCH alone dies."""
        os.kill(self.switch_pid(), how)

    def kill_all(self) -> None:
        """As if the machine died."""
        for pid, _ in self.family():
            os.kill(pid, signal.SIGKILL)
        self.ended()

    def calls(self, *, secure: bool) -> tuple[ssl.SSLContext | None, int]:
        """How a carrier comes to it."""
        if not secure:
            return None, SIPS
        context = ssl.create_default_context(cafile=str(self.papers / "cafile.pem"))
        context.load_cert_chain(self.client)
        return context, SIPS

    @property
    def log(self) -> str:
        return (self.run / "log" / "edge.log").read_text(errors="replace")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0


@contextmanager
def memory(name: str) -> Iterator[Path]:
    """A folder that is memory, as a tmpfs of its own would be."""
    folder = MEMORY / f"voicefile-edge-{os.getpid()}-{name}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    folder: Path,
    *,
    vault: Path,
    service: int,
    wrap: Sequence[str] = (),
    shipped: Path = SHIPPED,
    **settings: str,
) -> Iterator[Edge]:
    """An edge that takes calls."""
    with memory(folder.name) as run:
        edge = Edge(folder, run, vault=vault, service=service, wrap=wrap)
        edge.settings |= settings
        edge.shipped = shipped
        try:
            edge.start()
            yield edge
        finally:
            if edge.process is not None:
                edge.stop()
