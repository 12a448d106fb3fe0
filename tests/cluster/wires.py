"""The wires between processes, each through a proxy: all proxies are a process of their own.

In a test's process they would be slow whenever the test is busy, and that would pass for a fault.
Commands are lines of JSON on its standard input, each answered by one on its standard output.
"""

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.nemesis.proxy import Rule

ROOT = Path(__file__).parents[2]


class Wires:
    """Proxies by the name of the door they stand before: kafka, mongo, s3, auth-1, …"""

    def __init__(self, services: Path) -> None:
        """`services`: the folder of the replicas' folders, whose process ids say who calls."""
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.wires_process", str(services)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def add(self, name: str, target: int, *, port: int = 0) -> int:
        """A proxy before this port; answers the port to call instead."""
        return int(self._ask("add", name=name, target=target, port=port))

    def rule(self, door: str, rule: Rule, *, who: str | None = None) -> None:
        """At every door whose name begins so: `auth` is each replica of auth."""
        self._ask("rule", door=door, rule=asdict(rule), who=who)

    def reset(self, door: str, *, who: str | None = None) -> None:
        self._ask("reset", door=door, who=who)

    def heal(self) -> None:
        self._ask("heal")

    def carried(self) -> dict[tuple[str, str], int]:
        """Bytes by door and caller."""
        return {(door, who): count for door, who, count in self._ask("carried")}

    def stop(self) -> None:
        self._process.communicate()

    def _ask(self, verb: str, **told: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps({"verb": verb, **told}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["done"]
