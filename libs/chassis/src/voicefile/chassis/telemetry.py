"""Traces: one span per request, named by its route template; no URL, no header, no exception text.

Without an exporter nothing is recorded: the spans of the API are empty then.
"""

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

SCOPE: Final = "voicefile"
_ATTRIBUTES: Final = frozenset({"http.request.method", "http.route", "http.response.status_code"})


def tracer_provider(service: str, *, exporter: SpanExporter) -> TracerProvider:
    """A provider whose spans leave through `exporter`, stripped to what is allowed."""
    # Resource(), not Resource.create(): that adds the command line and the environment's words.
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(AllowedSpans(exporter)))
    return provider


def install(provider: TracerProvider) -> None:
    """Makes every app's spans go to this provider; once per process."""
    trace.set_tracer_provider(provider)


class AllowedSpans(SpanExporter):
    """Passes on spans of ours only, whole spans or none: what holds more is dropped and counted.

    Libraries bring their own instrumentation, and a new release may switch it on.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        kept = [span for span in spans if _allowed(span)]
        self.dropped += len(spans) - len(kept)
        return self._inner.export(kept) if kept else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _allowed(span: ReadableSpan) -> bool:
    ours = span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE
    return ours and not span.events and set(span.attributes or ()) <= _ATTRIBUTES
