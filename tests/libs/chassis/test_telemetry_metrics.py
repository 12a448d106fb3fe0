"""The list of metrics, the metrics, and the alarms over them say the same."""

import re
import shutil
import subprocess

import pytest
from tests.metrics_book import BOOK, ROOT, booked, declared, shown

from voicefile.chassis.spans import ATTRIBUTES

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"


WATCHED = re.compile(r"\b(voicefile_\w+?)(?:_bucket|_count|_sum)?\b(?:\{([^}]*)\})?")


def alarms() -> dict[str, set[str]]:
    """Each alarm that the book names, with the metrics in whose row it stands."""
    found: dict[str, set[str]] = {}
    for line in BOOK.read_text().splitlines():
        name = re.match(r"\| `(voicefile_\w+)", line)
        for alarm in re.findall(r"\bVault[A-Za-z]+\b", line):
            found.setdefault(alarm, set()).update([name[1]] if name else [])
    return found


def rules() -> dict[str, list[tuple[str, str]]]:
    """Each rule with the metrics it watches and what it picks of them."""
    blocks = ALERTS.read_text().split("- alert: ")[1:]
    return {block.split()[0]: WATCHED.findall(block) for block in blocks}


def test_every_metric_is_in_the_book_with_its_labels_and_the_book_has_no_other():
    assert booked() == declared()


def test_every_alarm_of_the_book_is_a_rule_over_its_metric_and_the_other_way_round():
    watched = {rule: {name for name, _ in parts} for rule, parts in rules().items()}
    assert alarms() == watched
    assert len(watched) > 15


def test_the_rules_pick_by_labels_that_there_are():
    for rule, parts in rules().items():
        for name, picked in parts:
            assert set(re.findall(r"(\w+)[=!]", picked)) <= booked()[name], rule


@pytest.mark.parametrize(("kind", "name"), [("check", "alerts.yml"), ("test", "alerts_test.yml")])
def test_prometheus_itself_reads_the_rules_and_rings_when_it_should(kind, name):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: no Prometheus has read the rules")
    done = subprocess.run(
        [promtool, kind, "rules", str(ALERTS.with_name(name))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_book_names_each_attribute_of_a_span():
    table = [line for line in BOOK.read_text().splitlines() if line.startswith("| `")]
    named = {name for line in table for name in re.findall(r"`([a-z]+(?:\.[a-z_]+)+)`", line)}
    assert named == set(ATTRIBUTES)


def test_what_metrics_show_is_read_by_family():
    text = (
        "# HELP a_total x\n# TYPE a_total counter\na_total 1.0\n"
        "# TYPE a_created gauge\na_created 1.0\n# TYPE b histogram\n"
    )
    assert shown(text) == {"a_total", "b"}
