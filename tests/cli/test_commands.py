"""The commands as a person runs them: what they say, what they keep, how they fail."""

import os
import socket

import pytest
from tests.cli import typed


@pytest.fixture
def run(tmp_path):
    def command(*words, **environment):
        return typed.run(
            words, os.environ | {"VOICEFILE_DATA_DIR": str(tmp_path / "vault")} | environment
        )

    return command


def said(finished):
    return dict(line.split(maxsplit=1) for line in finished.stdout.splitlines()[:3])


def test_a_tenant_is_opened_listed_and_closed(run):
    opened = run("tenant", "open", "Nordwind", "nordwind.example")
    assert (opened.returncode, opened.stderr) == (0, "")
    tenant = said(opened)["tenant"]
    assert said(opened)["username"] == "admin@nordwind.example"
    assert run("tenant", "list").stdout == f"{tenant}  open    Nordwind\n"
    untyped = run("tenant", "close", tenant)
    assert (untyped.returncode, untyped.stdout) == (1, "")
    assert "--typed" in untyped.stderr
    closed = run("tenant", "close", tenant, "--typed", tenant[:8])
    day = closed.stdout.removeprefix("closed; erased on ").strip()
    assert run("tenant", "list").stdout == f"{tenant}  closed  Nordwind  erased on {day}\n"
    assert run("tenant", "restore", tenant).stdout == "open\n"
    assert run("tenant", "list").stdout == f"{tenant}  open    Nordwind\n"


def test_what_other_rules_would_erase_is_shown(run, tmp_path):
    tenant = said(run("tenant", "open", "Nordwind", "nordwind.example"))["tenant"]
    rules = tmp_path / "rules.json"
    rules.write_text('{"retention_days": {"contract": 30}}')
    shown = run("tenant", "preview", tenant, str(rules))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "0 recordings would get another planned day\n"
    rules.write_text('{"retention_days": 7}')
    assert "no rules" in run("tenant", "preview", tenant, str(rules)).stderr


def test_two_tenants_can_not_share_a_domain(run):
    run("tenant", "open", "Nordwind", "nordwind.example")
    refused = run("tenant", "open", "Südwind", "nordwind.example")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Another tenant has this domain.\n"


@pytest.mark.parametrize("tenant", ["00", "ab" * 16])
def test_what_is_no_tenant_is_not_closed(run, tenant):
    refused = run("tenant", "close", tenant, "--typed", tenant[:8])
    assert refused.returncode == 1
    assert refused.stderr.startswith("There is no such tenant")


def test_migrating_says_what_it_did_and_may_be_repeated(run):
    for _ in range(2):
        done = run("migrate")
        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            f"{service}: up to date" for service in ("auth", "audit", "ingest", "playback")
        ]


def test_a_taken_port_is_said_in_one_line(run):
    with socket.create_server(("localhost", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("serve", "all", VOICEFILE_PORT=port)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"port {port} on localhost is taken")


def test_what_is_no_service_is_not_served(run):
    refused = run("serve", "everything")
    assert refused.returncode == 1
    assert refused.stderr.startswith("There is no such service")


def test_the_secrets_of_a_new_tenant_are_told_and_not_kept(run, tmp_path):
    opened = run("tenant", "open", "Nordwind", "nordwind.example")
    told = dict(line.split(maxsplit=1) for line in opened.stdout.splitlines()[2:3])
    secret = told["password"].encode()
    kept = [path for path in (tmp_path / "vault").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if secret in path.read_bytes()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give --root, to restore into the folder, or --engines, to restore into those.\n"),
        (
            ("--root", "root", "--engines", "services"),
            "Give --root, to restore into the folder, or --engines, to restore into those.\n",
        ),
    ],
)
def test_a_restore_is_told_one_place(run, tmp_path, words, said):
    new = tmp_path / "new"
    finished = run("backup", "restore", str(new), "--from", "target", "--key", "key", *words)
    assert (finished.returncode, finished.stderr) == (1, said)
    assert not new.exists()
