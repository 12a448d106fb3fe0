"""Finds the processes a test has started, without any tool."""

import os
from pathlib import Path


def children_of(parent: int) -> list[int]:
    """Processes whose parent this is; those that ended and wait to be reaped count."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


_others: set[int] = set()


def leave_out_others() -> None:
    """From now on `zygotes` tells of those started after this: a whole vault may be running."""
    _others.clear()
    _others.update(zygotes())


def zygotes() -> list[int]:
    """Decoder processes of this test process."""
    found = []
    for pid in set(children_of(os.getpid())) - _others:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if b"voicefile.ingest.media.decoder_process" in command:
            found.append(pid)
    return found


def peak_memory_mib(pid: int) -> int:
    """The most a process has had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1_024
