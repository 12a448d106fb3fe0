"""Field names: which part of a request was wrong, told only in names the interface declares.

A body's keys are the client's own words (`extra="forbid"` repeats them, and so does every
mapping); an error that quoted them would carry a PIN typed into the wrong place to the answer.
"""

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

UNKNOWN: Final = "unknown-field"
ERRORS_LISTED_MAX: Final = 32
_INDEX_MAX: Final = 1000
_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})


@dataclass(frozen=True)
class FieldError:
    """Where a request was wrong, and pydantic's code for how."""

    field: str
    code: str


def field_errors(
    errors: Iterable[Mapping[str, typing.Any]], *, declared: frozenset[str]
) -> tuple[FieldError, ...]:
    """Pydantic's errors reduced to declared names and codes; inputs and messages stay behind."""
    told = [
        FieldError(_field(error["loc"], declared=declared), str(error["type"]))
        for _, error in zip(range(ERRORS_LISTED_MAX), errors, strict=False)
    ]
    return tuple(told)


def _field(location: Sequence[object], *, declared: frozenset[str]) -> str:
    return ".".join(_told(part, declared=declared) for part in location) or "body"


def _told(part: object, *, declared: frozenset[str]) -> str:
    if isinstance(part, str) and (part in declared or part in _PLACES):
        return part
    if isinstance(part, int) and 0 <= part < _INDEX_MAX:
        return str(part)
    return UNKNOWN


def names_of_route(scope: Mapping[str, typing.Any]) -> frozenset[str]:
    """All names that the parameters and the body of the request's route declare."""
    dependant = getattr(scope.get("route"), "dependant", None)
    if not isinstance(dependant, Dependant):
        return frozenset()
    return frozenset(_dependant_names(dependant))


def _dependant_names(dependant: Dependant) -> Iterator[str]:
    for parameters in (
        dependant.path_params,
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    ):
        for parameter in parameters:
            yield parameter.alias
            yield from declared_names(parameter.field_info.annotation)
    for inner in dependant.dependencies:
        yield from _dependant_names(inner)


def declared_names(*models: object) -> frozenset[str]:
    """Every field name and alias of these types and of the types inside them."""
    found: set[str] = set()
    seen: list[object] = []
    waiting = list(models)
    while waiting:
        kind = waiting.pop()
        if any(kind is other for other in seen):
            continue
        seen.append(kind)
        waiting.extend(typing.get_args(kind))
        for name, annotation in _fields(kind):
            found.add(name)
            waiting.append(annotation)
    return frozenset(found)


def _fields(kind: object) -> Iterator[tuple[str, object]]:
    if not isinstance(kind, type):
        return
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield name, field.annotation
            for alias in (field.alias, field.validation_alias):
                if isinstance(alias, str):
                    yield alias, field.annotation
    elif dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        yield from typing.get_type_hints(kind).items()
