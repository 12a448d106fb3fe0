"""Spans of publishing and handling: which topic, how many events, and nothing else.

A publish begins a trace of its own: what caused its events is not known any more, because no
stored row carries a trace's id. Handling is a trace of its own, too, linked to the publishes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from voicefile.eventbus.kafka_record import TRACE, Taken

SCOPE: Final = "voicefile"
LINKS_MAX: Final = 32
_FLAGS: Final = 0x03


@contextmanager
def publishing(topic: str, count: int) -> Iterator[bytes | None]:
    """Answers what the records say about where they come from; None when nothing is recorded."""
    with _span(f"publish {topic}", SpanKind.PRODUCER, topic, count, ()) as span:
        context = span.get_span_context()
        yield _written(context) if context.is_valid else None


@contextmanager
def handling(topic: str, records: Sequence[Taken]) -> Iterator[None]:
    """A span around handling what one poll brought of a topic."""
    named = dict.fromkeys(taken.trace for taken in records if taken.trace is not None)
    links = [Link(_read(each)) for each in list(named)[:LINKS_MAX]]
    with _span(f"handle {topic}", SpanKind.CONSUMER, topic, len(records), links):
        yield


@contextmanager
def _span(
    name: str, kind: SpanKind, topic: str, count: int, links: Iterable[Link]
) -> Iterator[Span]:
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.batch.message_count": count,
    }
    with trace.get_tracer(SCOPE).start_as_current_span(
        name,
        context=Context(),
        kind=kind,
        attributes=attributes,
        links=list(links),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException:
            # No word of it: an exception may quote what it failed on.
            span.set_status(StatusCode.ERROR)
            raise


def _written(context: SpanContext) -> bytes:
    flags = context.trace_flags & _FLAGS
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}".encode()


def _read(header: bytes) -> SpanContext:
    assert TRACE.fullmatch(header), "read from a record by the same shape"
    _, trace_id, span_id, flags = header.split(b"-")
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & _FLAGS),
    )
