"""The list of metrics for whoever operates the vault, and what the code declares."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "docs" / "operations" / "telemetry.md"
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
_ROW = re.compile(r"^\| `(voicefile_[a-z_]+)(?:\{([a-z_, ]+)\})?` \|", re.MULTILINE)
_FAMILY = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)
Labels = frozenset[str]


def booked() -> dict[str, Labels]:
    """Each metric of the book with its labels, by the name that /metrics shows."""
    return {
        name: frozenset(labels.replace(" ", "").split(",")) - {""}
        for name, labels in _ROW.findall(BOOK.read_text())
    }


def declared() -> dict[str, Labels]:
    """Each metric that any module of ours makes."""
    found: dict[str, Labels] = {}
    for place in ("libs", "services", "cli"):
        for path in (ROOT / place).rglob("src/**/*.py"):
            found |= dict(_made(ast.parse(path.read_text())))
    return found


def _made(tree: ast.Module) -> Iterator[tuple[str, Labels]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in KINDS or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        name = str(node.args[0].value)
        labels = node.args[2] if len(node.args) > 2 else None
        yield (
            f"{name}_total" if node.func.id == "Counter" else name,
            frozenset(ast.literal_eval(labels)) if labels is not None else frozenset(),
        )


def shown(metrics: str) -> set[str]:
    """Families of a process's /metrics, without when their series began."""
    families = {name for name, kind in _FAMILY.findall(metrics)}
    return {name for name in families if not name.endswith("_created")}
