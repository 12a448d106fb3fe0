"""What spans may hold, what they hang on, and that sending them never makes anybody wait."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from fastapi import APIRouter, Depends
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import Response

from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.service import new_app
from voicefile.chassis.spans import SCOPE, AllowedSpans, scope_of
from voicefile.chassis.streaming import StreamedResponse
from voicefile.chassis.telemetry import (
    SpanQueue,
    TelemetrySettings,
    exporting,
    tracer_provider,
)
from voicefile.chassis.traceparent import HEADER, Traced, parsed, traceparent
from voicefile.identity.guard import open_to_all

CANARY = "4929123412341234"
ANYBODY = [Depends(open_to_all("a test"))]
RESOURCE = {"service.name": "vault", "service.instance.id": "0f" * 16}
PARENT = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, TraceFlags(3))
SENT = f"00-{PARENT.trace_id:032x}-{PARENT.span_id:016x}-03"


def recording(resource=RESOURCE):
    """A provider, and what gets out of it."""
    kept = InMemorySpanExporter()
    allowed = AllowedSpans(kept)
    provider = TracerProvider(resource=Resource(resource), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(allowed))
    return provider, kept, allowed


def app_of(provider, **settings):
    app = new_app("edge", tracer=provider.get_tracer(SCOPE), **settings)
    router = APIRouter(prefix="/v1")

    @router.get("/things/{thing}", dependencies=ANYBODY)
    async def thing(thing: str, request: Request) -> str:
        return request.headers.get(HEADER, "")

    @router.get("/breaks", dependencies=ANYBODY)
    async def breaks() -> Response:
        async def body():
            yield b"x"
            raise ValueError(CANARY)

        return StreamedResponse(body())

    @router.get("/fails", dependencies=ANYBODY)
    async def fails() -> Response:
        raise ValueError(CANARY)

    app.include_router(router)
    return app


def client(app, *, peer=None):
    return httpx.AsyncClient(
        transport=InProcessTransport(app, peer=peer), base_url="https://vault.test"
    )


# What a span may hold.


async def test_a_span_holds_the_template_and_no_value():
    provider, kept, _ = recording()
    async with client(app_of(provider)) as asking:
        await asking.get(f"/v1/things/{CANARY}?pin={CANARY}", headers={"Cookie": CANARY})
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/v1/breaks")
        await asking.request(f"X{CANARY}", f"/{CANARY}")
        await asking.get("/v1/fails")
    spans = kept.get_finished_spans()
    assert [span.name for span in spans] == [
        "GET /v1/things/{thing}",
        "GET /v1/breaks",
        "other none",
        "GET /v1/fails",
    ]
    assert dict(spans[0].attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/things/{thing}",
        "http.response.status_code": 200,
    }
    assert [span.status.status_code for span in spans] == [StatusCode.UNSET] * 3 + [
        StatusCode.ERROR
    ]
    assert {span.kind for span in spans} == {SpanKind.SERVER}
    assert not any(span.events for span in spans)
    assert not any(CANARY in span.to_json() for span in spans)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("GET /v1/things/{thing}", {"http.request.method": "GET", "http.route": "/v1/things/{x}"}),
        ("other none", {"http.request.method": "other", "http.response.status_code": 404}),
        ("call auth", {"http.request.method": "POST", "http.response.status_code": 200}),
        (
            "publish voicefile.auth.v1",
            {
                "messaging.system": "kafka",
                "messaging.destination.name": "voicefile.auth.v1",
                "messaging.batch.message_count": 500,
            },
        ),
        ("handle voicefile.ingest.dead.v1", {"messaging.system": "kafka"}),
    ],
)
def test_a_span_from_the_list_gets_out(name, attributes):
    provider, kept, allowed = recording()
    links = [Link(PARENT)]
    provider.get_tracer(SCOPE).start_span(name, attributes=attributes, links=links).end()
    assert [span.name for span in kept.get_finished_spans()] == [name]
    assert allowed.dropped == 0


STRANGE = {
    "an unknown name": {"name": "SELECT"},
    "a name with a value": {"name": f"GET /v1/things/{CANARY}"},
    "a name with an id": {"name": "GET /v1/recordings/" + "0f" * 16},
    "a name with more behind it": {"name": f"call auth {CANARY}"},
    "a service nobody knows": {"name": "call erika"},
    "a topic nobody knows": {"name": "publish customers"},
    "an unknown attribute": {"attributes": {"url.full": CANARY}},
    "a server's address": {"attributes": {"server.address": "10.1.2.3"}},
    "a path for a route": {"attributes": {"http.route": f"/v1/things/{CANARY}"}},
    "a text for a status": {"attributes": {"http.response.status_code": CANARY}},
    "a number that is no status": {"attributes": {"http.response.status_code": int(CANARY)}},
    "a count that is a card": {"attributes": {"messaging.batch.message_count": int(CANARY)}},
    "a text for a system": {"attributes": {"messaging.system": CANARY}},
    "a key for a topic": {"attributes": {"messaging.destination.name": CANARY}},
    "a link that tells": {"links": [Link(PARENT, {"customer": CANARY})]},
    "a link with words": {
        "links": [Link(SpanContext(1, 1, True, TraceFlags(1), TraceState([("a", CANARY)])))]
    },
}


@pytest.mark.parametrize("more", STRANGE.values(), ids=STRANGE.keys())
def test_a_span_that_holds_more_does_not(more):
    provider, kept, allowed = recording()
    given = {"name": "call auth", **more}
    provider.get_tracer(SCOPE).start_span(given.pop("name"), **given).end()
    assert kept.get_finished_spans() == ()
    assert allowed.dropped == 1


def test_neither_does_an_exception_nor_a_description_nor_an_event():
    provider, kept, allowed = recording()
    tracer = provider.get_tracer(SCOPE)
    with pytest.raises(ValueError), tracer.start_as_current_span("call auth"):
        raise ValueError(CANARY)
    with tracer.start_as_current_span("call auth") as span:
        span.set_status(StatusCode.ERROR, CANARY)
    with tracer.start_as_current_span("call auth") as span:
        span.add_event("a deed", {"customer": CANARY})
    assert kept.get_finished_spans() == ()
    assert allowed.dropped == 3


def test_neither_does_what_others_trace():
    provider, kept, allowed = recording()
    provider.get_tracer("another library").start_span("call auth").end()
    provider.get_tracer(SCOPE, CANARY).start_span("call auth").end()
    provider.get_tracer(f"{SCOPE}.{CANARY}").start_span("call auth").end()
    provider.get_tracer(SCOPE, attributes={"customer": CANARY}).start_span("call auth").end()
    assert kept.get_finished_spans() == ()
    assert allowed.dropped == 4


def test_neither_does_a_span_of_a_resource_that_tells_of_the_machine():
    # A forked child is given one by the library, whatever its parent's was.
    provider, kept, _ = recording(RESOURCE | {"process.command_line": CANARY})
    provider.get_tracer(SCOPE).start_span("call auth").end()
    assert kept.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("title", "scope"),
    [
        ("voiceFileServer auth, internal", "voicefile.auth"),
        ("voiceFileServer ingest", "voicefile.ingest"),
        ("health", "voicefile.health"),
    ],
)
def test_a_scope_names_the_app(title, scope):
    assert scope_of(title) == scope


async def test_probes_that_succeed_leave_no_span():
    provider, kept, _ = recording()
    app = app_of(provider, probes=frozenset({"/v1/things/{thing}", "/v1/fails"}))
    async with client(app) as asking:
        await asking.get("/v1/things/1")
        await asking.get("/v1/fails")
    assert [span.name for span in kept.get_finished_spans()] == ["GET /v1/fails"]


# What a span hangs on.


@pytest.mark.parametrize("peer", ["ingest", "auth", "playback", "audit", "portal", "backup"])
async def test_a_service_of_ours_says_what_its_request_belongs_to(peer):
    provider, kept, _ = recording()
    async with client(app_of(provider), peer=peer) as asking:
        await asking.get("/v1/things/1", headers={HEADER: SENT})
    (span,) = kept.get_finished_spans()
    assert span.parent == PARENT
    assert span.context.trace_id == PARENT.trace_id


@pytest.mark.parametrize("peer", [None, "edge", "erika", "ingest,O=x", "other"])
async def test_a_client_does_not(peer):
    provider, kept, _ = recording()
    async with client(app_of(provider), peer=peer) as asking:
        await asking.get(
            "/v1/things/1",
            headers={HEADER: SENT, "tracestate": f"a={CANARY}", "baggage": f"a={CANARY}"},
        )
    (span,) = kept.get_finished_spans()
    assert span.parent is None
    assert span.context.trace_id != PARENT.trace_id
    assert CANARY not in span.to_json()


async def test_words_beside_the_trace_count_for_nothing_even_from_ours():
    provider, kept, _ = recording()
    async with client(app_of(provider), peer="portal") as asking:
        headers = {HEADER: SENT, "tracestate": f"a={CANARY}", "baggage": f"a={CANARY}"}
        await asking.get("/v1/things/1", headers=headers)
    (span,) = kept.get_finished_spans()
    assert span.parent == PARENT
    assert CANARY not in span.to_json()


@pytest.mark.parametrize(
    "headers",
    [
        [(HEADER, SENT), (HEADER, SENT)],
        [(HEADER, f"{SENT}, {SENT}")],
        [(HEADER, SENT.replace("00-", "ff-"))],
        [(HEADER, SENT.upper())],
        [(HEADER, SENT + "-00")],
        [(HEADER, f"00-{'0' * 32}-{PARENT.span_id:016x}-01")],
        [(HEADER, f"00-{PARENT.trace_id:032x}-{'0' * 16}-01")],
        [(HEADER, CANARY)],
        [(HEADER, "")],
        [(HEADER, "\xe9" * 55)],
    ],
)
async def test_a_header_that_is_not_exactly_ours_counts_for_nothing(headers):
    provider, kept, _ = recording()
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with client(app_of(provider), peer="ingest") as asking:
        await asking.get("/v1/things/1", headers=raw)
    (span,) = kept.get_finished_spans()
    assert span.parent is None


async def test_a_request_hangs_on_nothing_of_the_one_before():
    """On a kept connection the server starts a waiting request from within the one before."""
    provider, kept, _ = recording()
    with trace.use_span(trace.NonRecordingSpan(PARENT)):
        async with client(app_of(provider)) as asking:
            await asking.get("/v1/things/1")
    assert kept.get_finished_spans()[0].parent is None


def test_the_header_says_what_is_read_from_it():
    assert traceparent(PARENT) == SENT
    assert parsed(SENT) == PARENT


async def test_a_call_within_a_trace_takes_it_along():
    provider, kept, _ = recording()
    tracer = provider.get_tracer(SCOPE)
    wire = Traced(InProcessTransport(app_of(provider), peer="ingest"), tracer=tracer)
    async with httpx.AsyncClient(transport=wire, base_url="https://vault.test") as asking:
        with tracer.start_as_current_span("GET /v1/outer") as outer:
            answer = await asking.get(f"/v1/things/{CANARY}?pin={CANARY}")
    server, call, asked = kept.get_finished_spans()
    assert asked.context == outer.get_span_context()
    assert (call.name, call.kind, call.parent) == ("call other", SpanKind.CLIENT, asked.context)
    assert dict(call.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
    }
    assert server.parent.span_id == call.context.span_id
    assert server.parent.is_remote
    assert answer.json() == traceparent(call.context)
    assert CANARY not in call.to_json()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/auth/internal/v1/issues", "call auth"),
        ("/playback/v1/recordings/" + "0f" * 16, "call playback"),
        (f"/{CANARY}", "call other"),
        ("/", "call other"),
    ],
)
async def test_a_call_is_named_by_its_service(path, name):
    provider, kept, _ = recording()
    tracer = provider.get_tracer(SCOPE)
    wire = Traced(InProcessTransport(app_of(provider), peer="ingest"), tracer=tracer)
    async with httpx.AsyncClient(transport=wire, base_url="https://vault.test") as asking:
        with tracer.start_as_current_span("GET /v1/outer"):
            await asking.get(path)
    assert kept.get_finished_spans()[1].name == name


async def test_a_call_outside_of_any_trace_starts_none_and_passes_none_on():
    provider, kept, _ = recording()
    wire = Traced(InProcessTransport(app_of(provider)), tracer=provider.get_tracer(SCOPE))
    async with httpx.AsyncClient(transport=wire, base_url="https://vault.test") as asking:
        # As a proxy would that copies its client's headers.
        answer = await asking.get("/v1/things/1", headers={HEADER: SENT})
    assert answer.json() == ""
    assert [span.name for span in kept.get_finished_spans()] == ["GET /v1/things/{thing}"]


async def test_a_call_that_reaches_nobody_is_an_error_without_words():
    class Away(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            raise httpx.ConnectError(CANARY)

    provider, kept, _ = recording()
    tracer = provider.get_tracer(SCOPE)
    wire = Traced(Away(), tracer=tracer)
    async with httpx.AsyncClient(transport=wire, base_url="https://vault.test") as asking:
        with tracer.start_as_current_span("GET /v1/outer"), pytest.raises(httpx.ConnectError):
            await asking.get("/auth/v1/x")
    call = kept.get_finished_spans()[0]
    assert (call.name, call.status.status_code) == ("call auth", StatusCode.ERROR)
    assert CANARY not in call.to_json()


# How spans leave.


class Slow(SpanExporter):
    """A collector that takes nothing until it is let; or fails."""

    def __init__(self):
        self.let = threading.Event()
        self.asked = threading.Event()
        self.taken = []
        self.fails = False

    def export(self, spans):
        self.asked.set()
        self.let.wait(10)
        if self.fails:
            return SpanExportResult.FAILURE
        self.taken += spans
        return SpanExportResult.SUCCESS


def lost(reason):
    return REGISTRY.get_sample_value("voicefile_spans_lost_total", {"reason": reason}) or 0.0


def sent():
    return REGISTRY.get_sample_value("voicefile_spans_sent_total") or 0.0


@contextmanager
def sending(exporter, **settings):
    provider = TracerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    queue = SpanQueue(exporter, send_every_ms=20, **settings)
    provider.add_span_processor(queue)
    try:
        yield provider.get_tracer(SCOPE)
    finally:
        exporter.let.set()
        provider.shutdown()


def test_a_collector_that_hangs_makes_nobody_wait_and_what_is_lost_is_counted():
    exporter = Slow()
    no_room = lost("no_room")
    with sending(exporter, spans_max=100, batch_spans=10) as tracer:
        started_s = time.monotonic()
        for _ in range(1_000):
            tracer.start_span("call auth").end()
        took_s = time.monotonic() - started_s
        assert exporter.asked.wait(10)
        assert exporter.taken == []
    assert took_s < 1
    assert lost("no_room") - no_room == 900
    assert len(exporter.taken) == 100


def test_room_is_made_again():
    exporter = Slow()
    exporter.let.set()
    before = sent()
    with sending(exporter, spans_max=10, batch_spans=5) as tracer:
        for at in range(50):
            tracer.start_span("call auth").end()
            until_s = time.monotonic() + 10
            while len(exporter.taken) <= at - 5 and time.monotonic() < until_s:
                time.sleep(0.005)
    assert len(exporter.taken) == 50
    assert sent() - before == 50


def test_what_fails_and_what_is_not_allowed_is_counted_apart():
    exporter = Slow()
    exporter.let.set()
    exporter.fails = True
    not_sent, not_allowed = lost("not_sent"), lost("not_allowed")
    with sending(exporter) as tracer:
        tracer.start_span("call auth").end()
        tracer.start_span(CANARY).end()
    assert lost("not_sent") - not_sent == 1
    assert lost("not_allowed") - not_allowed == 1


def test_a_stopping_process_does_not_go_on_sending():
    class Sluggish(Slow):
        def export(self, spans):
            time.sleep(0.05)
            return super().export(spans)

    exporter = Sluggish()
    exporter.let.set()
    not_sent = lost("not_sent")
    with sending(exporter, batch_spans=1, stop_s_max=0.2) as tracer:
        for _ in range(100):
            tracer.start_span("call auth").end()
        stopping_s = time.monotonic()
    assert time.monotonic() - stopping_s < 2
    assert 0 < len(exporter.taken) < 50
    assert len(exporter.taken) + lost("not_sent") - not_sent == 100


def test_the_resource_is_a_name_and_a_number_of_this_start(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"customer={CANARY}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", CANARY)
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,os,host,otel")
    seen = []
    for _ in range(2):
        exporter = InMemorySpanExporter()
        provider = tracer_provider("auth", exporter=exporter)
        provider.get_tracer(SCOPE).start_span("call auth").end()
        provider.shutdown()
        (span,) = exporter.get_finished_spans()
        seen.append(dict(span.resource.attributes))
    assert [set(each) for each in seen] == [{"service.name", "service.instance.id"}] * 2
    assert {each["service.name"] for each in seen} == {"auth"}
    assert len({each["service.instance.id"] for each in seen}) == 2


def test_no_variable_of_the_library_decides_what_is_kept(monkeypatch):
    for name, value in {
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "1",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    exporter = InMemorySpanExporter()
    provider = tracer_provider("auth", exporter=exporter)
    provider.get_tracer(SCOPE).start_span(
        "call auth", attributes={"http.request.method": "POST"}
    ).end()
    with provider.get_tracer(SCOPE).start_as_current_span("call auth") as span:
        # With no room for events it would look as if there had been none.
        span.add_event(CANARY)
    provider.shutdown()
    (span,) = exporter.get_finished_spans()
    assert dict(span.attributes) == {"http.request.method": "POST"}


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 400, 400), (0.25, 50, 150), (0, 0, 0)])
def test_of_the_traces_that_begin_here_a_share_is_recorded(share, least, most):
    exporter = InMemorySpanExporter()
    provider = tracer_provider("auth", exporter=exporter, share=share)
    tracer = provider.get_tracer(SCOPE)
    for _ in range(400):
        with tracer.start_as_current_span("call auth") as outer:
            inner = tracer.start_span("call audit")
            assert inner.is_recording() == outer.is_recording()
            inner.end()
    provider.shutdown()
    assert 2 * least <= len(exporter.get_finished_spans()) <= 2 * most


def test_whoever_calls_decides_whether_it_is_recorded():
    exporter = InMemorySpanExporter()
    provider = tracer_provider("auth", exporter=exporter, share=0)
    tracer = provider.get_tracer(SCOPE)
    for flags in ("00", "01"):
        caller = trace.NonRecordingSpan(parsed(SENT[:-2] + flags))
        tracer.start_span("call audit", context=trace.set_span_in_context(caller)).end()
    provider.shutdown()
    assert len(exporter.get_finished_spans()) == 1


# Where they go.


@pytest.mark.parametrize(
    "url",
    [
        "http://collector:4318",
        "https://",
        "collector:4318",
        f"https://user:{CANARY}@collector:4318",
        f"https://collector:4318/?token={CANARY}",
        f"https://collector:4318/#{CANARY}",
        "file:///etc/passwd",
    ],
)
def test_spans_go_over_https_to_an_address_that_holds_no_secret(monkeypatch, url):
    monkeypatch.setenv("VOICEFILE_OTLP_ENDPOINT", url)
    with pytest.raises(ValueError) as refused:
        TelemetrySettings()
    assert CANARY not in str(refused.value)


async def test_without_a_collector_nothing_is_recorded(monkeypatch):
    monkeypatch.delenv("VOICEFILE_OTLP_ENDPOINT", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://elsewhere:4318")
    before = threading.active_count()
    async with exporting("vault", endpoint=TelemetrySettings().otlp_endpoint):
        assert not trace.get_tracer(SCOPE).start_span("call auth").is_recording()
    assert threading.active_count() == before


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_embedded_vault_does_without_the_exporter():
    done = run_python(
        "import sys, voicefile.cli.main\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'requests'"
        " or name.startswith('opentelemetry.exporter')])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_collector_without_the_exporter_is_said_in_a_sentence():
    done = run_python(
        "import asyncio, sys\n"
        "sys.modules['opentelemetry.exporter'] = None\n"
        "from voicefile.chassis.telemetry import ExporterMissing, exporting\n"
        "async def main():\n"
        "    async with exporting('vault', endpoint='https://localhost:4318'):\n"
        "        print('served')\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except ExporterMissing as missing:\n"
        "    print(missing)\n"
    )
    assert done.stdout.startswith("VOICEFILE_OTLP_ENDPOINT is set, but the OTLP exporter is not")


def test_spans_that_something_else_has_taken_are_said():
    done = run_python(
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.trace import set_tracer_provider\n"
        "from voicefile.chassis.telemetry import AnotherProvider, install\n"
        "set_tracer_provider(TracerProvider())\n"
        "try:\n"
        "    install(TracerProvider())\n"
        "except AnotherProvider:\n"
        "    print('said')\n"
    )
    assert done.stdout == "said\n", done.stderr
