"""Figures: samples of one run, put in a row beside what they are compared with and promised."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2


@dataclass(frozen=True)
class Row:
    """One line of a table. `samples` are of several runs: their median counts."""

    what: str
    samples: Sequence[float]
    unit: str
    against: float | None = None
    """The baseline's median in the same unit and the same run; printed as a ratio."""
    of: str = ""
    """What the baseline is, or whatever else is worth saying."""
    promise: str = ""
    kept: bool | None = None

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        return None if not self.against else self.median / self.against

    def __str__(self) -> str:
        least, most = min(self.samples), max(self.samples)
        spread = f"({told(least)} to {told(most)})" if len(self.samples) > 1 else ""
        ratio = "" if self.ratio is None else f"x {self.ratio:.2f} of {self.of}"
        note = ratio or self.of
        verdict = {True: "kept", False: "NOT KEPT", None: ""}[self.kept]
        promise = f"promised {self.promise}: {verdict}" if self.promise else ""
        line = f"  {self.what:<46} {told(self.median):>9} {self.unit:<8} {spread:<20} {note:<34}"
        return f"{line} {promise}".rstrip()


def told(value: float) -> str:
    """Three digits are what two shared cores can vouch for."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample that this share of them does not exceed."""
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of one call in this process: steadier than the clock where cores are shared."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@dataclass(frozen=True)
class Usage:
    """What a process and everything it started have used, from /proc."""

    cpu_s: float
    resident_mib: float
    peak_mib: float


def usage(pid: int) -> Usage:
    """Of one process alone, without what it started."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Usage(
        # The process's own clock: /proc counts in hundredths of a second only.
        cpu_s=time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED),
        resident_mib=int(status["VmRSS"].split()[0]) / 1024,
        peak_mib=int(status["VmHWM"].split()[0]) / 1024,
    )


def family_cpu_s(pid: int) -> float:
    """CPU time of everything a process has started, whether it still lives or has ended."""
    total = 0.0
    for child in children(pid):
        with suppress(OSError):
            fields = _stat(child)
            total += sum(int(field) for field in fields[11:15]) / TICKS
            total += family_cpu_s(child)
    return total


def children(pid: int) -> list[int]:
    """Processes it has started that still live."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
