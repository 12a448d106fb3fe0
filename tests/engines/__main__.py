"""`python -m tests.engines up|down|status|ports`: real engines for the tests of this checkout."""

import argparse
import contextlib
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.engines.environment import NotToBeHad, environment
from tests.engines.fleet import (
    HOME,
    AnyEngine,
    Entry,
    engines,
    make_certificates,
    read_state,
    running,
    told,
    write_state,
)
from tests.engines.listening import family
from tests.engines.one_at_a_time import alone

WANTED = ("kafka", "mongo", "s3", "openbao", "softhsm", "collector")
"""Without being asked; Tansu besides, where there can be no Kafka."""


@dataclass
class Started:
    """How it went with one engine."""

    entry: Entry | None = None
    missing: str | None = None
    failed: str | None = None
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "ports"))
    parser.add_argument("--only", nargs="+", metavar="ENGINE", choices=sorted(engines()))
    parser.add_argument("--wipe", action="store_true", help="down: forget what they stored, too")
    asked = parser.parse_args()
    names = asked.only or []
    if asked.command == "status":
        return status()
    if asked.command == "ports":
        from tests.engines.plaintext import tell  # noqa: PLC0415 - nobody else needs it

        return tell({name: engine.pid for name, engine in engines().items()})
    with alone(HOME / "lock"):
        if asked.command == "up":
            return up(names or list(WANTED))
        return down(names or list(engines()), wipe=asked.wipe)


def up(names: list[str]) -> int:
    """Starts what doesn't run, all at once; says what there can't be, and fails where one that
    could be there doesn't start."""
    began = time.monotonic()
    make_certificates()
    state = read_state()
    outcomes = start_all(names, state)
    if outcomes.get("kafka", Started()).missing and "tansu" not in outcomes:
        outcomes |= start_all(["tansu"], state)
    for name, started in outcomes.items():
        state["missing"].pop(name, None)
        state.pop(name, None)
        if started.entry is not None:
            state[name] = started.entry
            print(f"{name:<10} {started.entry['kind']:<32} {started.seconds:5.1f} s")
        else:
            why = started.missing or f"it did not start: {started.failed}"
            state["missing"][name] = why
            print(f"{name:<10} MISSING: {why}")
    write_state(state)
    print(f"{'':<43} {time.monotonic() - began:5.1f} s in all")
    return 1 if any(each.failed for each in outcomes.values()) else 0


def start_all(names: list[str], state: Entry) -> dict[str, Started]:
    all_there_are = engines()
    chosen = {name: all_there_are[name] for name in names}
    with ThreadPoolExecutor(len(chosen)) as pool:
        begun = {}
        # Kafka takes longest, and needs nothing of what the others are installed with.
        for name in sorted(chosen, key=lambda name: name != "kafka"):
            if name != "kafka":
                installed()
            begun[name] = pool.submit(start, chosen[name], state.get(name))
        return {name: each.result() for name, each in begun.items()}


def installed() -> None:
    """Once, before all want it at the same time; who then needs it says why there is none."""
    with contextlib.suppress(NotToBeHad):
        environment()


def start(engine: AnyEngine, known: Entry | None) -> Started:
    began = time.monotonic()
    done = Started()
    try:
        if known is not None and running(engine):
            done.entry = known
        else:
            engine.start()
            done.entry = told(engine)
    except NotToBeHad as why:
        done.missing = str(why)
    except Exception as error:  # noqa: BLE001 - one that fails must not hide how others went
        done.failed = f"{type(error).__name__}: {error}"
    done.seconds = time.monotonic() - began
    return done


def down(names: list[str], *, wipe: bool) -> int:
    state = read_state()
    there = {name: engine for name, engine in engines().items() if name in names}
    with ThreadPoolExecutor(len(there)) as pool:
        list(pool.map(lambda engine: engine.stop(), there.values()))
    for name, engine in there.items():
        state.pop(name, None)
        state["missing"].pop(name, None)
        if wipe:
            engine.wipe()
            shutil.rmtree(engine.folder)
    write_state(state)
    return 0


def status() -> int:
    state = read_state()
    for name, engine in engines().items():
        if name in state["missing"]:
            print(f"{name:<10} MISSING: {state['missing'][name]}")
        elif name in state and running(engine):
            entry = state[name]
            address = entry.get("bootstrap") or entry.get("host") or entry.get("endpoint")
            address = address or entry.get("url") or entry.get("module")
            memory = f"{resident_mib(engine.pid)} MiB" if engine.pid else ""
            print(f"{name:<10} {entry['kind']:<32} {address:<40} {memory}")
            for lack in entry["lacks"]:
                print(f"{'':<10}   lacks: {lack}")
        else:
            print(f"{name:<10} does not run")
    return 0


def resident_mib(pid: int) -> int:
    """What it and its children hold in memory."""
    held = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                held += int(line.split()[1])
    return held // 1024


if __name__ == "__main__":
    sys.exit(main())
