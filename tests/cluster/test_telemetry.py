"""What services apart tell: one trace over processes and brokers, logs and metrics from the list.

The collector is a receiver of the test's own: what a real one makes of it is tried elsewhere.
"""

import asyncio
import json
import secrets
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import SERVICES
from tests.engines.certificates import certificate
from tests.faults import people
from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Patterns, leaks_in_bytes, leaks_in_folder
from tests.metrics_book import booked, shown
from tests.otlp_receiver import Receiver, receiving

from voicefile.chassis.log_fields import allowed_fields
from voicefile.chassis.spans import ATTRIBUTES

pytestmark = [asked_for, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]
PLAYS = 6
"""Enough for every replica to have had its first request, with what it has to find out for it."""
FOREIGN_METRICS = ("process_", "python_")
ALWAYS = {"event", "level", "service", "time", "message", "dropped"}


@dataclass(frozen=True)
class Seen:
    """One span, and the process that sent it."""

    service: str
    instance: str
    span: Span


@dataclass
class Told:
    """All that the cluster told while somebody was at work."""

    receiver: Receiver
    patterns: Patterns
    logs: dict[str, bytes]
    metrics: dict[str, str]
    engines: Path
    """All that the engines keep."""

    @property
    def seen(self):
        for resource, _, span in self.receiver.spans():
            of = {each.key: each.value.string_value for each in resource.resource.attributes}
            yield Seen(of["service.name"], of["service.instance.id"], span)

    def ways(self):
        """By trace: the services' names from the first request inwards, and what each was asked.

        Without the keys for tokens, which a fresh process fetches with its first request.
        """
        fetched = {
            span_id
            for each in self.seen
            if each.span.name == "GET /v1/keys"
            for span_id in (each.span.span_id, each.span.parent_span_id)
        }
        traces = defaultdict(list)
        for each in self.seen:
            if each.span.span_id not in fetched:
                traces[each.span.trace_id].append(each)
        for spans in traces.values():
            spans.sort(key=lambda each: each.span.start_time_unix_nano)
            yield [(each.service, each.span.name) for each in spans]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def told(vault):
    cluster = vault.cluster
    certificate(cluster.certificates, "collector")
    with receiving(cluster.certificates) as receiver:
        before = dict(cluster.settings)
        sending = {
            "VOICEFILE_OTLP_ENDPOINT": receiver.endpoint,
            "VOICEFILE_OTLP_CA": str(cluster.certificates / "ca.pem"),
        }
        await asyncio.to_thread(cluster.with_settings, before | sending)
        try:
            hidden = await _at_work(vault)
            await vault.settled()
            metrics = {each.name: each.metrics() for each in cluster.everybody}
        finally:
            # What waits to be sent is sent when they stop.
            await asyncio.to_thread(cluster.with_settings, before)
    patterns = Patterns(
        ((canary.what, encoding), pattern)
        for canary in hidden
        for encoding, pattern in canary.patterns()
    )
    logs = {each.name: each.log.read_bytes() for each in cluster.everybody}
    return Told(receiver, patterns, logs, metrics, cluster.folder / "engines")


async def _at_work(vault):
    """A contract is filed, heard by its customer, and played in the portal a few times."""
    company, key = vault.companies[0], secrets.token_hex(16)
    async with vault.front() as client:
        token = await company.partner_token()
        said = people.told_about(key)
        filed = await people.upload(
            client, token=token, key=key, audio=people.noise(key), said=said
        )
        answer = filed.raise_for_status().json()
        session = people.session(await people.sign_in(client, answer["access_id"], answer["pin"]))
        heard = await people.heard(client, session, answer["recording_id"])
        assert heard.status_code == 200
        form = {"access_id": answer["access_id"], "pin": answer["pin"]}
        origin = {"Origin": str(client.base_url)}
        page = await client.post("/portal/sign-in", data=form, headers=origin)
        assert page.is_redirect, page.text
        cookie = {"Cookie": f"__Host-vf_session={page.cookies['__Host-vf_session']}"}
        path = f"/portal/recordings/{answer['recording_id']}/audio"
        for _ in range(PLAYS):
            assert (await client.get(path, headers=cookie)).status_code == 200
    return [
        Canary("access ID", answer["access_id"]),
        Canary("PIN", answer["pin"]),
        Canary("recording", answer["recording_id"]),
        Canary("contract", said["contract_reference"]),
        Canary("customer", said["customer"]["name"]),
        Canary("token", token),
        Canary("Idempotency-Key", key),
        Canary("session", session["Authorization"].removeprefix("Bearer ")),
    ]


