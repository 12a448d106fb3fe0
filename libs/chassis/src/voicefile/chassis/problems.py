"""Problems: the one table from what happened to what the client is told (RFC 9457).

Nothing of a request comes back in an answer: no value, no key the client made up, no message of
an exception. What was not foreseen answers with a random id that the log knows, too.

    RateLimited         too many attempts; says when to come again
    InvalidRequest      a body failed its model; holds declared field names and codes only
    BodyTooLarge, BodyTooSlow     (limits.py)
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from voicefile.blobstore.port import BlobStoreUnavailable
from voicefile.chassis.fields import FieldError, declared_names, field_errors, names_of_route
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.port import StoreUnavailable
from voicefile.identity.guard import NotIdentified, NotPermitted
from voicefile.identity.tokens import KeysUnavailable, TokenRefused

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:voicefile:problem:"
_Handler = Callable[[Request, Any], Awaitable[Response]]
_BEARER: Final = {"WWW-Authenticate": "Bearer"}
_HEADERS_KEPT: Final = frozenset({"allow", "content-range", "retry-after", "www-authenticate"})


@dataclass(frozen=True)
class Problem:
    """What a client is told about one kind of failure."""

    type_slug: str
    status: int
    title: str
    extensions: tuple[str, ...] = ()
    """Attributes of the exception shown as members of the same name; nothing else is shown."""
    retry_after_s: int | None = None


class RateLimited(Exception):
    """Too many attempts. The answer says when to come again, not which limit was met."""

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__("rate limited")
        self.retry_after_s = retry_after_s


class InvalidRequest(Exception):
    """A body did not fit its model. Made by `of`, so that no value of the request gets in."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("invalid request")
        self.errors = tuple(errors)

    @classmethod
    def of(cls, error: ValidationError, *models: type) -> "InvalidRequest":
        """From pydantic's error, for bodies that a verb parses by itself (a multipart part)."""
        return cls(field_errors(error.errors(), declared=declared_names(*models)))


NOT_FOUND: Final = Problem("not-found", 404, "Not found")
"""For what is missing and for what is somebody else's: the same bytes."""
NOT_IDENTIFIED: Final = Problem("not-identified", 401, "Not identified")
NOT_PERMITTED: Final = Problem("not-permitted", 403, "Not permitted")
INVALID_REQUEST: Final = Problem("invalid-request", 422, "The request does not fit the interface")
MALFORMED: Final = Problem("malformed-request", 400, "The request cannot be read")
RATE_LIMITED: Final = Problem("rate-limited", 429, "Too many attempts")
UNAVAILABLE: Final = Problem("unavailable", 503, "Not available now", retry_after_s=1)
INTERNAL: Final = Problem("internal", 500, "Something went wrong here")

_OF_STATUS: Final = {
    problem.status: problem
    for problem in (
        NOT_FOUND,
        NOT_IDENTIFIED,
        NOT_PERMITTED,
        INVALID_REQUEST,
        MALFORMED,
        RATE_LIMITED,
        UNAVAILABLE,
        INTERNAL,
        Problem("method-not-allowed", 405, "Method not allowed"),
        Problem("body-too-slow", 408, "The body did not arrive in time"),
        Problem("body-too-large", 413, "The body is too large"),
        Problem("unsupported-media-type", 415, "Unsupported media type"),
        Problem("range-not-satisfiable", 416, "Range not satisfiable"),
    )
}
_FORESEEN: Final[Mapping[type[Exception], Problem]] = {
    NotIdentified: NOT_IDENTIFIED,
    TokenRefused: NOT_IDENTIFIED,
    NotPermitted: NOT_PERMITTED,
    KeysUnavailable: UNAVAILABLE,
    # An engine is away. Nothing was stored, so asking again is right.
    StoreUnavailable: UNAVAILABLE,
    BlobStoreUnavailable: UNAVAILABLE,
    RootUnavailable: UNAVAILABLE,
}


def problem_response(
    problem: Problem,
    *,
    extensions: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for a problem; equal problems without extensions are equal bytes."""
    body = {
        "type": TYPE_PREFIX + problem.type_slug,
        "title": problem.title,
        "status": problem.status,
        **(extensions or {}),
    }
    told = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        told.update(_BEARER)
    if problem.retry_after_s is not None:
        told.setdefault("Retry-After", str(problem.retry_after_s))
    return Response(
        json.dumps(body, separators=(",", ":"), ensure_ascii=False),
        status_code=problem.status,
        headers=told,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI, table: Mapping[type[Exception], Problem]) -> None:
    """Makes the app answer each of these exceptions, and all of the framework's, as problems.

    What is in no table falls through to the edge, which answers 500 with a random id.
    """
    known = {**_FORESEEN, **table}

    async def answer_known(_request: Request, error: Exception) -> Response:
        return _answer(error, known=known)

    for kind in known:
        app.add_exception_handler(kind, answer_known)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(InvalidRequest, _answer_invalid)
    app.add_exception_handler(RateLimited, _answer_rate_limited)
    app.add_exception_handler(ExceptionGroup, _answer_group(app))


def _answer(error: Exception, *, known: Mapping[type[Exception], Problem]) -> Response:
    problem = next(known[kind] for kind in type(error).__mro__ if kind in known)
    return problem_response(
        problem, extensions={name: getattr(error, name) for name in problem.extensions}
    )


async def _answer_http(_request: Request, error: Exception) -> Response:
    # The framework's detail texts may quote the request: only the status is taken over.
    assert isinstance(error, HTTPException)
    problem = _OF_STATUS.get(error.status_code) or Problem(
        "http", error.status_code, _phrase(error.status_code)
    )
    kept = {
        name: value
        for name, value in (error.headers or {}).items()
        if name.lower() in _HEADERS_KEPT
    }
    return problem_response(problem, headers=kept)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem_response(MALFORMED)
    return _listed(field_errors(errors, declared=names_of_route(request.scope)))


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidRequest)
    return _listed(error.errors)


def _listed(errors: Iterable[FieldError]) -> Response:
    listed = [{"field": error.field, "code": error.code} for error in errors]
    return problem_response(INVALID_REQUEST, extensions={"errors": listed})


async def _answer_rate_limited(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RateLimited)
    # Whole seconds, rounded up: a client that obeys is not refused again.
    wait_s = max(1, -int(-error.retry_after_s // 1))
    return problem_response(RATE_LIMITED, headers={"Retry-After": str(wait_s)})


def _answer_group(app: FastAPI) -> _Handler:
    async def answer(request: Request, error: Exception) -> Response:
        # A TaskGroup wraps what one of its tasks raised; the table speaks of what is inside.
        # Several failures at once have no one answer: they go on to the edge.
        inner = _only(error)
        for kind in type(inner).__mro__ if inner is not None else ():
            if kind in app.exception_handlers:
                handler = cast("_Handler", app.exception_handlers[kind])
                return await handler(request, inner)
        raise error

    return answer


def _only(error: Exception) -> Exception | None:
    """The one thing that went wrong, if it was one; many reads of a store that is away are."""
    if not isinstance(error, ExceptionGroup):
        return error
    inner = [_only(each) for each in error.exceptions]
    return inner[0] if len({type(each) for each in inner}) == 1 else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
