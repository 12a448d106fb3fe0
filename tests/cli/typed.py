"""Commands as somebody types them, each in a process of its own, without loading libraries anew.

`run(words, env)` answers what `subprocess.run(["voicefile", *words], env=env)` would. One process
has loaded what services are made of and forks for each command, which imports the command's own
modules and ends as the real one does. What the installed script does, and what a process of one
service loads, is tried with the real one: tests/cli/test_serve_apart, tests/journeys.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

ROOT = Path(__file__).parents[2]
LOADED = (
    *("voicefile.auth.app", "voicefile.audit.app", "voicefile.ingest.app"),
    *("voicefile.playback.app", "voicefile.portal.app"),
    *("typer", "uvicorn", "uvloop", "motor.motor_asyncio", "aiokafka"),
)
"""No command's own module: those are imported in the order in which the command imports them."""
ORDER_BYTES_MAX = 131_072
ALONE = threading.Lock()


def run(
    words: Sequence[str], env: Mapping[str, str], *, timeout_s: int = 110
) -> subprocess.CompletedProcess[str]:
    """One command with this environment, and what it said. A signal ends it after `timeout_s`."""
    order = json.dumps({"words": words, "env": dict(env), "timeout_s": timeout_s}).encode()
    with ALONE, TemporaryFile() as out, TemporaryFile() as err:
        wire = _wire()
        socket.send_fds(wire, [order], [out.fileno(), err.fileno()])
        answer = wire.recv(ORDER_BYTES_MAX)
        assert answer, "the process that forks has ended"
        said = []
        for each in (out, err):
            each.seek(0)
            said.append(each.read().decode())
    return subprocess.CompletedProcess(words, int(answer), *said)


@cache
def _wire() -> socket.socket:
    """To the process that forks; it ends when this one closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, stdin=theirs)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _forked() -> tuple[dict[str, object], list[int]]:
    """Forks for each order, and comes back in the forked process alone."""
    for name in LOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads can not be forked safely"
    # What is collected is touched, and what is touched is copied.
    gc.collect()
    gc.freeze()
    wire = socket.socket(fileno=os.dup(0))
    while True:
        order, files, _, _ = socket.recv_fds(wire, ORDER_BYTES_MAX, 2)
        if not order:
            sys.exit()
        pid = os.fork()
        if not pid:
            wire.close()
            return json.loads(order), files
        for each in files:
            os.close(each)
        _, status = os.waitpid(pid, 0)
        wire.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(order, files) -> None:
    """From here on it is the command's process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard, opened in enumerate((nothing, *files)):
        os.dup2(opened, standard)
        os.close(opened)
    signal.alarm(order["timeout_s"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["voicefile", *order["words"]]


if __name__ == "__main__":
    _become(*_forked())
    from voicefile.cli.main import app

    app()
