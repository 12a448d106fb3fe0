"""A hardened process leaves no core and lets nobody of the same user read its memory."""

import subprocess
import sys

PROGRAM = """
import ctypes, os, resource
from voicefile.chassis.harden import harden
harden()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(dumpable, resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))
"""


def test_a_hardened_process_cannot_be_dumped():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(maxsplit=1)[1].strip() == "(0, 0) 0o77"
    if sys.platform == "linux":
        assert done.stdout.startswith("0 ")
