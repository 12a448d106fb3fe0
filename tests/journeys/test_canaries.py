"""After a working day nothing that was said lies anywhere in clear: all bytes, all spellings."""

import bz2
import gzip
import lzma
import shutil
import sqlite3
import subprocess
import time
import zipfile
import zlib
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from tests.journeys.canaries import Canary, encodings
from tests.journeys.leak_scan import Leak, Patterns, leaks_in_bytes, leaks_in_folder
from tests.journeys.mistakes import a_working_day
from tests.journeys.noise import forms, noise, windows
from tests.journeys.vault_process import vault_process, without_ptrace
from tests.journeys.working_day import UPLOAD_BYTES_MAX, Day
from tests.metrics_book import booked, shown
from tests.otlp_receiver import receiving

DECLARED = "demo.json"
FOREIGN_METRICS = ("process_", "python_")
FROM_THE_START = ("voicefile_log_lines_lost_total", "voicefile_spans_lost_total")
LOOKS_MAX = 200
"""How often is looked whether a process that may be read can be read; each look is a process."""
"""The one file that holds secrets in clear, and says so."""


@dataclass
class Evidence:
    """What a day left behind."""

    day: Day
    patterns: Patterns
    running: Path
    """A copy of var/ while the vault was up, with SQLite's logs."""
    stopped: Path
    said: bytes
    spans: bytes
    traces: set[bytes]
    metrics: str
    outside: list[Path]
    core_limits: set[str]
    memories_opened: list[bool]

    def leaks(self, data: bytes, where: str) -> set[Leak]:
        return leaks_in_bytes(data, self.patterns, where)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("day")
    with receiving(scratch / "certificates") as collector:
        settings = {
            "VOICEFILE_OTLP_ENDPOINT": collector.endpoint,
            "VOICEFILE_OTLP_CA": str(scratch / "certificates" / "ca.pem"),
            "VOICEFILE_INGEST_UPLOAD_BYTES_MAX": str(UPLOAD_BYTES_MAX),
        }
        with vault_process(scratch / "var", scratch, **settings) as vault:
            day = a_working_day(vault)
            # A checkpoint is signed and the last listenings end before everything is looked at.
            time.sleep(2)
            shutil.copytree(vault.data, scratch / "running")
            metrics, limits = vault.metrics(), {_core_limit(pid) for pid in vault.processes()}
            opened = [_opens_memory(pid) for pid in vault.processes()]
    return Evidence(
        day,
        Patterns(_labelled(day)),
        scratch / "running",
        vault.data,
        vault.said(),
        collector.bodies,
        {span.trace_id for _, _, span in collector.spans()},
        metrics,
        vault.written_outside(),
        limits,
        opened,
    )


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


def _core_limit(pid):
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    return " ".join(line.split()[4:6])


def _opens_memory(pid):
    """Whether somebody else of the same user, who is not almighty, may read its memory."""
    tried = without_ptrace(["head", "-c", "0", f"/proc/{pid}/mem"])
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def elsewhere(leaks):
    return {leak for leak in leaks if not leak.where.startswith(DECLARED)}


def test_nothing_said_lies_in_clear_while_the_vault_runs(evidence):
    assert (evidence.running / "documents" / "auth.db-wal").stat().st_size > 0
    assert elsewhere(leaks_in_folder(evidence.running, evidence.patterns)) == set()


def test_nothing_said_lies_in_clear_after_it_stopped(evidence):
    assert elsewhere(leaks_in_folder(evidence.stopped, evidence.patterns)) == set()


def test_the_declared_file_is_found_so_the_search_can_see(evidence):
    data = (evidence.stopped / DECLARED).read_bytes()
    found = {leak.what for leak in evidence.leaks(data, DECLARED)}
    assert found == {
        "password",
        "TOTP secret",
        "client secret",
        "PIN of the demo",
        "access ID of the demo",
    }


def test_the_terminal_the_traces_and_the_metrics_tell_nothing(evidence):
    # The demo shows its own customer's ID and PIN to whoever started it: that is its purpose.
    shown = {"PIN of the demo", "access ID of the demo"}
    assert {leak.what for leak in evidence.leaks(evidence.said, "terminal")} == shown
    assert b"POST /v1/recordings" in evidence.spans
    assert evidence.leaks(evidence.spans, "traces") == set()
    assert "voicefile_request_seconds_count" in evidence.metrics
    assert evidence.leaks(evidence.metrics.encode(), "metrics") == set()


def test_no_trace_is_tied_to_what_is_stored(evidence):
    spelt = ((trace, trace.hex().encode()) for trace in evidence.traces)
    patterns = Patterns((("trace", "any"), each) for both in spelt for each in both)
    assert len(evidence.traces) > 100
    assert leaks_in_folder(evidence.running, patterns) == set()
    assert leaks_in_folder(evidence.stopped, patterns) == set()


def test_what_the_metrics_show_is_in_the_book(evidence):
    ours = {name for name in shown(evidence.metrics) if not name.startswith(FOREIGN_METRICS)}
    assert len(ours) > 10
    assert ours <= set(booked())
    assert {*FROM_THE_START} <= ours


def test_no_refusal_repeats_what_was_sent(evidence):
    assert len(evidence.day.refusals) > 60
    assert evidence.leaks(b"\n\n".join(evidence.day.refusals), "refusals") == set()


