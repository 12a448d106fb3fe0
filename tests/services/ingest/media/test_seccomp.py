"""The filter lets pass what it lists, on both architectures, and nothing else."""

import platform
import struct

import pytest

from voicefile.ingest.media.seccomp import (
    ALLOW,
    ARCHITECTURES,
    CALLS,
    DENY,
    KILL_PROCESS,
    NOT_EXECUTABLE,
    ONLY_ITSELF,
    filter_program,
)

FORBIDDEN = {
    "x86_64": {
        "open": 2, "socket": 41, "connect": 42, "sendmsg": 46, "recvmsg": 47, "clone": 56,
        "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "prctl": 157,
        "setrlimit": 160, "tgkill": 234, "openat": 257, "unshare": 272, "process_vm_readv": 310,
        "memfd_create": 319, "execveat": 322, "io_uring_setup": 425, "clone3": 435,
        "openat2": 437, "pidfd_getfd": 438,
    },
    "aarch64": {
        "openat": 56, "unshare": 97, "ptrace": 117, "kill": 129, "tgkill": 131, "setrlimit": 164,
        "prctl": 167, "socket": 198, "connect": 203, "sendmsg": 211, "recvmsg": 212,
        "clone": 220, "execve": 221, "process_vm_readv": 270, "memfd_create": 279,
        "execveat": 281, "io_uring_setup": 425, "clone3": 435, "openat2": 437,
        "pidfd_getfd": 438,
    },
}  # fmt: skip


def verdict(machine, number, *arguments, architecture=None):
    """What the kernel would answer: an interpreter of the few instructions used."""
    arch = ARCHITECTURES[machine][1] if architecture is None else architecture
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    program = filter_program(machine)
    accumulator, at = 0, 0
    while True:
        code, true, false, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            hit = accumulator == value if code == 0x15 else accumulator & value != 0
            at += true if hit else false


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_listed_calls_pass(machine):
    column = ARCHITECTURES[machine][0]
    for numbers in CALLS.values():
        if numbers[column] is not None:
            assert verdict(machine, numbers[column]) == ALLOW


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_all_other_calls_are_denied(machine):
    column = ARCHITECTURES[machine][0]
    listed = {n[column] for table in (CALLS, NOT_EXECUTABLE, ONLY_ITSELF) for n in table.values()}
    for number in set(range(600)) - listed:
        assert verdict(machine, number) == DENY


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_an_attacker_would_call_is_denied(machine):
    for name, number in FORBIDDEN[machine].items():
        assert verdict(machine, number) == DENY, name


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_memory_may_be_had_but_not_run(machine):
    for numbers in NOT_EXECUTABLE.values():
        number = numbers[ARCHITECTURES[machine][0]]
        assert verdict(machine, number, 0, 4_096, 3) == ALLOW
        assert verdict(machine, number, 0, 4_096, 7) == DENY
        assert verdict(machine, number, 0, 4_096, 4) == DENY


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_limits_are_set_for_oneself_only(machine):
    number = ONLY_ITSELF["prlimit64"][ARCHITECTURES[machine][0]]
    assert verdict(machine, number, 0) == ALLOW
    assert verdict(machine, number, 1) == DENY


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_architecture_kill(machine):
    assert verdict(machine, 0, architecture=0x40000003) == KILL_PROCESS


def test_calls_of_the_x32_kind_are_denied():
    assert verdict("x86_64", 0x40000000) == DENY


def test_an_unknown_machine_has_no_filter():
    assert filter_program("riscv64") is None
    assert platform.machine()
