"""Takes away from the decoder what decoding does not need, so that breaking it gains nothing.

In two steps: `withdraw` once in the zygote (network, privileges), `confine` in each process it
forks (memory, files, processes, system calls). Every step that fails for want of the platform is
left out and missing in the flags; nothing else may fail.
"""

import ctypes
import os
import resource
import signal

from voicefile.ingest.media.decoder_protocol import Sandbox
from voicefile.ingest.media.seccomp import install_filter

CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522

SOCKET_FD = 3
MIB = 1_048_576


class SandboxFailed(Exception):
    """A step that every supported kernel offers did not work: better not to decode at all."""


def load_libc() -> ctypes.CDLL:
    """The C library; loaded by the zygote, for a confined process can load nothing."""
    return ctypes.CDLL(None, use_errno=True)


def withdraw(libc: ctypes.CDLL) -> Sandbox:
    """Leaves the network and gives up all privileges, for the zygote and all it forks."""
    _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _must(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    spaces = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    left = libc.unshare(spaces) == 0
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _must(libc.capset(header, nothing))
    return Sandbox.NAMESPACES if left else Sandbox.NONE


def confine(libc: ctypes.CDLL, socket_fd: int, *, zygote: int, memory_max_mib: int) -> Sandbox:
    """Leaves this process one socket, at SOCKET_FD, and what `seccomp` allows."""
    _keep_only(socket_fd)
    _must(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    _must(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != zygote:
        raise SandboxFailed
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_AS, _address_space(memory_max_mib * MIB))
    _limit(resource.RLIMIT_NOFILE, SOCKET_FD + 1)
    return Sandbox.SECCOMP if install_filter(libc) else Sandbox.NONE


def limit_cpu(seconds: int) -> None:
    """So many processor seconds in all, first a signal and then the end; can only be lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == resource.RLIM_INFINITY or seconds < soft:
        hard = seconds + 1 if hard == resource.RLIM_INFINITY else min(hard, seconds + 1)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def _keep_only(socket_fd: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(SOCKET_FD):
        os.dup2(nowhere, standard)
    os.dup2(socket_fd, SOCKET_FD)
    os.closerange(SOCKET_FD + 1, os.sysconf("SC_OPEN_MAX"))


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (least, least))


def _address_space(memory_max: int) -> int:
    """Bounds resident memory: what is mapped already, plus what may become resident yet."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 -- no need for a path here
        mapped, resident = (
            int(pages) * resource.getpagesize() for pages in statm.read().split()[:2]
        )
    return mapped + max(0, memory_max - resident)


def _must(answer: int) -> None:
    if answer != 0:
        raise SandboxFailed