async def test_a_request_is_one_trace_over_the_processes_it_needs(told):
    filing = ("ingest", "POST /v1/recordings")
    assert [filing, ("ingest", "call auth"), ("auth", "POST /internal/v1/issues")] in [
        way for way in told.ways() if filing in way
    ]
    playing = ("portal", "GET /recordings/{recording_id}/{part}")
    assert [
        playing,
        ("portal", "call playback"),
        ("playback", "GET /v1/recordings/{recording_id}/audio"),
        ("playback", "call auth"),
        ("auth", "POST /internal/v1/releases"),
    ] in [way for way in told.ways() if playing in way]


async def test_each_process_names_itself_and_nothing_else(told):
    instances = defaultdict(set)
    for each in told.seen:
        instances[each.service].add(each.instance)
    assert set(instances) == set(SERVICES)
    # A number of its own for each start of each replica.
    assert sum(map(len, instances.values())) == len(set().union(*instances.values()))


async def test_who_handles_events_links_to_who_published_them(told):
    published = {
        each.span.span_id: each for each in told.seen if each.span.name.startswith("publish ")
    }
    handled = [each for each in told.seen if each.span.name.startswith("handle ")]
    assert {each.service for each in published.values()} >= {"auth", "ingest"}
    assert {each.service for each in handled} >= {"audit"}
    linked = 0
    for each in handled:
        assert not each.span.parent_span_id
        for link in each.span.links:
            source = published.get(link.span_id)
            if source is not None:  # else it was published before anybody was listening
                linked += 1
                assert source.span.trace_id == link.trace_id != each.span.trace_id
                assert source.span.name.split()[1] == each.span.name.split()[1]
    assert linked > 0
    assert not any(each.span.parent_span_id for each in published.values())


async def test_no_span_holds_more_than_the_list(told):
    names = {attribute.key for each in told.seen for attribute in each.span.attributes}
    assert names == set(ATTRIBUTES)
    assert not any(each.span.events or each.span.status.message for each in told.seen)
    text = "\n".join(told.metrics.values())
    assert 'voicefile_spans_lost_total{reason="not_allowed"} 0.0' in text
    assert leaks_in_bytes(told.receiver.bodies, told.patterns, "traces") == set()


async def test_no_trace_of_a_request_is_stored_beside_what_it_was_about(told):
    """A publish names itself in its records, which shows that the search can see."""
    asked, published = (
        {
            each.span.trace_id
            for each in told.seen
            if each.span.name.startswith("publish ") == wanted
        }
        for wanted in (False, True)
    )
    patterns = Patterns(
        ((what, form), spelt)
        for what, traces in (("request", asked), ("publish", published))
        for trace in traces
        for form, spelt in (("bytes", trace), ("hex", trace.hex().encode()))
    )
    found = leaks_in_folder(told.engines, patterns)
    assert {leak.what for leak in found} == {"publish"}
    assert {leak.where.split("/")[0] for leak in found} == {"kafka"}


async def test_no_log_of_any_process_tells_anything(told):
    for name, said in told.logs.items():
        found = {leak.what for leak in leaks_in_bytes(said, told.patterns, name)}
        # The number of a recording may stand in a log; without the stores it leads to nobody.
        assert found <= {"recording"}, name


async def test_every_line_of_every_log_is_from_the_list(told):
    allowed = {*ALWAYS, *allowed_fields()}
    for name, said in told.logs.items():
        lines = [json.loads(line) for line in said.splitlines()]
        assert lines, name
        for line in lines:
            assert line.keys() <= allowed, (name, line)
            assert line["service"] == name.rpartition("-")[0]
            # Nobody of ours tries to log what is not allowed.
            assert "dropped" not in line, (name, line)


async def test_every_metric_of_every_process_is_in_the_book_and_names_nobody(told):
    for name, text in told.metrics.items():
        ours = {each for each in shown(text) if not each.startswith(FOREIGN_METRICS)}
        assert ours <= set(booked()), name
        assert leaks_in_bytes(text.encode(), told.patterns, name) == set()
