"""One service as a process of its own: what it waits for, how it stops, what it says."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.process import NOWHERE, VOICEFILE, Served, settings
from tests.libs.chassis.papers import papers, serial

SERVICES = ("auth", "audit", "ingest", "playback", "portal", "backup")
SECRET = "the-words-are-secret"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def served(tmp_path: Path, certificates: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(service: str, **changes: str) -> Served:
        told = {**settings(certificates, service), **changes}
        running.append(Served(tmp_path, service, told).start())
        return running[-1]

    yield start
    for each in running:
        each.kill()


def shown(port: int, authority: Path) -> int:
    """The serial number of the certificate that somebody who connects now is shown."""
    context = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return int(secure.getpeercert()["serialNumber"], 16)


def test_the_portal_is_served_by_itself_until_it_is_told_to_stop(served):
    portal = served("portal", VOICEFILE_DRAIN_S="2")
    assert portal.until("/readyz", 200).json()["parts"] == {"portal": "ok"}
    assert portal.get("public", "/").headers["location"].endswith("/portal/")
    assert portal.get("public", "/portal/").status_code == 200
    assert portal.get("public", "/auth/v1/keys").status_code == 404
    # Nobody calls it inside, so there is nothing to call.
    with pytest.raises(httpx.ConnectError):
        portal.get("internal", "/portal/")
    portal.tell_to_stop()
    assert portal.until("/readyz", 503).json()["parts"] == {"process": "stopping"}
    assert portal.get("health", "/livez").status_code == 200
    last = portal.get("public", "/portal/")
    assert (last.status_code, last.headers["connection"]) == (200, "close")
    assert portal.ended() == 0
    with pytest.raises(httpx.ConnectError):
        portal.get("public", "/portal/")
    assert [event for event in portal.events() if event.startswith("service_")] == [
        "service_started",
        "service_stopped",
    ]


def test_new_certificates_are_shown_without_a_new_start(served, certificates):
    portal = served("portal")
    portal.until("/readyz", 200)
    before = serial(certificates / "portal.pem")
    ports = [portal.ports[name] for name in ("public", "health")]
    assert [shown(port, portal.authority) for port in ports] == [before, before]
    papers(certificates, "portal", file="portal.pem")
    after = serial(certificates / "portal.pem")
    time.sleep(1.1)  # files are looked at once a second
    assert [shown(port, portal.authority) for port in ports] == [after, after] != [before, before]
    (certificates / "portal.pem").write_bytes(b"half a cert")
    time.sleep(1.1)
    assert [shown(port, portal.authority) for port in ports] == [after, after]


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "portal"])
def test_a_service_lives_while_its_engines_are_away_and_says_what_it_waits_for(served, service):
    waiting = served(service)
    parts = waiting.until("/readyz", 503).json()["parts"]
    assert parts[service] == "not-ready"
    while parts["documents"] == "ok":
        time.sleep(0.2)
        parts = waiting.until("/readyz", 503).json()["parts"]
    assert waiting.get("health", "/livez").status_code == 200
    # Nobody is let in who could only be told to come later.
    with pytest.raises(httpx.ConnectError):
        waiting.get("public", f"/{service}/v1/openapi.json")
    assert waiting.process.poll() is None
    waiting.tell_to_stop()
    assert waiting.ended() == 0
    assert "engine_away" in waiting.events()
    assert SECRET not in waiting.log


def served_in_vain(tmp_path: Path, service: str, told: dict[str, str]) -> str:
    finished = subprocess.run(
        [VOICEFILE, "serve", service],
        env={"PATH": "/usr/bin", "VOICEFILE_PORT": "0", "VOICEFILE_HEALTH_PORT": "0", **told},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    return finished.stderr


def test_what_is_missing_is_named_in_one_line(tmp_path):
    said = served_in_vain(tmp_path, "ingest", {"VOICEFILE_AUTH_URL": NOWHERE})
    for name in ("SERVICE_CERTIFICATE", "SERVICE_CA", "MONGO_URI", "KAFKA_BOOTSTRAP", "S3_BUCKET"):
        assert f"VOICEFILE_{name}" in said
    assert "AUTH_URL" not in said


def test_what_does_not_fit_is_named_and_not_shown(tmp_path, certificates):
    told = settings(certificates, "portal") | {"VOICEFILE_AUTH_URL": f"http://{SECRET}@x:1"}
    said = served_in_vain(tmp_path, "portal", told)
    assert said == "What is set does not fit: VOICEFILE_AUTH_URL.\n"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("VOICEFILE_SERVICE_CA", "/nowhere.pem"),
        ("VOICEFILE_TLS_CERTIFICATE", "/etc/hostname"),
        ("VOICEFILE_OTLP_ENDPOINT", "http://x"),
        ("VOICEFILE_PORTAL_FORM_BYTES_MAX", "many"),
    ],
)
def test_a_setting_that_leads_nowhere_is_named_in_one_line(tmp_path, certificates, setting, value):
    told = settings(certificates, "portal") | {setting: value}
    said = served_in_vain(tmp_path, "portal", told)
    assert setting in said
    assert value not in said


def test_a_taken_port_is_said_in_one_line(tmp_path, certificates):
    with socket.create_server(("localhost", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = settings(certificates, "auth") | {"VOICEFILE_INTERNAL_PORT": port}
        said = served_in_vain(tmp_path, "auth", told)
    assert said.startswith(f"port {port} on localhost is taken")


LOADED = """
import sys
from importlib import import_module
import voicefile.cli.main
for name in sys.argv[1].split(","):
    import_module(name)
print(*sorted({".".join(name.split(".")[:2]) for name in sys.modules}))
"""
CLIENTS = {"motor", "pymongo", "aiokafka", "aiobotocore", "botocore", "pkcs11"}


def loaded(python: Path, *modules: str) -> set[str]:
    done = subprocess.run(
        [python, "-c", LOADED, ",".join(modules)], capture_output=True, text=True, check=True
    )
    return {part for name in done.stdout.split() for part in (name, name.split(".")[0])}


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_loads_the_code_of_its_own_service_alone(service):
    python = VOICEFILE.with_name("python")
    found = loaded(python, "voicefile.cli.apart.serve", f"voicefile.cli.apart.{service}")
    assert f"voicefile.{service}" in found
    assert {f"voicefile.{other}" for other in SERVICES if other != service} & found == set()


def test_the_embedded_vault_loads_no_engines_client():
    found = loaded(VOICEFILE.with_name("python"), "voicefile.cli.serve", "voicefile.cli.demo")
    assert "voicefile.auth" in found
    assert found & CLIENTS == set()
