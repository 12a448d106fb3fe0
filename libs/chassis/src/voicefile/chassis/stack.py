"""Where an exception came from, without what it says: messages and locals quote values."""

import traceback
from typing import Final

FRAMES_MAX: Final = 8
CHAIN_MAX: Final = 4


class Place(str):
    """Types and places of code; the log takes them from nowhere else."""

    __slots__ = ()


def where_it_broke(error: BaseException) -> dict[str, Place]:
    """Log fields: its type and its causes', and the innermost frames of the first."""
    return {
        "error_type": Place(" < ".join(_types(error))),
        "frames": Place(" < ".join(_frames(error))),
    }


def _types(error: BaseException) -> list[str]:
    found: list[str] = []
    current: BaseException | None = error
    while current is not None and len(found) < CHAIN_MAX:
        found.append(_type(current))
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return found


def _type(error: BaseException) -> str:
    name = type(error).__qualname__
    if isinstance(error, BaseExceptionGroup):
        return f"{name}({', '.join(_type(inner) for inner in error.exceptions[:CHAIN_MAX])})"
    return name


def _frames(error: BaseException) -> list[str]:
    innermost = _first(error)
    frames = [
        f"{_module(frame.f_code.co_filename)}:{line}"
        for frame, line in traceback.walk_tb(innermost.__traceback__)
    ]
    return frames[: -FRAMES_MAX - 1 : -1]


def _first(error: BaseException) -> BaseException:
    """What happened first: the cause of the cause, the first of a group."""
    if isinstance(error, BaseExceptionGroup):
        return _first(error.exceptions[0])
    return error if error.__cause__ is None else _first(error.__cause__)


def place_in_source(filename: str, line: int) -> Place:
    """A place as the frames name it."""
    return Place(f"{_module(filename)}:{line}")


def _module(filename: str) -> str:
    return "/".join(filename.rsplit("/", 3)[-2:])
