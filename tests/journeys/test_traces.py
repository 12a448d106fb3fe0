"""What a collector sees of a vault at work: which service asked which, and nothing about anybody.

The collector is rotel. It can't do TLS, so a little process in front of it does (`tests/engines`);
before that one stands a receiver in this process, which keeps the bytes as they left the vault.
"""

import ssl
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.corpus.spoken_files import spoken
from tests.engines.collector import Collector
from tests.engines.environment import NotToBeHad
from tests.engines.process import EngineDidNotStart
from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Patterns, leaks_in_bytes
from tests.journeys.noise import windows
from tests.journeys.vault_process import vault_process
from tests.journeys.working_day import Day, Work, bearer
from tests.otlp_receiver import Receiver, receiving

CLIENTS = "4bf92f3577b34da6a3ce929d0e0e4736"
"""A trace that a client says its requests belong to."""
PLANTED = Canary("planted name", "Käthe & Olga Nachtschwalbe 7b21f0")
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


@dataclass(frozen=True)
class Seen:
    """One span, and whose it is."""

    service: str
    span: Span

    def __str__(self):
        return f"{self.service}: {self.span.name}" if self.span.kind == SERVER else self.span.name


@dataclass
class Collected:
    """What the day left at the collector."""

    day: Day
    receiver: Receiver
    collector: Collector
    said: bytes
    """All that the collector wrote down."""
    metrics: str

    @property
    def seen(self):
        return [
            Seen(scope.scope.name.removeprefix("voicefile").removeprefix("."), span)
            for _, scope, span in self.receiver.spans()
        ]

    def traces(self):
        """By trace, as trees: each span's name with its children's, in order of time."""
        spans = defaultdict(list)
        for each in self.seen:
            spans[each.span.trace_id].append(each)
        return [_tree(of_one, b"") for of_one in spans.values()]

    def leaks(self, data):
        patterns = Patterns(_labelled(self.day))
        return {leak.what for leak in leaks_in_bytes(data, patterns, "traces")}


def _tree(spans, parent):
    below = [each for each in spans if each.span.parent_span_id == parent]
    below.sort(key=lambda each: each.span.start_time_unix_nano)
    return [(str(each), _tree(spans, each.span.span_id)) for each in below]


def _labelled(day):
    for canary in (*day.canaries, PLANTED):
        for encoding, pattern in canary.patterns():
            yield (canary.what, encoding), pattern
    for upload in day.uploads:
        for window in windows(upload):
            yield ("audio", "as uploaded"), window


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("traces")
    certificates = scratch / "certificates"
    collector = Collector(scratch / "collector", certificates)
    try:
        collector.start()
    except (NotToBeHad, EngineDidNotStart) as missing:
        pytest.skip(f"no OTLP collector: {missing}")
    try:
        with _onward_to(collector) as onward, receiving(certificates, onward=onward) as receiver:
            settings = {
                "VOICEFILE_OTLP_ENDPOINT": receiver.endpoint,
                "VOICEFILE_OTLP_CA": str(collector.authority),
                # None of these has a say in what leaves, nor in where it goes.
                "OTEL_RESOURCE_ATTRIBUTES": f"customer={PLANTED.value}",
                "OTEL_SERVICE_NAME": PLANTED.value,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-customer=erika",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:9",
                "HTTPS_PROXY": "http://localhost:9",
            }
            with vault_process(scratch / "var", scratch, **settings) as vault:
                day = _a_few_deeds(vault)
                metrics = vault.metrics()
            yield Collected(day, receiver, collector, collector.received.read_bytes(), metrics)
    finally:
        collector.stop()


@contextmanager
def _onward_to(collector):
    context = ssl.create_default_context(cafile=str(collector.authority))
    kind = {"content-type": "application/x-protobuf"}
    with httpx.Client(
        base_url=collector.endpoint, verify=context, trust_env=False, headers=kind
    ) as client:
        yield lambda body: client.post("/v1/traces", content=body).status_code


