"""Hardening: what a process gives up before it holds a key."""

import ctypes
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PRIVATE_UMASK: Final = 0o077


class NotHardened(RuntimeError):
    """The system refused; a process that may leave its memory on disk must not hold keys."""


def harden() -> None:
    """No core dumps, no reading of our memory by others of the same user, files for us alone."""
    os.umask(_PRIVATE_UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(
        _PR_SET_DUMPABLE, 0, 0, 0, 0
    ):
        raise NotHardened("prctl(PR_SET_DUMPABLE) failed")