def test_the_search_is_as_wide_as_it_says(evidence):
    """Figures for whoever reads the log: what was looked for, in how much."""
    scanned = sum(p.stat().st_size for p in evidence.running.rglob("*") if p.is_file())
    refused = sum(len(each) for each in evidence.day.refusals)
    print(
        f"{len(evidence.day.canaries)} values and {len(evidence.day.uploads)} recordings as "
        f"{len(evidence.patterns)} patterns, in {scanned:,} bytes of the running vault, "
        f"{len(evidence.spans):,} of traces, {len(evidence.metrics):,} of metrics and "
        f"{len(evidence.day.refusals)} refusals of {refused:,} bytes"
    )
    assert len(evidence.day.canaries) > 150
    assert len(evidence.patterns) > 5_000
    assert scanned > 2_000_000


def test_every_day_has_its_successes_and_its_failures(evidence):
    assert {200, 201, 206, 303, 400, 401, 404, 409, 413, 415, 422} <= set(evidence.day.statuses)
    assert not {status for status in evidence.day.statuses if status >= 500}


def test_nothing_is_written_outside_of_its_folder(evidence):
    assert evidence.outside == []


def test_no_process_leaves_its_memory_on_disk_or_shows_it(evidence):
    assert evidence.core_limits == {"0 0"}
    with subprocess.Popen(without_ptrace(["cat"]), stdin=subprocess.PIPE) as control:
        # Until it has given up its own right it is mightier than who looks, and can't be read.
        assert any(_opens_memory(control.pid) for _ in range(LOOKS_MAX))
        control.kill()
    assert evidence.memories_opened == [False] * len(evidence.memories_opened)


PLANTED = (
    Canary("planted name", "Käthe & Olga Nachtschwalbe 7b21f0"),
    Canary("planted number", "735208196644"),
    Canary("planted bytes", bytes(range(7, 255, 13))),
)


@pytest.fixture(scope="module")
def haystack(evidence, tmp_path_factory):
    """A copy of what the vault left, into which something is planted."""
    folder = tmp_path_factory.mktemp("haystack") / "var"
    shutil.copytree(evidence.stopped, folder)
    return folder


def planted_patterns():
    return Patterns(
        ((canary.what, encoding), pattern)
        for canary in PLANTED
        for encoding, pattern in canary.patterns()
    )


def test_what_is_planted_is_found_in_every_encoding(haystack):
    # Behind three bytes more each, so that every alignment occurs, in the middle of a sealed blob.
    blob = next(path for path in (haystack / "blobs").rglob("*") if path.is_file())
    sealed = blob.read_bytes()
    wanted, planted = set(), bytearray(sealed[:70_001])
    for canary in PLANTED:
        for encoding, pattern in canary.patterns():
            wanted.add((canary.what, encoding))
            planted += sealed[len(planted) % 50_000 :][: 64 + len(wanted) % 4] + pattern
    blob.write_bytes(planted + sealed)
    found = {(leak.what, leak.encoding) for leak in leaks_in_folder(haystack, planted_patterns())}
    blob.write_bytes(sealed)
    missing = wanted - found
    # Spellings that are the same bytes have one name.
    patterns = dict(_patterns_of(PLANTED))
    same = {patterns[label] for label in found}
    assert {label for label in missing if patterns[label] not in same} == set()
    assert {encoding for _, encoding in wanted} >= encodings() - {"varint"}


def _patterns_of(canaries):
    for canary in canaries:
        for encoding, pattern in canary.patterns():
            yield (canary.what, encoding), pattern


@pytest.mark.parametrize("name", ["vault.log", "documents/auth.db-wal", "tls/ca.pem", "planted"])
def test_what_is_planted_is_found_in_any_file(haystack, name):
    path = haystack / name
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(before + b"\x93\xa5" + str(PLANTED[0].value).encode() + b"\x00")
    found = leaks_in_folder(haystack, planted_patterns())
    path.write_bytes(before)
    assert Leak("planted name", "utf-8", name) in found


def test_what_is_planted_is_found_in_a_cell_and_as_a_name(haystack):
    database = haystack / "documents" / "auth.db"
    value = str(PLANTED[0].value)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("create table planted (body blob)")
        # Across three pages: only the cell has it whole.
        connection.execute("insert into planted values (?)", [b"x" * 4_080 + value.encode()])
    (haystack / str(PLANTED[1].value)).mkdir()
    found = leaks_in_folder(haystack, planted_patterns())
    (haystack / str(PLANTED[1].value)).rmdir()
    assert Leak("planted name", "utf-8", "documents/auth.db (cells)") in found
    assert "planted number" in {leak.what for leak in found if leak.where.endswith("(its name)")}


@pytest.mark.parametrize("pack", ["gzip", "zlib", "bz2", "xz", "zip", "twice"])
def test_what_is_planted_is_found_in_containers(pack):
    plain = b"some text before " + str(PLANTED[0].value).encode() + b" and behind"
    packed = b"\x85\x07\x99" + _packed(pack, plain) + b"\x78\x9c tail"
    found = leaks_in_bytes(packed, planted_patterns(), "packed")
    assert "planted name" in {leak.what for leak in found}


def _packed(pack, plain):
    if pack == "zip":
        whole = BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a name", plain)
        return whole.getvalue()
    if pack == "twice":
        return gzip.compress(b"once: " + zlib.compress(plain))
    return {"gzip": gzip, "zlib": zlib, "bz2": bz2, "xz": lzma}[pack].compress(plain)


def test_a_recording_left_in_any_form_is_found(haystack, evidence):
    path = haystack / "blobs" / "left"
    for form, samples in forms(noise(6.0)):
        path.write_bytes(b"x" * 1_001 + samples[5_003:8_003])
        found = leaks_in_folder(haystack / "blobs", evidence.patterns)
        assert {leak.what for leak in found} == {"audio"}, form
    path.unlink()
