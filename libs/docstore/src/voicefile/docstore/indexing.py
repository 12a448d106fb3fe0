"""What an index sees of a body: the values at a dotted path, across lists."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeGuard

from voicefile.docstore.port import INT_MAX, INT_MIN, VALUES_MAX, Value

Indexed = str | bytes | int

_NOTHING: frozenset[Indexed] = frozenset()


def indexed_values(body: Mapping[str, Value], path: str) -> frozenset[Indexed]:
    """Every str, bytes and int at `path`; where the path crosses a list, every element counts."""
    # Asked of every index at every write, so what is most frequent comes first.
    first, *rest = _steps(path)
    node = body.get(first)
    if node is None:
        return _NOTHING
    found: list[Indexed] = []
    _gather(node, rest, found)
    return frozenset(found)


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _gather(node: Value, path: Sequence[str], found: list[Indexed]) -> None:
    if isinstance(node, (list, tuple)):
        for element in node:
            _gather(element, path, found)
    elif path:
        if isinstance(node, dict):
            _gather(node.get(path[0]), path[1:], found)
    elif _is_indexed(node):
        found.append(node)


def _is_indexed(node: Value) -> TypeGuard[Indexed]:
    if isinstance(node, (str, bytes)):
        return True
    if not isinstance(node, int) or isinstance(node, bool):
        return False
    if not INT_MIN <= node <= INT_MAX:
        raise ValueError("an indexed number has more than 64 bits")
    return True


def wanted_values(values: Sequence[str]) -> list[str]:
    """The values of a question that names several, each once. Raises ValueError for too many."""
    wanted = sorted(set(values))
    if len(wanted) > VALUES_MAX:
        raise ValueError(f"no question names more than {VALUES_MAX} values")
    return wanted
