"""What can go wrong with processes, wires and disks, each as something that holds and is healed.

A fault is a context: entered, it strikes; left, it is healed as an operator would heal it, who
starts an engine again that has given up. Services are started again by the cluster's supervisor.
"""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.engines.process import Engine
from tests.faults.nemesis.proxy import PASSES, Rule
from tests.faults.nemesis.schedule import Kind

TRACED = "strace.txt"
BALLAST = "ballast"
BALLAST_PIECE = b"\0" * (1 << 20)
MIB = 1 << 20
DISK_MIB = 384
"""How much a private engine's own small disk holds."""
ENGINES = ("kafka", "mongo", "s3")
SERVICES = ("auth", "audit", "ingest", "playback", "portal")
"""Who serves. What becomes of a backup that is killed is tried with backups."""
REPLICAS = tuple(f"{service}-{n}" for service in SERVICES for n in (1, 2))
PAIRS_WITH_ENGINES = (
    *(f"{service}>{engine}" for service in SERVICES[:-1] for engine in ("mongo", "kafka")),
    *("ingest>s3", "playback>s3"),
    *(f"{replica}>mongo" for replica in ("auth-1", "ingest-2", "audit-1")),
)
PAIRS_INSIDE = ("ingest>auth", "playback>auth", "auth>audit", "portal>auth", "ingest-1>auth-2")
PAIRS = PAIRS_WITH_ENGINES + PAIRS_INSIDE

Fault = Callable[[Cluster, str], AbstractContextManager[None]]


class CouldNotAttach(Exception):
    """strace is there and may not look into another process."""


def process_of(cluster: Cluster, target: str) -> Engine:
    """An engine or a replica, by name."""
    engines = cluster.engines.all
    return engines[target] if target in engines else cluster.named(target)


@contextmanager
def killed(cluster: Cluster, target: str) -> Iterator[None]:
    """kill -9 of one process."""
    process_of(cluster, target).kill()
    yield
    _up_again(cluster, target)


@contextmanager
def all_killed(cluster: Cluster, target: str) -> Iterator[None]:
    """kill -9 of all replicas of a service at once, or of everything there is."""
    whole = target == "everything"
    replicas = cluster.everybody if whole else cluster.replicas[target]
    engines = list(cluster.engines.all) if whole else []
    for each in [*replicas, *(cluster.engines.all[name] for name in engines)]:
        each.kill()
    yield
    for name in engines:
        _up_again(cluster, name)


@contextmanager
def paused(cluster: Cluster, target: str) -> Iterator[None]:
    """SIGSTOP: it says nothing, and its sockets stay open."""
    process_of(cluster, target).pause()
    try:
        yield
    finally:
        process_of(cluster, target).resume()


def _wire(rule: Rule) -> Fault:
    @contextmanager
    def struck(cluster: Cluster, target: str) -> Iterator[None]:
        who, door = target.split(">")
        assert cluster.wires is not None, "the cluster has no proxies"
        cluster.wires.rule(door, rule, who=who)
        try:
            yield
        finally:
            cluster.wires.rule(door, PASSES, who=who)

    return struck


@contextmanager
def reset(cluster: Cluster, target: str) -> Iterator[None]:
    """Connections between two are cut, again and again, and new ones are let through."""
    who, door = target.split(">")
    assert cluster.wires is not None, "the cluster has no proxies"
    cluster.wires.reset(door, who=who)
    yield
    cluster.wires.reset(door, who=who)


@contextmanager
def broker_deleted(cluster: Cluster, _target: str) -> Iterator[None]:
    """Kafka is gone with all it had; a new, empty one takes its place."""
    kafka = cluster.engines.kafka
    kafka.kill()
    kafka.wipe()
    yield
    kafka.start()
    cluster.furniture.arrange_topics()


@contextmanager
def disk_full(cluster: Cluster, target: str) -> Iterator[None]:
    """Not one byte more fits on the engine's disk. WiredTiger and Kafka don't get over that."""
    engine = cluster.engines.all[target]
    ballast = engine.data / BALLAST
    with _filled(engine, ballast):
        yield
    engine.kill()
    _up_again(cluster, target)


@contextmanager
def _filled(engine: Engine, ballast: Path) -> Iterator[None]:
    if os.path.ismount(engine.data):
        _fill(ballast)
        try:
            yield
        finally:
            ballast.unlink()
        return
    # Without a disk of its own: no file of the engine's may grow beyond what it has written.
    pid = engine.pid
    assert pid is not None
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for piece in (BALLAST_PIECE, BALLAST_PIECE[:4096], BALLAST_PIECE[:1]):
            try:
                while True:
                    file.write(piece)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


