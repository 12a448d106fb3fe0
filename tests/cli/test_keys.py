"""`voicefile keys` as an operator types it: each step says what it did, or why it did nothing."""

import os
import re

import pytest
from tests.cli import typed


@pytest.fixture
def run(tmp_path):
    def command(*words):
        return typed.run(words, os.environ | {"VOICEFILE_DATA_DIR": str(tmp_path / "vault")})

    return command


@pytest.fixture
def tenant(run):
    opened = run("tenant", "open", "Nordwind", "nordwind.example")
    return opened.stdout.splitlines()[0].split()[1]


def rows(shown):
    return [
        line.split()[0] for line in shown.stdout.splitlines() if re.search(r"[0-9a-f]{32}", line)
    ]


def test_the_root_is_changed_and_the_old_one_kept_while_it_is_needed(run, tenant):
    assert rows(run("keys", "show")) == ["lasting", "period"]
    changed = run("keys", "change-root")
    assert (changed.returncode, changed.stderr) == (0, "")
    assert changed.stdout.startswith("begun: keys of 1 tenants moved")
    again = run("keys", "change-root")
    assert again.stdout.startswith("taken up: keys of 0 tenants moved")
    assert rows(run("keys", "show"))[:2] == ["lasting", "being"]
    refused = run("keys", "destroy-old-root")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Not destroyed: the change began too short a time ago")
    assert run("tenant", "list").stdout == f"{tenant}  open    Nordwind\n"


def test_signing_keys_are_changed_when_they_are_old_or_asked_for(run, tenant):
    young = run("keys", "change-signing")
    assert young.stdout == "Nothing is that old.\n"
    one = run("keys", "change-signing", tenant)
    assert re.fullmatch(rf"{tenant}  [0-9a-f]{{32}}\n.*ten minutes\.\n", one.stdout)
    every = run("keys", "change-signing", "--older-than-days", "0")
    changed = [line.split()[0] for line in every.stdout.splitlines()[:2]]
    assert changed == ["tokens", tenant]


def test_what_can_not_be_changed_is_said_in_one_line(run):
    for words, reason in (
        (("change-signing", "ab" * 16), "There is no such tenant"),
        (("try-other-root",), "The embedded vault has one root key"),
    ):
        refused = run("keys", *words)
        assert refused.returncode == 1
        assert refused.stderr.startswith(reason)
    assert run("keys", "destroy-old-root").stdout == "there is no old one\n"
