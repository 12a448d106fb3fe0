"""Spans: a publish is a trace of its own, handling is linked to it, and neither says more."""

import json
import subprocess
import sys

from voicefile.eventbus.kafka_record import Place, Taken
from voicefile.eventbus.kafka_trace import handling, publishing

# In a process of its own, because where spans go is decided once per process.
PROGRAM = """
import json
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from voicefile.chassis.spans import is_allowed
from voicefile.eventbus.kafka_record import Place, Taken
from voicefile.eventbus.kafka_trace import handling, publishing

kept = InMemorySpanExporter()
provider = TracerProvider(resource=Resource({"service.name": "auth"}))
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
with trace.get_tracer("voicefile").start_as_current_span("POST /v1/things"):
    with publishing("voicefile.auth.v1", 3) as header:
        pass
    taken = [Taken(Place("voicefile.auth.v1", 0), at, None, header) for at in range(3)]
    try:
        with handling("voicefile.auth.v1", taken):
            raise ValueError("the customer's name")
    except ValueError:
        pass
request, publish, handle = sorted(kept.get_finished_spans(), key=lambda span: span.start_time)
print(json.dumps({
    "allowed": [is_allowed(span) for span in (request, publish, handle)],
    "names": [publish.name, handle.name],
    "attributes": [dict(publish.attributes), dict(handle.attributes)],
    "traces": len({span.context.trace_id for span in (request, publish, handle)}),
    "parents": [publish.parent, handle.parent],
    "linked": [link.context.span_id == publish.context.span_id for link in handle.links],
    "header": header.decode(),
    "events": [len(span.events) for span in (publish, handle)],
    "described": [span.status.description for span in (publish, handle)],
}))
"""


def test_a_publish_and_its_handling_are_traces_of_their_own_linked_by_a_header() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    attributes = {
        "messaging.system": "kafka",
        "messaging.destination.name": "voicefile.auth.v1",
        "messaging.batch.message_count": 3,
    }
    assert said.pop("header").startswith("00-")
    assert said == {
        "allowed": [True, True, True],
        "names": ["publish voicefile.auth.v1", "handle voicefile.auth.v1"],
        "attributes": [attributes, attributes],
        "traces": 3,
        "parents": [None, None],
        "linked": [True],
        "events": [0, 0],
        "described": [None, None],
    }


def test_where_nothing_is_recorded_nothing_travels() -> None:
    with publishing("voicefile.auth.v1", 1) as header:
        assert header is None
    with handling("voicefile.auth.v1", [Taken(Place("voicefile.auth.v1", 0), 0, None, None)]):
        pass
