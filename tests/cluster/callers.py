"""Who is at the other end of a local connection: the process that owns the socket, by its port."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

LOOPBACK = "0100007F"
STRANGER = "?"


def inode_of(near: int, door: int) -> str | None:
    """The socket that calls from port `near` to port `door` on this machine."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if local.endswith(f":{near:04X}") and remote == f"{LOOPBACK}:{door:04X}":
            return rest[6]
    return None


def holds(pid: int, inode: str) -> bool:
    """Whether the process has this socket open."""
    wanted = Path(f"socket:[{inode}]")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if each.readlink() == wanted:
                    return True
    return False


def caller(near: int, door: int, known: Mapping[str, int]) -> str:
    """The name of whoever calls, out of `known` names and process ids."""
    inode = inode_of(near, door)
    if inode is None:
        return STRANGER
    return next((name for name, pid in known.items() if holds(pid, inode)), STRANGER)
