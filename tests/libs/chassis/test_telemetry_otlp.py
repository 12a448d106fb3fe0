"""What goes to a collector over the wire, byte by byte, and what doesn't."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult
from tests.otlp_receiver import Receiver, receiving

from voicefile.chassis import otlp
from voicefile.chassis.otlp import TELL_EVERY_S, Collector
from voicefile.chassis.spans import SCOPE
from voicefile.chassis.telemetry import tracer_provider
from voicefile.chassis.tls import service_certificate

# In parts: what stands in a source letter by letter could stand in a log.
CANARY = "4929" + "123412341234"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    service_certificate(folder, "collector")
    return folder


@pytest.fixture
def receiver(certificates):
    with receiving(certificates) as found:
        yield found


def a_span():
    """One finished span, as the queue's thread gets it."""
    spans = []

    class Kept(otlp.SpanExporter):
        def export(self, batch):
            spans.extend(batch)
            return SpanExportResult.SUCCESS

    provider = tracer_provider("ingest", exporter=Kept())
    provider.get_tracer(f"{SCOPE}.ingest").start_span(
        "call auth", attributes={"http.request.method": "POST"}
    ).end()
    provider.shutdown()
    return spans


@contextmanager
def collector(receiver, certificates, **more):
    settings = {"ca": certificates / "ca.pem", "export_s_max": 2.0, **more}
    made = Collector(receiver.endpoint, **settings)
    try:
        yield made
    finally:
        made.shutdown()


def test_a_span_arrives_with_what_it_may_hold_and_nothing_more(receiver, certificates):
    with collector(receiver, certificates) as sending:
        assert sending.export(a_span()) is SpanExportResult.SUCCESS
    ((path, headers, body),) = receiver.asked
    assert path == "/v1/traces"
    assert {name.lower(): value for name, value in headers.items()} == {
        "host": f"localhost:{receiver.port}",
        "content-type": "application/x-protobuf",
        "content-length": str(len(body)),
        "user-agent": "voicefile",
        "accept-encoding": "identity",
    }
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert {each.key for each in resource.resource.attributes} == {
        "service.name",
        "service.instance.id",
    }
    (scope,) = resource.scope_spans
    assert scope.scope.name == "voicefile.ingest"
    (span,) = scope.spans
    assert (span.name, [each.key for each in span.attributes]) == (
        "call auth",
        ["http.request.method"],
    )


def test_nothing_of_the_environment_goes_along_or_changes_the_way(
    receiver, certificates, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine localhost login erika password {CANARY}\n")
    elsewhere = "https://localhost:9"
    for name, value in {
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={CANARY},content-type={CANARY}",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-customer={CANARY},user-agent={CANARY}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": elsewhere,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": elsewhere,
        "OTEL_EXPORTER_OTLP_CERTIFICATE": f"/{CANARY}",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"/{CANARY}",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"/{CANARY}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.000001",
        "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": CANARY,
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
        "OTEL_RESOURCE_ATTRIBUTES": f"customer={CANARY}",
        "OTEL_SERVICE_NAME": CANARY,
        "HTTPS_PROXY": f"http://erika:{CANARY}@localhost:9",
        "https_proxy": f"http://erika:{CANARY}@localhost:9",
        "ALL_PROXY": "http://localhost:9",
        "REQUESTS_CA_BUNDLE": f"/{CANARY}",
        "CURL_CA_BUNDLE": f"/{CANARY}",
        "NETRC": str(netrc),
    }.items():
        monkeypatch.setenv(name, value)
    with collector(receiver, certificates) as sending:
        assert sending.export(a_span()) is SpanExportResult.SUCCESS
    ((path, headers, body),) = receiver.asked
    assert CANARY not in f"{path}{headers}"
    assert CANARY.encode() not in body
    assert headers["Content-Type"] == "application/x-protobuf"
    assert [span.name for _, _, span in receiver.spans()] == ["call auth"]


def test_what_the_collector_says_is_neither_followed_nor_kept(receiver, certificates):
    receiver.headers = {"Set-Cookie": f"a={CANARY}; Secure", "Location": "/elsewhere"}
    receiver.answers = 307
    with collector(receiver, certificates) as sending:
        # The library takes a redirect for success; nobody got the spans.
        assert sending.export(a_span()) is SpanExportResult.FAILURE
        assert sending.export(a_span()) is SpanExportResult.FAILURE
    assert [path for path, _, _ in receiver.asked] == ["/v1/traces"] * 2
    assert CANARY not in f"{receiver.asked[1][1]}"


def test_a_collector_that_somebody_else_vouches_for_gets_nothing(receiver, certificates, tmp_path):
    service_certificate(tmp_path, "collector")
    with (
        structlog.testing.capture_logs() as logs,
        collector(receiver, tmp_path) as sending,
    ):
        assert sending.export(a_span()) is SpanExportResult.FAILURE
    assert receiver.asked == []
    (line,) = logs
    assert (line["event"], line["count"]) == ("spans_not_sent", 1)
    assert "SSLError" in line["error_type"]


def test_without_an_authority_of_ours_the_systems_count_and_no_variables(
    receiver, certificates, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(certificates))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    with collector(receiver, certificates, ca=None) as sending:
        assert sending.export(a_span()) is SpanExportResult.FAILURE
    assert receiver.asked == []


def test_a_collector_that_asks_who_we_are_is_shown_our_certificate(certificates):
    with receiving(certificates, wants_certificate=True) as receiver:
        with collector(receiver, certificates) as stranger:
            assert stranger.export(a_span()) is SpanExportResult.FAILURE
        mine = service_certificate(certificates, "ingest")
        with collector(receiver, certificates, certificate=mine) as known:
            assert known.export(a_span()) is SpanExportResult.SUCCESS
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("name", ["ca", "certificate"])
def test_a_file_that_is_not_there_is_found_out_at_the_start(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        Collector("https://localhost:9", **{name: tmp_path / "none.pem"})


def test_failures_are_told_once_a_minute_without_words(receiver, certificates, caplog):
    now_s = 0.0
    receiver.answers = 400
    receiver.headers = {"x-reason": CANARY}
    with (
        structlog.testing.capture_logs() as logs,
        collector(receiver, certificates, monotonic=lambda: now_s) as sending,
    ):
        for _ in range(5):
            sending.export(a_span())
        now_s = TELL_EVERY_S
        sending.export(a_span())
    assert [(line["event"], line["count"], line["status"]) for line in logs] == [
        ("spans_not_sent", 1, 400),
        ("spans_not_sent", 5, 400),
    ]
    assert CANARY not in json.dumps(logs)
    # Nor does the library say it in its own words.
    assert caplog.records == []


def test_a_collector_that_is_away_costs_its_time_and_no_more(certificates):
    away = Receiver(port=9)
    with (
        structlog.testing.capture_logs() as logs,
        collector(away, certificates, export_s_max=0.3) as sending,
    ):
        assert sending.export(a_span()) is SpanExportResult.FAILURE
    assert "Connection" in logs[0]["error_type"]
    assert "9" not in logs[0]["error_type"]


def test_the_exporter_has_one_door():
    root = Path(__file__).parents[3]
    sources = [p for part in ("libs", "services", "cli") for p in (root / part).rglob("*.py")]
    found = {
        path.name
        for path in sources
        if any(
            line.startswith(("import requests", "from requests", "from opentelemetry.exporter"))
            for line in path.read_text().splitlines()
        )
    }
    assert found == {"otlp.py"}
