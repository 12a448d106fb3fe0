"""`python -m tests.bench [name …]`: runs the benches and prints their figures."""

import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from voicefile.chassis.logs import configure

BENCHES = (
    "seek",
    "throughput",
    "upload",
    "memory",
    "listening",
    "audit",
    "log_growth",
    "rotation",
    "growth",
    "start_up",
    "tracing",
    "apart",
    "backup",
    "increments",
    "enumeration",
)
ASKED_FOR = ("telephone", "restore")
"""Calls that a switch takes, and a whole vault lost: nobody gets them who has not named them."""
OWN_FORM = ("enumeration",)
"""Prints a statistic of its own instead of rows."""


def main(wanted: list[str]) -> int:
    """Those asked for, or all that take a vault and nothing else."""
    known = (*BENCHES, *ASKED_FOR)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    # What the vaults inside this process have to say would bury the figures.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        configure("bench", stream=nowhere, console=False)
        sys.excepthook = sys.__excepthook__  # a bench that breaks should say so
        _run(wanted or BENCHES)
    return 0


def _run(wanted: Sequence[str]) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", end="")
    print("; median (least to most) of several runs; ratios are the figures to trust")
    for name in wanted:
        bench = importlib.import_module(f"tests.bench.{name}")
        begun_s = time.monotonic()
        print(f"\n{name}: {(bench.__doc__ or '').splitlines()[0]}", flush=True)
        try:
            _one(name, bench)
        except BaseExceptionGroup as group:
            # A vault inside this process wraps it once for each of its loops: what went wrong
            # would not be shown at all.
            raise _first_in(group) from None
        print(f"  ({time.monotonic() - begun_s:.0f} s, load {os.getloadavg()[0]:.1f})")


def _one(name: str, bench: ModuleType) -> None:
    if name in OWN_FORM:
        bench.main()
        return
    for row in bench.measure():
        print(row, flush=True)


def _first_in(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
