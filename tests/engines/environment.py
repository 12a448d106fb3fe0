"""The servers themselves: an environment apart from the vault's, installed once per lock file.

Nothing of it is imported by the vault or its tests; what is in there is started as processes.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.engines.one_at_a_time import alone

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "engines.lock"


class NotToBeHad(Exception):
    """An engine that this machine can't run; the text is the reason."""


def cache() -> Path:
    """Where downloads are kept from one checkout to the next."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "voicefile-engines"


@functools.cache
def environment() -> Path:
    """The environment's folder; made if there is none yet for this lock and this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(LOCK.read_bytes() + version.encode()).hexdigest()[:16]
    whole = cache() / f"venv-{digest}"
    with alone(whole.with_suffix(".lock")):
        if not whole.exists():
            _install(whole)
    return whole


def _install(whole: Path) -> None:
    """Built beside and renamed: who finds it finds all of it."""
    building = whole.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(building)],
        [
            *(str(building / "bin" / "python"), "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(building, ignore_errors=True)
            raise NotToBeHad(f"{' '.join(command[1:4])} failed: {done.stderr[-500:].strip()}")
    building.rename(whole)


def python() -> Path:
    """Modules are started through it: scripts name the folder they were built in."""
    return environment() / "bin" / "python"


def binary(name: str) -> Path:
    """A program that a package ships, as it is."""
    places = ("bin", "lib/python*/site-packages/*/bin", "lib/python*/site-packages/*")
    for place in places:
        for found in sorted(environment().glob(f"{place}/{name}")):
            if found.is_file() and _first_bytes(found) == b"\x7fELF":
                return found
    raise NotToBeHad(f"no program {name} for this kind of machine in {LOCK.name}")


def version_in_lock(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", LOCK.read_text(), re.MULTILINE | re.IGNORECASE)
    return found[1] if found else "?"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
