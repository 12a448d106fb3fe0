"""What an index sees of a body: the values at a dotted path, across lists."""

from collections.abc import Iterator, Mapping

from voicefile.docstore.port import Value

Indexed = str | bytes | int

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


def indexed_values(body: Mapping[str, Value], path: str) -> frozenset[Indexed]:
    """Every str, bytes and int at `path`; where the path crosses a list, every element counts."""
    return frozenset(_leaves(body, path.split(".")))


def _leaves(node: Value, parts: list[str]) -> Iterator[Indexed]:
    if isinstance(node, (list, tuple)):
        for element in node:
            yield from _leaves(element, parts)
    elif parts:
        if isinstance(node, Mapping):
            yield from _leaves(node.get(parts[0]), parts[1:])
    elif isinstance(node, (str, bytes)):
        yield node
    elif isinstance(node, int) and not isinstance(node, bool):
        if not INT_MIN <= node <= INT_MAX:
            raise ValueError("an indexed number has more than 64 bits")
        yield node
