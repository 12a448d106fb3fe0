"""What tests ask for: the shared engines that `python -m tests.engines up` has left running.

mongo = running.engine("mongo")     # its entry; skips the test, and says why, where it's missing
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engines.process import pid_in

HOME = Path(__file__).parents[2] / ".engines"
EXPECTED = ("kafka", "mongo", "s3", "openbao", "softhsm", "collector")
NOBODY_SAID_UP = "no engines run: `make services` starts them"


def state(home: Path = HOME) -> dict[str, Any]:
    """All of `.engines/state.json`; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads((home / "state.json").read_text())
    except FileNotFoundError:
        return {"missing": {}}
    return found


def why_missing(name: str) -> str | None:
    """Why there is no such engine; None if there is one."""
    known = state()
    if name in known:
        return None
    return str(known["missing"].get(name, NOBODY_SAID_UP))


def engine(name: str) -> dict[str, Any]:
    """Its entry in the state. Skips the test with the reason where it is missing; fails it where
    an engine that was started is there no more."""
    why = why_missing(name)
    if why is not None:
        pytest.skip(f"no {name}: {why}")
    entry: dict[str, Any] = state()[name]
    folder = Path(entry["folder"])
    if (folder / "pid.json").exists() and pid_in(folder) is None:
        pytest.fail(f"{name} has ended; its last words are in {folder / 'log.txt'}")
    return entry


def certificates() -> Path:
    """The folder with ca.pem, <service>.pem and operator.pem. Skips where nobody said `up`."""
    found = state().get("certificates")
    if found is None:
        pytest.skip(NOBODY_SAID_UP)
    return Path(found)


def summary(home: Path = HOME) -> list[str]:
    """One line about what is there, and one for each that is missing."""
    known = state(home)
    there = [name for name in (*EXPECTED, "tansu") if name in known]
    missing = [name for name in EXPECTED if name not in known]
    if len(missing) == len(EXPECTED) and not known["missing"]:
        return [f"MISSING: all; {NOBODY_SAID_UP}"]
    lines = [", ".join(f"{name} = {known[name]['kind']}" for name in there)] if there else []
    lines += [f"MISSING: {n}: {known['missing'].get(n, NOBODY_SAID_UP)}" for n in missing]
    return lines
