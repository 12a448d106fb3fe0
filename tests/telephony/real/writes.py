"""Which files a process and all it starts opens to write, by strace."""

import re
import shutil
from pathlib import Path

_CALLS = "trace=open,openat,creat,rename,renameat,renameat2,link,linkat"
_OPENED = re.compile(r'(?:<([^>]*)>, )?"([^"]+)".*\bO_(?:WRONLY|RDWR|CREAT)')
_NAMED = re.compile(r'(?:creat|rename\w*|link\w*)\(.*?(?:<([^>]*)>, )?"([^"]+)"[^"]*$')
_NOWHERE = re.compile(r"/(dev/(?!shm/)|proc/|sys/)")


def traced(folder: Path) -> list[str]:
    """What to put before a command."""
    strace = shutil.which("strace")
    assert strace, "strace tells what is written where (Debian: apt install strace)"
    # Only what it asks for is looked at: the rest runs at its own pace.
    return [strace, "-f", "-y", "-qq", "--seccomp-bpf", "-e", _CALLS, "-o", str(folder / "opened")]


def opened_to_write(folder: Path) -> set[Path]:
    """All of them so far."""
    found = set()
    for line in (folder / "opened").read_text(errors="replace").splitlines():
        if " = -1 " in line:
            continue
        named = _OPENED.search(line) or _NAMED.search(line)
        if named:
            # By the folder it stands in, where it is told: a name may be relative to that.
            found.add(Path(named[1] or "/", named[2]))
    return {path for path in found if not _NOWHERE.match(str(path))}
