"""What an index sees of a body: the values at a dotted path, across lists."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from voicefile.docstore.port import Value

Indexed = str | bytes | int

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


def indexed_values(body: Mapping[str, Value], path: str) -> frozenset[Indexed]:
    """Every str, bytes and int at `path`; where the path crosses a list, every element counts."""
    nodes: list[Value] = [body]
    for part in path.split("."):
        nodes = _flat([node.get(part) for node in nodes if isinstance(node, dict)])
    return frozenset(node for node in nodes if _is_indexed(node))


def _flat(nodes: Sequence[Value]) -> list[Value]:
    """The same with each list's elements in its place, however deep."""
    flat: list[Value] = []
    for node in nodes:
        if isinstance(node, (list, tuple)):
            flat += _flat(node)
        else:
            flat.append(node)
    return flat


def _is_indexed(node: Value) -> TypeGuard[Indexed]:
    if isinstance(node, (str, bytes)):
        return True
    if not isinstance(node, int) or isinstance(node, bool):
        return False
    if not INT_MIN <= node <= INT_MAX:
        raise ValueError("an indexed number has more than 64 bits")
    return True
