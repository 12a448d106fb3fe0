"""Rehearses a scene over and over, each time killed one step later, and has the vault mend."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLED = -9
LEASE_S = 16
"""Retries come when the lease of the dead has lapsed."""


@dataclass
class Ended:
    """What a process told, and how it ended."""

    exit: int
    told: list

    def all(self, kind):
        return [each for each in self.told if each["kind"] == kind]

    def of(self, kind):
        return next(iter(self.all(kind)), None)


class Rehearsal:
    """Processes that share what is loaded once, and nothing else; see `fused_vault`."""

    def __init__(self, folder, process):
        self._folder = folder
        self._process = process
        self._takes = 0

    def play(self, data, scene, *, killed, **job):
        """One process, from start to end."""
        log = self._folder / "vault.log"
        order = {"data": str(data), "scene": scene, "log": str(log), **job}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        ended = Ended(**json.loads(self._process.stdout.readline()))
        wrong = ended.of("error") or ended.of("failed")
        if wrong or ended.exit != (KILLED if killed else 0):
            last = log.read_text()[-3000:]
            pytest.fail(f"{scene} {job} ended {ended.exit}: {wrong}\n{last}")
        return ended

    def copied(self, data):
        """The same vault once more, to be killed."""
        self._takes += 1
        take = self._folder / f"take{self._takes}" / "var"
        if data.exists():
            shutil.copytree(data, take)
        else:
            take.mkdir(parents=True)
        known = data.with_suffix(".json")
        if known.exists():
            shutil.copy(known, take.with_suffix(".json"))
        return take

    def drop(self, take):
        shutil.rmtree(take.parent)

    def steps(self, data, scene, **job):
        """Its steps, as a run that nobody disturbs counts them."""
        take = self.copied(data)
        steps = self.play(take, scene, killed=True, **job).of("steps")["steps"]
        self.drop(take)
        return steps


@contextmanager
def rehearsal(folder):
    command = [sys.executable, "-m", "tests.faults.fused_vault"]
    # Checkpoints come as often as there is news: scenes wait for them.
    environment = os.environ | {"VOICEFILE_AUDIT_CHECKPOINT_EVERY_S": "0.01"}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Rehearsal(folder, process)
        finally:
            process.stdin.close()
