"""A decoder process that, instead of decoding, tries what an upload names.

Started by tests in place of the real one, so that all that surrounds a job is real: the zygote,
its environment, the confinement. With `--free NAME` it tries NAME unconfined, as a control.
"""

import ctypes
import errno
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

from voicefile.ingest.media.decoder_process import Channel, main
from voicefile.ingest.media.decoder_protocol import (
    DECODED,
    Job,
    Message,
)

LIBC = ctypes.CDLL(None, use_errno=True)


def called(answer: int) -> str:
    if answer < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"


def open_socket() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    return "done"


def open_unix_socket() -> str:
    socket.socketpair()
    return "done"


def read_a_file() -> str:
    return f"done {len(Path('/etc/passwd').read_bytes())}"


def write_a_file() -> str:
    file = Path("/dev/shm/voicefile-probe")
    file.write_bytes(b"x")
    file.unlink()
    return "done"


def write_memory_file() -> str:
    return called(LIBC.memfd_create(b"x", 0))


def run_a_program() -> str:
    return f"done {subprocess.run(['/bin/true'], check=True).returncode}"


def execve() -> str:
    if "--free" in sys.argv:
        os.execv("/bin/echo", ["echo", "done"])
    os.execv("/bin/true", ["true"])
    return "unreachable"


def fork() -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "done"


def start_a_thread() -> str:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return "done"


def signal_another() -> str:
    os.kill(os.getppid(), 0)
    return "done"


def trace() -> str:
    return called(LIBC.ptrace(0, 0, 0, 0))


def executable_memory() -> str:
    mmap.mmap(-1, 4_096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    return "done"


def raise_a_limit() -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, 1_000))
    return "done"


def limit_another() -> str:
    resource.prlimit(os.getppid(), resource.RLIMIT_CORE)
    return "done"


def list_directory() -> str:
    return f"done {len(list(Path('/').iterdir()))}"


def environment() -> str:
    return " ".join(sorted(os.environ))


def open_files() -> str:
    found = []
    for number in range(1_000):
        try:
            os.lseek(number, 0, os.SEEK_CUR)
        except OSError as refused:
            if refused.errno == errno.EBADF:
                continue
        found.append(str(number))
    return " ".join(found)


def use_memory() -> str:
    kept = [bytes(1_048_576) for _ in range(1_000)]
    return f"done {len(kept)}"


def use_memory_outside_python() -> str:
    for _ in range(1_000):
        if not LIBC.calloc(1, 1_048_576):
            raise MemoryError
    return "done"


def use_time() -> str:
    while True:
        pass


def wait_forever() -> str:
    os.read(3, 1)
    return "unreachable"


def crash() -> str:
    ctypes.string_at(0)
    return "unreachable"


def raise_something() -> str:
    raise ZeroDivisionError


def end_at_once() -> str:
    os._exit(0)


def say_nonsense() -> str:
    os.write(3, b"\xff" * 1_000)
    return "nonsense"


def attempt(name: str) -> str:
    try:
        return globals()[name]()
    except OSError as denied:
        return f"denied {type(denied).__name__}"
    except (RuntimeError, ValueError) as denied:
        return f"denied {type(denied).__name__}"


def probe(job: Job, channel: Channel) -> None:
    name = channel.fetch(0, job.plain_bytes).decode()
    text = attempt(name).encode()
    text = text.ljust(len(text) + 1 + -(len(text) + 1) % 2)
    samples = len(text) // 2
    channel.send(Message.DECODED, DECODED.pack(0, 1, 8_000, 1, samples, 0, len(text)))
    channel.send(Message.PCM, text)
    channel.send(Message.PEAKS, bytes(-(-samples // 400)))


if __name__ == "__main__":
    if "--free" in sys.argv:
        print(attempt(sys.argv[-1]))
    else:
        main(probe)
