"""After a working day in a cluster nothing that was said lies in clear in any engine's files.

The broker's log, the document store's files, the blob store's, every engine's and service's log,
what the collector got of traces, and the metrics; while all runs and after a stop. In each of
these places something is planted by the engine's own means, and found.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import Cluster
from tests.cluster.day_apart import opened, settled
from tests.engines.collector import Collector
from tests.engines.environment import NotToBeHad
from tests.engines.kafka import OPERATOR
from tests.journeys.canaries import Canary
from tests.journeys.leak_scan import Leak, Patterns, leaks_in_bytes, leaks_in_folder
from tests.journeys.mistakes import a_working_day
from tests.journeys.noise import forms, noise, windows
from tests.journeys.working_day import UPLOAD_BYTES_MAX, Day

pytestmark = [asked_for, pytest.mark.timeout(900)]
PLANTED = Canary("planted name", "Käthe & Olga Nachtschwalbe 7b21f0")
TRACES_LEAVE_AFTER_S = 6
"""They leave in batches."""
LEFT_OUT = {"certificates", "tls"}
"""Keys and certificates, which nobody's day goes into."""


@dataclass
class Evidence:
    """What a day left behind."""

    day: Day
    patterns: Patterns
    running: Path
    stopped: Path
    metrics: dict[str, str]
    planted: Path
    """The same folder, after something was planted in each engine."""
    unclean: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("day-apart")
    collector = Collector(folder / "cluster" / "engines" / "collector", folder / "certificates")
    try:
        collector.start()
        settings = {
            "VOICEFILE_INGEST_UPLOAD_BYTES_MAX": str(UPLOAD_BYTES_MAX),
            "VOICEFILE_OTLP_ENDPOINT": collector.endpoint,
            "VOICEFILE_OTLP_CA": str(collector.authority),
        }
        cluster = Cluster(folder / "cluster", settings=settings)
        try:
            cluster.start()
            yield gathered(cluster, folder)
        finally:
            cluster.stop()
    except NotToBeHad as why:
        pytest.skip(f"NOT RUN: {why}")
    finally:
        collector.stop()


def gathered(cluster: Cluster, folder: Path) -> Evidence:
    day = a_working_day(opened(cluster))
    settled(cluster)
    time.sleep(TRACES_LEAVE_AFTER_S)
    patterns = Patterns(_labelled(day))
    running = copied(cluster.folder, folder / "running")
    metrics = {each.name: each.metrics() for each in cluster.everybody}
    plant(cluster)
    planted = copied(cluster.folder, folder / "planted")
    unclean = cluster.stop()
    stopped = copied(cluster.folder, folder / "stopped")
    return Evidence(day, patterns, running, stopped, metrics, planted, unclean)


def _labelled(day):
    for canary in day.canaries:
        for encoding, pattern in canary.patterns():
            yield (canary.what, encoding), pattern
    for upload in day.uploads:
        for window in windows(upload):
            yield ("audio", "as uploaded"), window
    for form, samples in forms(noise(6.0)):
        for window in windows(samples):
            yield ("audio", form), window


def copied(source: Path, target: Path) -> Path:
    """Everything but certificates. Files come and go while it is copied."""

    def vanished(_folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in LEFT_OUT or name.endswith(".sock")]

    try:
        shutil.copytree(source, target, ignore=vanished)
    except shutil.Error as errors:
        gone = [each for each in errors.args[0] if "No such file" not in str(each[2])]
        assert gone == [], gone
    return target


def plant(cluster: Cluster) -> None:
    """One value in each engine, by its own means, as a service that forgot to seal would."""
    value = str(PLANTED.value)
    with cluster.engines.mongo.client() as client:
        client["voicefile_ingest"]["feed"].insert_one({"_id": "planted", "name": value})
    with cluster.engines.s3.client() as client:
        client.put_object(
            Bucket=cluster.engines.s3.bucket, Key="planted", Body=b"\x93\xa5" * 50 + value.encode()
        )
    asyncio.run(_published(cluster, value.encode()))


async def _published(cluster: Cluster, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.engines.kafka.bootstrap,
        security_protocol="SSL",
        ssl_context=cluster.engines.kafka.ssl(OPERATOR),
        acks="all",
    )
    await producer.start()
    try:
        await producer.send_and_wait("voicefile.ingest.dead.v1", b"\x0a\x10" + value)
    finally:
        await producer.stop()


def test_nothing_said_lies_in_clear_while_the_cluster_runs(evidence):
    assert leaks_in_folder(evidence.running, evidence.patterns) == set()


def test_nothing_said_lies_in_clear_after_it_stopped(evidence):
    assert leaks_in_folder(evidence.stopped, evidence.patterns) == set()


def test_every_place_was_searched(evidence):
    """Figures for whoever reads the log: what was looked for, in how much of what."""
    folders = {
        "kafka": "engines/kafka/data",
        "mongo": "engines/mongo/data",
        "s3": "engines/s3/data",
        "traces": "engines/collector",
        "services": "services",
    }
    for name, place in folders.items():
        searched = [each for each in (evidence.running / place).rglob("*") if each.is_file()]
        size = sum(each.stat().st_size for each in searched)
        print(f"{name}: {size:,} bytes in {len(searched)} files")
        assert size > 10_000, name
    print(f"{len(evidence.day.canaries)} values as {len(evidence.patterns)} patterns")
    assert len(evidence.day.canaries) > 150
    logs = {each.parent.name for each in evidence.running.rglob("log.txt")}
    assert logs >= {"kafka", "mongo", "s3", "collector", "auth-1", "ingest-2", "portal-1"}


def test_the_traces_and_the_metrics_tell_nothing(evidence):
    traces = (evidence.running / "engines" / "collector" / "log.txt").read_bytes()
    assert b"/v1/recordings" in traces
    for name, said in evidence.metrics.items():
        assert leaks_in_bytes(said.encode(), evidence.patterns, name) == set()
    assert "voicefile_request_seconds_count" in evidence.metrics["auth-1"]


def test_no_refusal_repeats_what_was_sent(evidence):
    assert len(evidence.day.refusals) > 60
    refusals = b"\n\n".join(evidence.day.refusals)
    assert leaks_in_bytes(refusals, evidence.patterns, "refusals") == set()
    assert not {status for status in evidence.day.statuses if status >= 500}


def test_what_is_planted_is_found_in_each_engine(evidence):
    patterns = Patterns(
        ((PLANTED.what, encoding), pattern) for encoding, pattern in PLANTED.patterns()
    )
    found = leaks_in_folder(evidence.planted, patterns)
    places = {leak.where.split("/")[1] for leak in found if leak.where.startswith("engines/")}
    assert places >= {"kafka", "mongo", "s3"}, found


@pytest.mark.parametrize("place", ["services/auth-1", "engines/collector", "engines/kafka"])
def test_what_is_planted_is_found_in_each_log(evidence, place):
    log = evidence.planted / place / "log.txt"
    log.write_bytes(log.read_bytes() + b'\n{"event": "' + str(PLANTED.value).encode() + b'"}\n')
    patterns = Patterns(
        ((PLANTED.what, encoding), pattern) for encoding, pattern in PLANTED.patterns()
    )
    found = leaks_in_folder(evidence.planted / place, patterns)
    assert Leak("planted name", "utf-8", "log.txt") in found


def test_everybody_stopped_cleanly(evidence):
    assert evidence.unclean == []
