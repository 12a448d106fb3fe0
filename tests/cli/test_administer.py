"""Commands over a real document store, beside services that run apart."""

import os
import re
import secrets
from pathlib import Path

import pytest
from pymongo import MongoClient
from tests.cli import typed
from tests.engines import running


@pytest.fixture
def told(tmp_path: Path):
    mongo = running.engine("mongo")
    database = f"test_{secrets.token_hex(6)}"
    yield {
        "PATH": os.environ["PATH"],
        "VOICEFILE_DEPLOYMENT": "administered",
        "VOICEFILE_MONGO_URI": mongo["uri_admin"],
        "VOICEFILE_MONGO_DATABASE": database,
        "VOICEFILE_MONGO_CA": mongo["ca"],
        "VOICEFILE_ROOT_DIR": str(tmp_path / "root"),
    }
    with MongoClient(mongo["uri_admin"], tlsCAFile=mongo["ca"]) as client:
        client.drop_database(database)


def run(told, *words, **changes):
    return typed.run(words, told | changes)


def password_in(text: str) -> str:
    return text.split("mongodb://")[1].split("@", maxsplit=1)[0].split(":")[1]


def test_a_tenant_is_opened_listed_and_closed_while_services_run(told):
    opened = run(told, "tenant", "open", "Nordwind", "nordwind.example")
    assert opened.returncode == 0, opened.stderr
    words = dict(line.split(maxsplit=1) for line in opened.stdout.splitlines()[:3])
    assert words["username"] == "admin@nordwind.example"
    assert words["password"] not in opened.stderr
    assert run(told, "tenant", "list").stdout == f"{words['tenant']}  open    Nordwind\n"
    again = run(told, "tenant", "open", "Südwind", "nordwind.example")
    assert again.stderr.splitlines()[-1] == "Another tenant has this domain."
    closed = run(told, "tenant", "close", words["tenant"], "--typed", words["tenant"][:8])
    assert re.fullmatch(r"closed; erased on \d{4}-\d\d-\d\d\n", closed.stdout), closed.stderr
    # What it did waits in auth's store for the instance of auth that leads.
    with MongoClient(told["VOICEFILE_MONGO_URI"], tlsCAFile=told["VOICEFILE_MONGO_CA"]) as client:
        names = client[told["VOICEFILE_MONGO_DATABASE"]].list_collection_names()
    assert "deeds" in names


def test_a_store_is_brought_to_this_version_by_name(told):
    assert run(told, "migrate", "audit").stdout == "audit: up to date\n"
    unnamed = run(told, "migrate")
    assert (unnamed.returncode, unnamed.stdout) == (1, "")
    assert unnamed.stderr == "Name whose store it is: auth, audit, ingest, playback, backup.\n"


@pytest.mark.parametrize("words", [("tenant", "list"), ("migrate", "auth")])
def test_a_store_that_is_away_is_said_in_one_line(told, words):
    uri = told["VOICEFILE_MONGO_URI"]
    where = uri.split("@")[1].split("/")[0]
    refused = run(told, *words, VOICEFILE_MONGO_URI=uri.replace(where, "127.0.0.1:9"))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("The document store can't be reached")
    assert password_in(uri) not in refused.stderr


def test_a_store_that_does_not_know_us_is_said_without_our_words(told):
    uri = told["VOICEFILE_MONGO_URI"]
    other = "wrong-words-of-ours"
    refused = run(told, "tenant", "list", VOICEFILE_MONGO_URI=uri.replace(password_in(uri), other))
    assert refused.returncode != 0
    assert other not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_another_deployment_or_another_root_key_is_named(told, tmp_path):
    assert run(told, "tenant", "list").returncode == 0
    for changed, value in (
        ("VOICEFILE_DEPLOYMENT", "another"),
        ("VOICEFILE_ROOT_DIR", str(tmp_path / "another")),
    ):
        refused = run(told, "tenant", "list", **{changed: value})
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith(changed.removesuffix("_DIR"))


def test_the_root_key_may_be_in_a_transit_engine(told):
    bao = running.engine("openbao")
    own = bao["services"]["auth"]
    there = {
        "VOICEFILE_ROOT": "transit",
        "VOICEFILE_TRANSIT_URL": bao["url"],
        "VOICEFILE_TRANSIT_CA": bao["ca"],
        "VOICEFILE_TRANSIT_MOUNT": own["mount"],
        "VOICEFILE_TRANSIT_TOKEN": own["token"],
    }
    opened = run(told | there, "tenant", "open", "Nordwind", "nordwind.example")
    assert opened.returncode == 0, opened.stderr
    for wrong in ({"VOICEFILE_TRANSIT_TOKEN": "s.nobodys"}, {"VOICEFILE_TRANSIT_CA": ""}):
        refused = run(told | there | wrong, "tenant", "list")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith("The root key can't be reached")
        assert own["token"] not in refused.stderr
        assert "s.nobodys" not in refused.stderr


def test_the_root_key_may_be_in_a_pkcs11_token(told):
    hsm = running.engine("softhsm")
    own = hsm["services"]["auth"]
    there = {
        "VOICEFILE_ROOT": "pkcs11",
        "VOICEFILE_PKCS11_MODULE": hsm["module"],
        "VOICEFILE_PKCS11_TOKEN": own["token"],
        "VOICEFILE_PKCS11_PIN": own["pin"],
        "SOFTHSM2_CONF": hsm["conf"],
    }
    opened = run(told | there, "tenant", "open", "Nordwind", "nordwind.example")
    assert opened.returncode == 0, opened.stderr
    refused = run(told | there | {"VOICEFILE_PKCS11_TOKEN": "another"}, "tenant", "list")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("The root key can't be reached")
    assert own["pin"] not in refused.stderr
