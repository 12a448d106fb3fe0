"""What is said at the end of a run about the engines that served it."""

import json

import pytest
from tests.engines import running
from tests.engines.kafka_jars import SUMS, OtherJars, compare


@pytest.fixture
def noted(tmp_path):
    def note(state):
        (tmp_path / "state.json").write_text(json.dumps(state))
        return tmp_path

    return note


THERE = {name: {"kind": f"{name} 1.0"} for name in running.EXPECTED}


def test_it_says_what_served(noted):
    said = running.summary(noted({**THERE, "missing": {}}))
    assert len(said) == 1
    assert "kafka = kafka 1.0" in said[0]


def test_it_says_of_each_missing_one_why(noted):
    there = {name: entry for name, entry in THERE.items() if name != "kafka"}
    state = {**there, "tansu": {"kind": "tansu 0.6"}, "missing": {"kafka": "there is no java"}}
    first, *others = running.summary(noted(state))
    assert "tansu = tansu 0.6" in first
    assert others == ["MISSING: kafka: there is no java"]


def test_it_says_that_nobody_started_any(tmp_path):
    assert running.summary(tmp_path) == [f"MISSING: all; {running.NOBODY_SAID_UP}"]


def test_a_jar_with_another_content_is_refused(tmp_path):
    for line in SUMS.read_text().splitlines():
        (tmp_path / line.split()[1]).write_bytes(b"another")
    with pytest.raises(OtherJars, match="kafka-clients"):
        compare(tmp_path)


def test_a_jar_too_many_is_refused(tmp_path):
    (tmp_path / "more.jar").write_bytes(b"")
    with pytest.raises(OtherJars, match=r"more\.jar"):
        compare(tmp_path)
