"""The one header that ties together what several services do for one request.

Only our own services may say what a request belongs to: a client that could would write its own
words into our traces, and tie requests of strangers together. Nothing else travels along: no
`tracestate`, no baggage. A trace's id is never stored beside what it was about.
"""

import re
from types import TracebackType
from typing import Final, Self

import httpx
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)
from starlette.requests import Request
from starlette.types import Scope

from voicefile.chassis.spans import METHODS, OTHER, SCOPE, SERVICES
from voicefile.identity.guard import peer_name

HEADER: Final = "traceparent"
_HEADER_BYTES: Final = HEADER.encode()
_SHAPE: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_FLAGS: Final = 0x03
"""Sampled, and that the id is random; others are not known to us."""
_FAILED: Final = 400


def traceparent(context: SpanContext) -> str:
    """The header's value for what is done on behalf of this span."""
    flags = context.trace_flags & _FLAGS
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"


def parsed(value: str) -> SpanContext | None:
    """The span that a header names; None if it is not exactly what `traceparent` writes."""
    match = _SHAPE.fullmatch(value)
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & _FLAGS))
    return context if context.is_valid else None


def caller_context(scope: Scope) -> Context:
    """What a request's span hangs on: the call of a service of ours, or nothing.

    Nothing of the task's own context counts either: on a kept connection a server starts the
    next request from within the one before.
    """
    if peer_name(Request(scope)) not in SERVICES:
        return Context()
    values = [value for name, value in scope["headers"] if name == _HEADER_BYTES]
    context = parsed(values[0].decode("latin-1")) if len(values) == 1 else None
    if context is None:
        return Context()
    return trace.set_span_in_context(NonRecordingSpan(context), Context())


class Traced(httpx.AsyncBaseTransport):
    """Around a wire to our own services: a span for each call within a trace, until its head comes.

    A call outside of any trace (a loop that polls) starts none. The span is named by the service,
    which is the first part of the path; the path itself holds ids.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, tracer: Tracer | None = None) -> None:
        self._inner = inner
        self._tracer = trace.get_tracer(SCOPE) if tracer is None else tracer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # Whoever made the request may have passed on a header of its own client.
        request.headers.pop(HEADER, None)
        if not trace.get_current_span().get_span_context().is_valid:
            return await self._inner.handle_async_request(request)
        with self._tracer.start_as_current_span(
            f"call {_service(request)}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": _method(request)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            request.headers[HEADER] = traceparent(span.get_span_context())
            status = 0
            try:
                answer = await self._inner.handle_async_request(request)
                status = answer.status_code
            finally:
                if status:
                    span.set_attribute("http.response.status_code", status)
                if not status or status >= _FAILED:
                    span.set_status(StatusCode.ERROR)
            return answer

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _service(request: httpx.Request) -> str:
    first = request.url.path.removeprefix("/").partition("/")[0]
    return first if first in SERVICES else OTHER


def _method(request: httpx.Request) -> str:
    return request.method if request.method in METHODS else OTHER
