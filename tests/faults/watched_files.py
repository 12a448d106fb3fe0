"""Steps in a folder: whatever opens a file to write, gives it another name, or takes it away.

By Python's own audit events, so nothing in the code that is killed knows of it. What SQLite does
to its files is not seen here: calls of its port are.
"""

import os
import re
import sys
from pathlib import Path

_RANDOM = re.compile(r"[0-9a-f]{16,64}")
_NAMED = {
    "os.rename": "renames",
    "os.remove": "removes",
    "os.mkdir": "makes folder",
    "os.rmdir": "removes folder",
    "os.link": "links",
}


def watch(folder: Path, step):
    """Calls `step` before each; for the rest of this process, so for one that ends soon."""

    def hook(event, args):
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
                told("opens", path)
        elif event in _NAMED:
            told(_NAMED[event], args[0])

    def told(what, path):
        if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder):
            within = Path(path).relative_to(folder).as_posix()
            step(f"file {what} {_RANDOM.sub('*', within)}")

    sys.addaudithook(hook)
