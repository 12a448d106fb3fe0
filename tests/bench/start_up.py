"""`voicefile demo`: from the command to a vault one can try, the first time and later."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import Row, median
from tests.bench.vault import ROOT, folder, free_port

LATER = 3
READY = "Hear it as the customer"
COMMAND = Path(sys.executable).with_name("voicefile")


def measure() -> list[Row]:
    with folder() as scratch:
        first, *later = [_started(scratch / "var") for _ in range(LATER + 1)]
        bare = [_python() for _ in range(LATER)]
    return [
        Row("first start: keys, tenants, one recording", [first[0]], "s"),
        Row("later start", [start for start, _ in later], "s", first[0], "the first"),
        Row("loading the code alone", bare, "s", median([start for start, _ in later]), "later"),
        Row("stop", [stop for _, stop in later], "s"),
    ]


def _started(data: Path) -> tuple[float, float]:
    """Seconds until it says where to hear the recording, and until it has stopped."""
    environment = os.environ | {
        "VOICEFILE_DATA_DIR": str(data),
        "VOICEFILE_PORT": str(free_port()),
        "VOICEFILE_HEALTH_PORT": str(free_port()),
    }
    begun_s = time.perf_counter()
    with subprocess.Popen(
        [COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as vault:
        assert vault.stdout
        for line in vault.stdout:
            if READY in line:
                break
        started_s = time.perf_counter() - begun_s
        vault.send_signal(signal.SIGINT)
        begun_s = time.perf_counter()
        vault.stdout.read()
        assert vault.wait(60) == 0
        return started_s, time.perf_counter() - begun_s


def _python() -> float:
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import voicefile.cli.main"], check=True, cwd=ROOT)
    return time.perf_counter() - begun_s
