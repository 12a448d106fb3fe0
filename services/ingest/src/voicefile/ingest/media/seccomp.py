"""The list of system calls the decoder may make, as a filter for the kernel.

Allowed is what reading and writing the open socket, memory, time and ending need. So there is no
open, no socket, no exec, no new process or thread, no signal to others; memory can't be made
executable; limits can only be lowered, and only the process's own. Anything else fails with
EPERM; a call of another architecture kills.
"""

import ctypes
import platform
import struct
import sys
from errno import EPERM

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2

ALLOW = 0x7FFF0000
DENY = 0x00050000 | EPERM
KILL_PROCESS = 0x80000000

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

NUMBER_OFFSET = 0
ARCHITECTURE_OFFSET = 4
ARGUMENTS_OFFSET = 16
PROT_EXEC = 4

# Name: number on x86_64, number on aarch64 (None where it does not exist).
CALLS: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "poll": (7, None),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "exit_group": (231, 94),
    "ppoll": (271, 73),
    "getrandom": (318, 278),
}
NOT_EXECUTABLE = {"mmap": (9, 222), "mprotect": (10, 226)}
ONLY_ITSELF = {"prlimit64": (302, 261)}

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine: its column above, and the kernel's name for it."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def filter_program(machine: str) -> bytes | None:
    """The filter for this machine, or None where its call numbers are not known here."""
    if machine not in ARCHITECTURES:
        return None
    column, architecture = ARCHITECTURES[machine]
    program = [
        (LOAD, 0, 0, ARCHITECTURE_OFFSET),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
    ]
    for numbers in CALLS.values():
        number = numbers[column]
        if number is not None:
            program += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for numbers in NOT_EXECUTABLE.values():
        program += _if_called(numbers[column], 2, (JUMP_ANY_BIT, 0, 1, PROT_EXEC))
    for numbers in ONLY_ITSELF.values():
        program += _if_called(numbers[column], 0, (JUMP_EQUAL, 1, 0, 0))
    program.append((RETURN, 0, 0, DENY))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _if_called(
    number: int, argument: int, denied_unless_skipped: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    little = sys.byteorder == "little"
    low_half = ARGUMENTS_OFFSET + 8 * argument + (0 if little else 4)
    return [
        (JUMP_EQUAL, 0, 4, number),
        (LOAD, 0, 0, low_half),
        denied_unless_skipped,
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
    ]


def install_filter(libc: ctypes.CDLL) -> bool:
    """Confines this process for good; False where the platform does not offer it.

    PR_SET_NO_NEW_PRIVS must have been set.
    """
    instructions = filter_program(platform.machine())
    if instructions is None:
        return False
    program = _Program(len(instructions) // 8, instructions)
    answer: int = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return answer == 0
