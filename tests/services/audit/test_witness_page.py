"""The page about witnesses names what can be set, and the alarms that there are."""

import re
from pathlib import Path

from voicefile.audit.settings import AuditSettings
from voicefile.witness.settings import WitnessSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations" / "witness.md").read_text()
OF_AUDIT = re.compile(r"witnesses|(offer|tsa|stamp|timestamps)_\w+")
NAMED = re.compile(r"^\| `(VOICEFILE_\w+)` \|", re.MULTILINE)


def named() -> set[str]:
    return set(NAMED.findall(PAGE))


def test_the_page_names_every_setting_and_no_other():
    witness = {f"VOICEFILE_WITNESS_{name.upper()}" for name in WitnessSettings.model_fields}
    audit = {
        f"VOICEFILE_AUDIT_{name.upper()}"
        for name in AuditSettings.model_fields
        if OF_AUDIT.fullmatch(name)
    }
    assert len(audit) > 10
    assert named() == witness | audit


def test_the_page_says_what_to_do_about_alarms_that_there_are():
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    alarms = re.findall(r"^\| (Vault\w+) \|", PAGE, re.MULTILINE)
    assert len(alarms) == 3
    assert all(f"- alert: {alarm}\n" in rules for alarm in alarms)
