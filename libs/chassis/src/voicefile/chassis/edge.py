"""The edge of an app: request id, security headers, the last answer, and one log line each.

One pure ASGI layer, because each layer costs every chunk of every recording.
"""

import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicefile.chassis.metrics import request_seconds
from voicefile.chassis.problems import INTERNAL, problem_response
from voicefile.chassis.spans import METHODS, OTHER, scope_of
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.traceparent import caller_context

log = structlog.get_logger(__name__)

REQUEST_ID_HEADER: Final = b"voicefile-request-id"
CUT_SHORT: Final = 499
"""Logged, never sent: the client left, or we broke off, before the answer was whole."""

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-frame-options", b"DENY"),
)
_UNLESS_SET: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_ALWAYS_NAMES: Final = frozenset(name for name, _ in _ALWAYS)


class ResponseCutShort(Exception):
    """An answer broke off after its head; the reason is in the log, not in here.

    The server must drop the connection, so that the client sees a cut stream.
    """


class ClientGone(Exception):
    """What `send` raises on the in-process wire once nobody listens."""


class Edge:
    """Pure ASGI: wraps a whole app, touches no chunk of a body."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str,
        probes: frozenset[str] = frozenset(),
        tracer: trace.Tracer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._name = name
        self._probes = probes
        self._tracer = trace.get_tracer(scope_of(name)) if tracer is None else tracer
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Always a fresh one: a client's own would be an input value in the logs.
        request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        started_s = self._monotonic()
        # A client's traceparent counts for nothing either; that of a service of ours does.
        span = self._tracer.start_span(
            "request", context=caller_context(scope), kind=SpanKind.SERVER
        )
        with (
            structlog.contextvars.bound_contextvars(request=request_id),
            trace.use_span(span, record_exception=False, set_status_on_exception=False),
        ):
            try:
                await _guarded(self._app, scope, receive, answer)
            finally:
                self._report(scope, answer.outcome, span, self._monotonic() - started_s)

    def _report(self, scope: Scope, status: int, span: trace.Span, took_s: float) -> None:
        method, route = _method(scope), route_template(scope)
        request_seconds().labels(self._name, method, route, status).observe(took_s)
        if route in self._probes and status == HTTPStatus.OK:
            # Several a second, for ever: they would bury what people did. A span that never ends
            # is never sent.
            return
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()
        log.info(
            "request", method=method, route=route, status=status, duration_ms=round(took_s * 1000)
        )


async def _guarded(app: ASGIApp, scope: Scope, receive: Receive, answer: "_Answer") -> None:
    try:
        await app(scope, receive, answer)
    except Exception as error:  # noqa: BLE001 the last edge: a client gets no more than an id
        if _left(error):
            return
        error_id = secrets.token_hex(16)
        log.error("request_failed", error=error_id, **where_it_broke(error))  # noqa: TRY400 a traceback would quote values
        if answer.status:
            raise ResponseCutShort from None
        response = problem_response(INTERNAL, extensions={"error_id": error_id})
        await response(scope, receive, answer)


def _left(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return all(_left(inner) for inner in error.exceptions)
    return isinstance(error, ClientDisconnect | ClientGone)


class _Answer:
    """The `send` of one request; puts the headers on the head and lets the body pass."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self.status = 0
        self._whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._headers(list(message.get("headers", [])))
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True

    @property
    def outcome(self) -> int:
        """The status, if the client was sent all of the answer."""
        return self.status if self._whole else CUT_SHORT

    def _headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kept = [header for header in given if header[0].lower() not in _ALWAYS_NAMES]
        names = {name.lower() for name, _ in kept}
        return [
            *kept,
            *_ALWAYS,
            *(header for header in _UNLESS_SET if header[0] not in names),
            (REQUEST_ID_HEADER, self._request_id),
        ]


def route_template(scope: Scope) -> str:
    """The template of the route that took the request; never the path, which holds ids."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"


def _method(scope: Scope) -> str:
    # A method is the client's own word, too.
    return scope["method"] if scope["method"] in METHODS else OTHER
