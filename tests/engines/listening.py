"""Which TCP ports a process and its children listen on, as the kernel tells it."""

from pathlib import Path

LISTEN = "0A"


def family(pid: int) -> list[int]:
    """The process and all that it started, itself first."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        try:
            for thread in Path(f"/proc/{each}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def listening_ports(pid: int | None) -> set[int]:
    """Ports on which anybody of its family takes connections from where we are: what listens in
    a network namespace of its own can't be reached, and isn't listed."""
    if pid is None:
        return set()
    held = {inode for each in family(pid) for inode in _sockets(each)}
    return {
        port
        for table in ("tcp", "tcp6")
        for port, inode in _listeners(Path(f"/proc/self/net/{table}"))
        if inode in held
    }


def _sockets(pid: int) -> set[str]:
    found = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _listeners(table: Path) -> list[tuple[int, str]]:
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [(int(row[1].rpartition(":")[2], 16), row[9]) for row in rows if row[3] == LISTEN]