@contextmanager
def fsync_fails(cluster: Cluster, target: str) -> Iterator[None]:
    """Every fsync of the engine answers EIO. Who has seen that is not to be trusted any more."""
    engine = cluster.engines.all[target]
    with failing_syncs(engine.pid, engine.folder / TRACED):
        yield
    engine.kill()
    _up_again(cluster, target)


def syncs_failed(engine: Engine) -> int:
    """How many calls of it were made to fail, the last time that was done."""
    traced = engine.folder / TRACED
    return traced.read_text().count("(INJECTED)") if traced.exists() else 0


@contextmanager
def failing_syncs(pid: int | None, told: Path) -> Iterator[None]:
    """For a process and its threads; `told` names each call that failed."""
    inject = "inject=fsync,fdatasync,msync,sync_file_range:error=EIO"
    command = ["strace", "-f", "-p", str(pid), "-o", str(told), "-e", inject]
    with subprocess.Popen([*command, "-e", "trace=fsync,fdatasync"], stderr=subprocess.PIPE) as at:
        assert at.stderr is not None
        said = at.stderr.readline()
        if b"attached" not in said:
            raise CouldNotAttach(said.decode(errors="replace").strip())
        try:
            yield
        finally:
            at.terminate()
            at.stderr.read()


def _up_again(cluster: Cluster, target: str) -> None:
    if target in cluster.engines.all:
        cluster.engines.all[target].start()


FAULTS: dict[str, Fault] = {
    "killed": killed,
    "all killed": all_killed,
    "paused": paused,
    "cut off": _wire(Rule(blackhole=True)),
    "refused": _wire(Rule(refused=True)),
    "late": _wire(Rule(latency_s=0.15)),
    "slow": _wire(Rule(bytes_per_s=40_000)),
    "deaf": _wire(Rule(deaf=True)),
    "cut after asking": _wire(Rule(cut_after_bytes=6_000)),
    "reset": reset,
    "broker deleted": broker_deleted,
    "disk full": disk_full,
    "fsync fails": fsync_fails,
}


def kinds(*, longest_s: float) -> list[Kind]:
    """All that may be drawn, with targets; times scale with the longest."""
    short, long = (0.2 * longest_s, 0.5 * longest_s), (0.4 * longest_s, longest_s)
    found = [
        Kind("killed", REPLICAS, (0.0, 2.0), weight=6),
        Kind("killed", ENGINES, short, weight=3),
        Kind("all killed", ("auth", "ingest", "playback", "audit"), (0.0, 1.0), weight=2),
        Kind("all killed", ("everything",), (0.0, 2.0)),
        Kind("paused", REPLICAS, long, weight=3),
        Kind("paused", ENGINES, short, weight=2),
        Kind("cut off", PAIRS_WITH_ENGINES, long, weight=4),
        Kind("cut off", PAIRS_INSIDE, long, weight=3),
        Kind("refused", PAIRS, short),
        Kind("late", PAIRS, long, weight=2),
        Kind("slow", PAIRS, short),
        Kind("deaf", PAIRS, short, weight=2),
        Kind("cut after asking", PAIRS, short, weight=3),
        Kind("reset", PAIRS, (0.0, 2.0)),
        Kind("broker deleted", ("kafka",), (0.0, 3.0)),
        Kind("disk full", ENGINES, short),
    ]
    if strace_works() is None:
        found.append(Kind("fsync fails", ("mongo", "kafka"), short))
    return found


def strace_works() -> str | None:
    """None, or why no fsync can be made to fail here."""
    if shutil.which("strace") is None:
        return "fsync can't be made to fail: no strace (Debian: apt install strace)"
    with subprocess.Popen(["sleep", "60"]) as idle:
        try:
            with failing_syncs(idle.pid, Path(os.devnull)):
                return None
        except CouldNotAttach as error:
            return f"fsync can't be made to fail: {error}"
        finally:
            idle.kill()


@contextmanager
def small_disks(folder: Path) -> Iterator[str | None]:
    """A disk of its own for each engine's data, before it starts; or why there is none."""
    with ExitStack() as mounted:
        for name in ENGINES:
            data = folder / name / "data"
            data.mkdir(parents=True, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "voicefile", str(data)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"no disk can be mounted, a limit on files stands in: {done.stderr.strip()}"
                return
            mounted.callback(subprocess.run, ["umount", "--lazy", str(data)], check=True)
        yield None
