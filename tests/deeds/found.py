"""What there is that acts, as code has it: every route, command, loop and handler."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer
from tests.isolation.told import plain

from voicefile.chassis.service import Service
from voicefile.cli.main import app as commands
from voicefile.identity.guard import rules_of

ROOT = Path(__file__).parents[2]


def routes(services: Mapping[str, Service]) -> set[str]:
    """Of both doors of every service: `GET /auth/v1/keys`."""
    return {
        f"{method} {prefix}{plain(path)}"
        for prefix, service in services.items()
        for app in filter(None, (service.public, service.internal))
        for method, path in rules_of(app)
    }


def cli() -> set[str]:
    """Every command: `voicefile tenant open`."""
    return set(_commands(typer.main.get_command(commands), "voicefile"))


def _commands(command: object, name: str) -> Iterator[str]:
    inside = getattr(command, "commands", None)
    if inside is None:
        yield name
        return
    for word, inner in inside.items():
        yield from _commands(inner, f"{name} {word}")


def loops() -> set[str]:
    """What a service does by itself, by the function that does it over and over.

    A loop is what names `keep_doing`, or a function that sleeps between two rounds of a `while`,
    or one called `run`: what a task group starts and nothing ends but the service.
    """
    found: set[str] = set()
    for path in sorted((ROOT / "services").glob("*/src/voicefile/*/**/*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts[4:])
        found |= {f"{module}.{name}" for name in loops_in(ast.parse(path.read_text()))}
    return found


def loops_in(tree: ast.Module) -> set[str]:
    """The loops of one module, by function."""
    found = set()
    for name, function in _functions(tree):
        rounds = _names(function, "keep_doing") or any(
            isinstance(each, ast.While) and _calls(each, "sleep") for each in ast.walk(function)
        )
        if rounds or name.rpartition(".")[2] == "run":
            found.add(name)
    return found


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{within}{node.name}", node


def _names(node: ast.AST, wanted: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == wanted for each in ast.walk(node))


def _calls(node: ast.AST, wanted: str) -> bool:
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            called = each.func.attr if isinstance(each.func, ast.Attribute) else each.func
            name = called.id if isinstance(called, ast.Name) else called
            if name in (wanted, f"_{wanted}"):
                return True
    return False


def handlers() -> set[str]:
    """What is done because of an event: `audit hears voicefile.auth.v1`."""
    found = set()
    for path in sorted((ROOT / "services").glob("*/src/voicefile/*/**/*.py")):
        tree = ast.parse(path.read_text())
        if _calls(tree, "subscribe"):
            found.add(f"{path.relative_to(ROOT).parts[1]} hears events")
    return found