def _a_few_deeds(vault):
    """A contract is filed and heard, by its customer and by care, over the API and the pages."""
    day = Day(vault)
    with vault.client(
        headers={"traceparent": f"00-{CLIENTS}-00f067aa0ba902b7-01", "tracestate": "a=b"},
        event_hooks={"response": [day.seen]},
    ) as client:
        work = Work(day, client)
        work.open_office()
        for name in ("alaw-8k.wav", "flac-16k.flac"):
            work._upload(spoken(name))
        filed = work.filed[0]
        session = work._sign_in(filed)
        where = f"recordings/{filed['recording_id']}"
        assert client.get(f"/playback/v1/{where}/audio", headers=session).status_code == 200
        search = {"email": work.people[0].said["email"]}
        care = work.care | {"Purpose": "complaint"}
        assert client.post("/auth/v1/customer-searches", json=search, headers=care).is_success
        with work._browser({"Origin": vault.url}) as browser:
            form = {"access_id": filed["access_id"], "pin": filed["pin"]}
            assert browser.post("/portal/sign-in", data=form).is_redirect
            assert browser.get(f"/portal/{where}/audio").status_code == 200
        status = client.get(f"/ingest/v1/{where}", headers=bearer(work.token))
        assert status.status_code == 200
    return day


def test_an_upload_is_one_trace_from_ingest_to_auth(collected):
    issued = ("call auth", [("auth: POST /internal/v1/issues", [])])
    uploads = [
        (name, [each for each in below if each == issued])
        for tree in collected.traces()
        for name, below in tree
        if name == "ingest: POST /v1/recordings"
    ]
    # The first belongs to the demo. One was sent twice, and gets the answer that was issued.
    assert len(uploads) == 4
    assert uploads.count(("ingest: POST /v1/recordings", [issued])) == 3


def test_a_page_that_plays_is_one_trace_over_three_services(collected):
    audio = "playback: GET /v1/recordings/{recording_id}/audio"
    release = ("call auth", [("auth: POST /internal/v1/releases", [])])
    page = (
        "portal: GET /recordings/{recording_id}/{part}",
        [("call playback", [(audio, [release])])],
    )
    assert [page] in collected.traces()
    assert [(audio, [release])] in collected.traces()


def test_each_request_of_a_client_begins_a_trace_and_each_service_stays_in_it(collected):
    seen = {each.span.span_id: each for each in collected.seen}
    for each in seen.values():
        parent = each.span.parent_span_id
        assert each.span.kind in {SERVER, CLIENT}
        if each.span.kind == CLIENT:
            assert seen[parent].span.kind == SERVER
            assert each.service == ""
        elif parent:
            assert str(seen[parent]) == f"call {each.service}"
            assert seen[parent].span.kind == CLIENT
    assert all(len(tree) == 1 for tree in collected.traces())


def test_no_client_says_what_its_request_belongs_to(collected):
    traces = {each.span.trace_id.hex() for each in collected.seen}
    assert len(traces) > 20
    assert CLIENTS not in traces
    assert not any(each.span.trace_state for each in collected.seen)


def test_what_happens_several_times_a_second_leaves_no_span(collected):
    names = {str(each) for each in collected.seen}
    assert not any("appendable" in name or "livez" in name for name in names)


def test_the_collector_is_told_the_process_and_nothing_of_the_machine(collected):
    told = [
        {each.key: each.value.string_value for each in resource.resource.attributes}
        for resource, _, _ in collected.receiver.spans()
    ]
    assert all(each.keys() == {"service.name", "service.instance.id"} for each in told)
    assert {each["service.name"] for each in told} == {"vault"}
    assert len({each["service.instance.id"] for each in told}) == 1
    assert all("customer" not in str(headers) for _, headers, _ in collected.receiver.asked)


def test_all_of_it_arrived_and_none_was_dropped(collected):
    statuses = collected.metrics.splitlines()
    lost = [each for each in statuses if each.startswith("voicefile_spans_lost_total{")]
    assert all(each.endswith(" 0.0") for each in lost), lost
    assert collected.said.count(b"Trace ID ") == len(collected.seen)
    for each in collected.seen:
        assert each.span.trace_id.hex().encode() in collected.said
        assert each.span.name.encode() in collected.said


def test_nothing_said_is_in_what_left_or_in_what_the_collector_has(collected):
    assert len(collected.day.canaries) > 50
    assert collected.leaks(collected.receiver.bodies) == set()
    assert collected.leaks(collected.said) == set()


def test_what_is_planted_is_found_at_the_collector(collected):
    planted = ExportTraceServiceRequest()
    span = planted.resource_spans.add().scope_spans.add().spans.add(name="call auth")
    span.trace_id, span.span_id = b"t" * 16, b"s" * 8
    span.attributes.add(key="customer").value.string_value = str(PLANTED.value)
    body = planted.SerializeToString()
    with _onward_to(collected.collector) as onward:
        assert onward(body) == 200
    until_s = time.monotonic() + 10
    while b"Nachtschwalbe" not in (said := collected.collector.received.read_bytes()):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert collected.leaks(said) == {"planted name"}
    assert collected.leaks(body) == {"planted name"}
