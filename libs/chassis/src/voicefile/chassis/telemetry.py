"""Traces: who worked how long on which kind of request, sent to a collector if there is one.

Without a collector nothing is recorded: the spans of the API are empty then. What a span may
hold is decided in `spans`. Nothing here makes a request wait: what can't be sent is lost, counted
and told. Metrics are not sent: they are fetched from /metrics.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicefile.chassis.metrics import shown, spans_lost, spans_sent
from voicefile.chassis.spans import SCOPE, AllowedSpans

__all__ = ["SCOPE", "AllowedSpans", "TelemetrySettings", "exporting", "install", "tracer_provider"]

QUEUE_SPANS_MAX: Final = 4096
"""Spans that wait for the collector, those under way included; beyond, the newest are lost."""
BATCH_SPANS: Final = 512
SEND_EVERY_MS: Final = 2_000
STOP_S_MAX: Final = 5.0
"""How long a stopping process goes on sending; a batch under way may take as long again."""
_INSTANCE_BYTES: Final = 16
_NO_ROOM: Final = "no_room"
_NOT_ALLOWED: Final = "not_allowed"
_NOT_SENT: Final = "not_sent"


class ExporterMissing(RuntimeError):
    """A collector is named, and what speaks to it is not installed."""


class AnotherProvider(RuntimeError):
    """Something else in this process already decides where spans go, and what they hold."""


def _collector(url: str) -> str:
    parts = urlsplit(url)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme != "https" or not parts.hostname or not plain:
        # pydantic hides the value; a password would be part of it.
        raise ValueError("must be https://host:port, without a user, a query or a fragment")
    return url


class TelemetrySettings(BaseSettings):
    """Where traces go. Nothing in `OTEL_…` variables changes where they go or what they hold."""

    model_config = SettingsConfigDict(
        env_prefix="VOICEFILE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    otlp_endpoint: Annotated[str, AfterValidator(_collector)] | None = None
    """The collector, `https://host:4318`; /v1/traces is added. Without it nothing is recorded."""

    otlp_ca: Path | None = None
    """PEM file of the authority that vouches for the collector; without it, the system's."""

    otlp_certificate: Path | None = None
    """PEM file with the chain and key to show to a collector that asks for a certificate."""

    otlp_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Of all traces that begin here, the share to record; who calls decides for whom it calls."""


@asynccontextmanager
async def exporting(
    service: str,
    *,
    endpoint: str | None,
    ca: Path | None = None,
    certificate: Path | None = None,
    share: float = 1.0,
) -> AsyncIterator[None]:
    """Sends this process's spans while entered, and what is left at the end; once per process.

    What is given is what `TelemetrySettings` says of it. Raises ExporterMissing, AnotherProvider,
    and OSError if a file can't be read.
    """
    if endpoint is None:
        yield
        return
    exporter = _exporter(endpoint, ca=ca, certificate=certificate)
    provider = tracer_provider(service, exporter=exporter, share=share)
    install(provider)
    try:
        yield
    finally:
        await asyncio.to_thread(provider.shutdown)


def _exporter(endpoint: str, *, ca: Path | None, certificate: Path | None) -> SpanExporter:
    try:
        # The embedded vault does without, so it is asked for where it is needed.
        from voicefile.chassis.otlp import Collector  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ExporterMissing(
            "VOICEFILE_OTLP_ENDPOINT is set, but the OTLP exporter is not installed. "
            "Install requirements/cluster.lock, or unset it"
        ) from error
    return Collector(endpoint, ca=ca, certificate=certificate)


def tracer_provider(service: str, *, exporter: SpanExporter, share: float = 1.0) -> TracerProvider:
    """A provider whose spans leave through `exporter`, and only those that are allowed to.

    Everything it could read from the environment is given, so that it reads nothing.
    """
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)),
        # Resource(), not Resource.create(): that adds the command line and the environment's words.
        resource=Resource(
            {
                "service.name": service,
                "service.instance.id": secrets.token_hex(_INSTANCE_BYTES),
            }
        ),
        span_limits=SpanLimits(
            max_attributes=16,
            # One is enough to be found and dropped with its span.
            max_events=1,
            max_links=128,
            max_span_attributes=16,
            max_event_attributes=1,
            max_link_attributes=1,
            max_attribute_length=200,
            max_span_attribute_length=200,
        ),
        meter_provider=NoOpMeterProvider(),
    )
    provider.add_span_processor(SpanQueue(exporter))
    return provider


def install(provider: TracerProvider) -> None:
    """Makes every app's spans go to this provider; once per process. Raises AnotherProvider."""
    trace.set_tracer_provider(provider)
    if trace.get_tracer_provider() is not provider:
        raise AnotherProvider("something else has already taken the spans of this process")


class SpanQueue(SpanProcessor):
    """Hands spans to a thread that sends them. Never waits, never grows; counts what is lost."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        spans_max: int = QUEUE_SPANS_MAX,
        batch_spans: int = BATCH_SPANS,
        send_every_ms: float = SEND_EVERY_MS,
        stop_s_max: float = STOP_S_MAX,
    ) -> None:
        self._room = threading.Semaphore(spans_max)
        self._leaving = _Leaving(exporter, self._room)
        self._stop_s_max = stop_s_max
        # The queue inside is as long as ours, so it never meets one too many.
        self._batches = BatchSpanProcessor(
            self._leaving,
            max_queue_size=spans_max,
            schedule_delay_millis=send_every_ms,
            max_export_batch_size=batch_spans,
            export_timeout_millis=30_000,
            meter_provider=NoOpMeterProvider(),
        )
        self._stopped = False
        shown(spans_sent, spans_lost)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if not self._stopped and self._room.acquire(blocking=False):
            self._batches.on_end(span)
        else:
            spans_lost().labels(_NO_ROOM).inc()

    def shutdown(self) -> None:
        self._stopped = True
        self._leaving.end_by_s = time.monotonic() + self._stop_s_max
        self._batches.shutdown()  # type: ignore[no-untyped-call] # the library's own gap

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches.force_flush(timeout_millis)


class _Leaving(SpanExporter):
    """What the thread does with each batch: strip, send, count, make room."""

    def __init__(self, exporter: SpanExporter, room: threading.Semaphore) -> None:
        self._allowed = AllowedSpans(exporter)
        self._room = room
        self.end_by_s = float("inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        dropped_before = self._allowed.dropped
        result = SpanExportResult.FAILURE
        try:
            if time.monotonic() < self.end_by_s:
                result = self._allowed.export(spans)
        finally:
            self._room.release(len(spans))
            dropped = self._allowed.dropped - dropped_before
            spans_lost().labels(_NOT_ALLOWED).inc(dropped)
            left = len(spans) - dropped
            if result is SpanExportResult.SUCCESS:
                spans_sent().inc(left)
            else:
                spans_lost().labels(_NOT_SENT).inc(left)
        return result

    def shutdown(self) -> None:
        self._allowed.shutdown()
