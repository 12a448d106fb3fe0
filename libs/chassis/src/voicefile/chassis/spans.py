"""What a span may hold: a closed list of names and attributes, each with the shape of its values.

Who reads traces learns which service worked how long on which kind of request, and nothing else:
no URL, no header, no id that stands in any store, no exception's words, nothing of the machine.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from voicefile.chassis.log_fields import is_code, is_id, is_route

SCOPE: Final = "voicefile"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""Stands where the word was not one of ours: a made-up method, a service nobody knows."""
SERVICES: Final = frozenset({"ingest", "auth", "playback", "audit", "backup", "portal"})
"""By name; `call <service>` is a span's name, and only they may say what a request belongs to."""

_PRODUCT: Final = "voiceFileServer "
_COUNT_MAX: Final = 1_000_000
_STATUSES: Final = range(100, 600)
_SCOPE: Final = re.compile(rf"{SCOPE}(?:\.[a-z]{{1,16}})?", re.ASCII)
_TOPIC: Final = re.compile(r"voicefile\.[a-z]{1,16}(?:\.dead)?\.v[0-9]{1,2}", re.ASCII)


def scope_of(app: str) -> str:
    """The scope of an app's spans, by its title: in the embedded vault nothing else tells apart."""
    return f"{SCOPE}.{app.removeprefix(_PRODUCT).partition(',')[0]}"


def is_method(value: object) -> bool:
    """A method of HTTP, or that it was none."""
    return value in METHODS or value == OTHER


def is_service(value: object) -> bool:
    """One of our services, or that it was none."""
    return value in SERVICES or value == OTHER


def is_topic(value: object) -> bool:
    """A topic of the event bus, or its dead letters."""
    return isinstance(value, str) and _TOPIC.fullmatch(value) is not None


def _is_status(value: object) -> bool:
    return isinstance(value, int) and value in _STATUSES


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _COUNT_MAX


Shape = Callable[[object], bool]
ATTRIBUTES: Final[Mapping[str, Shape]] = {
    "http.request.method": is_method,
    "http.route": is_route,
    "http.response.status_code": _is_status,
    "messaging.system": lambda value: value == "kafka",
    "messaging.destination.name": is_topic,
    "messaging.batch.message_count": _is_count,
}
_RESOURCE: Final[Mapping[str, Shape]] = {"service.name": is_code, "service.instance.id": is_id}
_NAMES: Final[Mapping[str, Shape]] = {
    **dict.fromkeys((*METHODS, OTHER), is_route),
    "call": is_service,
    "publish": is_topic,
    "handle": is_topic,
}
"""A span's name is one of these words, a space, and what has the shape."""


class AllowedSpans(SpanExporter):
    """Passes on spans of ours only, whole spans or none: what holds more is dropped and counted.

    Libraries bring their own instrumentation, and a new release may switch it on.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        kept = [span for span in spans if is_allowed(span)]
        self.dropped += len(spans) - len(kept)
        return self._inner.export(kept) if kept else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def is_allowed(span: ReadableSpan) -> bool:
    """Whether nothing in the span is more than its place in the list permits."""
    return (
        _fits_name(span.name)
        and _fits(span.attributes, ATTRIBUTES)
        and _fits(span.resource.attributes, _RESOURCE)
        and _is_scope(span)
        # An event of an exception quotes it, and so does the description of a status.
        and not span.events
        and not span.status.description
        and not any(context.trace_state for context in _contexts(span))
        and not any(link.attributes for link in span.links)
    )


def _fits_name(name: str) -> bool:
    word, _, rest = name.partition(" ")
    return word in _NAMES and _NAMES[word](rest)


def _fits(given: Mapping[str, object] | None, shapes: Mapping[str, Shape]) -> bool:
    return all(name in shapes and shapes[name](value) for name, value in (given or {}).items())


def _is_scope(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return (
        scope is not None
        and _SCOPE.fullmatch(scope.name) is not None
        and not scope.version
        and not scope.attributes
        and not scope.schema_url
    )


def _contexts(span: ReadableSpan) -> list[SpanContext]:
    own = [context for context in (span.context, span.parent) if context is not None]
    return own + [link.context for link in span.links]
