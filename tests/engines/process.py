"""One real server as a process of its own: started, killed, paused and started again where it was.

What is common to all engines: a folder of their own for data, log and ports; ports that stay the
same for life; and a process that another process can find again by its id and its birth.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.engines.certificates import certificate
from tests.engines.ports import choose_ports

FRONT = Path(__file__).with_name("front.py")
KILLED_S_MAX = 20
POLL_S = 0.05
# A session of its own, so that Ctrl-C in a terminal means the tests and not their engines. Then
# PR_SET_PDEATHSIG, SIGKILL: an engine that belongs to a test doesn't outlive its test, not even
# where that was killed. The parent's id is compared in case it is gone already.
_BEGIN = """
import ctypes, os, sys
folder, leash, *command = sys.argv[1:]
os.setsid()
os.chdir(folder)
if leash != "0":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    os.getppid() == int(leash) or sys.exit("nobody is left who wants this engine")
os.execvp(command[0], command)
"""


PAUSED_S_MAX = 2.0


class EngineDidNotStart(Exception):
    """It ended, or was not ready in time; the text holds the end of its log."""

    def __init__(self, text: str, *, soon: bool = True) -> None:
        super().__init__(text)
        self.soon = soon
        """Whether another try may be worth its time."""


class Engine:
    """What each engine fills in: `command`, `ready`, and what has to be done before and after.

    `leash=True` ties it to the process that started it; the shared ones of `up` run on alone.
    """

    name = "engine"
    port_names: Sequence[str] = ("main",)
    start_s_max = 60.0
    stop_s_max = 20.0
    lacks: Sequence[str] = ()
    """What it can't do that the real thing can; said aloud."""

    def __init__(self, folder: Path, certificates: Path, *, leash: bool = True) -> None:
        self.folder = folder.absolute()
        self.certificates = certificates.absolute()
        self._leash = leash
        self.folder.mkdir(parents=True, exist_ok=True)

    # ---- filled in by each engine ----

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def ready(self) -> bool:
        raise NotImplementedError

    def prepare(self) -> None:
        """Before each start: what it reads is written."""

    def furnish(self) -> None:
        """After each start: opened, signed in, unsealed."""

    # ---- common to all ----

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def authority(self) -> Path:
        return self.certificates / "ca.pem"

    @property
    def ports(self) -> dict[str, int]:
        """Chosen once and kept, so that it comes back where its clients look for it."""
        path = self.folder / "ports.json"
        found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        missing = [name for name in self.port_names if name not in found]
        if missing:
            found |= choose_ports(missing)
            write_private(path, json.dumps(found))
        return found

    @property
    def pid(self) -> int | None:
        """Its process, also when another process started it; None when it doesn't run."""
        return pid_in(self.folder)

    def start(self) -> None:
        """Ready when it returns. Does nothing where it runs already."""
        if self.pid is not None:
            return
        for left in (2, 1, 0):
            fresh = not (self.folder / "served").exists()
            try:
                self.prepare()
                self.spawn(self.command())
                self.await_ready(self.ready)
                self.furnish()
                break
            except EngineDidNotStart as why:
                self.kill()
                if not (why.soon and fresh and left):
                    raise
                # Somebody may have been faster on a port: nobody knows its address yet.
                self.wipe()
                (self.folder / "ports.json").unlink(missing_ok=True)
        (self.folder / "served").touch()

    def stop(self) -> None:
        """As an operator stops it; whatever doesn't heed that is killed."""
        self.resume()
        self._signal(signal.SIGTERM)
        if not self._ended_within(self.stop_s_max):
            self.kill()

    def kill(self) -> None:
        """kill -9: nothing is flushed, nothing said goodbye."""
        self._signal(signal.SIGKILL)
        if not self._ended_within(KILLED_S_MAX):
            raise AssertionError(f"{self.name} outlived SIGKILL")

    def pause(self) -> None:
        """Stands still with its sockets open, as on a frozen disk."""
        self._signal(signal.SIGSTOP)
        until, pid = time.monotonic() + PAUSED_S_MAX, self.pid
        while pid is not None and not _stands_still(pid) and time.monotonic() < until:
            time.sleep(0.005)  # a thread on another core may still answer

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Loses all it stored; ports, passwords and the log stay."""
        if self.pid is not None:
            raise AssertionError(f"{self.name} runs: stop it before it forgets")
        shutil.rmtree(self.data, ignore_errors=True)
        (self.folder / "served").unlink(missing_ok=True)

    # ---- for the engines ----

    def fronted(
        self, command: Sequence[str], doors: Mapping[str, str], *, mutual: bool = False
    ) -> list[str]:
        """The command behind TLS that it can't do itself. Doors: a port's name and its ALPN; the
        server listens in plain on the port `<name>_inside`."""
        ports = self.ports
        own = str(certificate(self.certificates, self.name))
        pairs = [f"{ports[n]}:{ports[f'{n}_inside']}:{alpn}" for n, alpn in doors.items()]
        authority = str(self.authority) if mutual else "-"
        return [sys.executable, "-S", str(FRONT), own, authority, *pairs, "--", *command]

    def spawn(self, command: Sequence[str]) -> None:
        """Starts it, with the log as its only output."""
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "JAVA_HOME"}}
        environment = kept | {"HOME": str(self.folder), **self.environment()}
        leash = str(os.getpid() if self._leash else 0)
        begin = [sys.executable, "-S", "-c", _BEGIN, str(self.folder), leash, *command]
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        into = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), appending, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = (
            lasting_thread()
            .submit(os.posix_spawn, sys.executable, begin, environment, file_actions=into)
            .result()
        )
        noted = {"pid": pid, "birth": birth_of(pid)}
        write_private(self.folder / "pid.json", json.dumps(noted))

    def await_ready(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + self.start_s_max
        while time.monotonic() < until:
            if self._ended():
                raise EngineDidNotStart(f"{self.name} ended at once:\n{self.last_words()}")
            if ready():
                return
            time.sleep(POLL_S)
        raise EngineDidNotStart(
            f"{self.name} was not ready after {self.start_s_max} s:\n{self.last_words()}",
            soon=False,
        )

    def last_words(self) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    def _signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _ended(self) -> bool:
        self._reap()
        return self.pid is None

    def _reap(self) -> None:
        """Where it is a child of this process, its end has to be fetched."""
        with contextlib.suppress(FileNotFoundError, ChildProcessError):
            os.waitpid(json.loads((self.folder / "pid.json").read_text())["pid"], os.WNOHANG)

    def _ended_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._ended():
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)
        return True


def pid_in(folder: Path) -> int | None:
    """The process whose folder it is; None when it doesn't run."""
    try:
        noted = json.loads((folder / "pid.json").read_text())
    except FileNotFoundError:
        return None
    pid: int = noted["pid"]
    return pid if noted["birth"] is not None and birth_of(pid) == noted["birth"] else None


def _stands_still(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(each.read_text().rpartition(")")[2].split()[0] in "TtZX" for each in threads)
    except (FileNotFoundError, ProcessLookupError):
        return False  # one ended just now: look again


def birth_of(pid: int) -> str | None:
    """When the process was born, in the kernel's clock ticks; None when it is dead or a zombie.

    Numbers of processes are used again; number and birth together are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else fields[18]


def write_private(path: Path, content: str) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    fresh.replace(path)


@functools.cache
def lasting_thread() -> ThreadPoolExecutor:
    """Starts engines. A leash is tied to the thread that starts, not to its process, and a thread
    of a test's event loop ends with the loop; this one ends with the process."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="starts-engines")
