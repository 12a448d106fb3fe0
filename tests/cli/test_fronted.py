"""A service told that it is behind a front: a real process, and who gets in at which port."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.process import Served, settings

from voicefile.chassis.tls import service_certificate
from voicefile.cli.engine_settings import SERVICES

FRONTED = {"VOICEFILE_FRONTED": "true"}
VISITOR = "203.0.113.9"
SAYS = {"X-Forwarded-For": VISITOR}


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def portal(tmp_path: Path, certificates: Path) -> Iterator[Served]:
    served = Served(tmp_path, "portal", settings(certificates, "portal") | FRONTED).start()
    try:
        served.until("/readyz", 200)
        yield served
    finally:
        served.kill()


def asked(served: Served, shown: Path | None, **headers: str) -> httpx.Response:
    """The portal's first page, asked for at the public port by whoever shows this."""
    trusted = ssl.create_default_context(cafile=str(served.authority))
    if shown is not None:
        trusted.load_cert_chain(shown)
    url = f"https://localhost:{served.ports['public']}/portal/"
    with httpx.Client(verify=trusted, trust_env=False, timeout=30) as client:
        return client.get(url, headers=headers)


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:voicefile:problem:")


def test_the_front_alone_gets_in_and_has_to_say_for_whom(portal, certificates, tmp_path):
    front = service_certificate(certificates, "front")
    assert asked(portal, front, **SAYS).status_code == 200
    assert problem(asked(portal, front)) == (503, "no-visitor-address")
    assert problem(asked(portal, front, Forwarded=f"for={VISITOR}"))[0] == 503
    # The one that auth believes on internal ports is nobody here, its own included.
    for name in SERVICES:
        shown = service_certificate(certificates, name)
        assert problem(asked(portal, shown, **SAYS)) == (403, "not-the-front")
    foreign = service_certificate(tmp_path / "foreign", "front")
    for shown in (None, foreign):
        with pytest.raises(httpx.TransportError):
            asked(portal, shown, **SAYS)
    assert portal.events().count("front_refused") == 2 + len(SERVICES)
    assert VISITOR not in portal.log


def test_health_asks_nobody_for_a_certificate_and_counts_who_was_turned_away(portal, certificates):
    assert portal.get("health", "/livez").status_code == 200
    asked(portal, service_certificate(certificates, "front"))
    counted = 'voicefile_front_refusals_total{reason="no_address"} 1.0'
    assert counted in portal.get("health", "/metrics").text


def test_who_is_not_told_of_a_front_lets_everybody_in(tmp_path, certificates):
    served = Served(tmp_path, "portal", settings(certificates, "portal")).start()
    try:
        served.until("/readyz", 200)
        for shown in (None, service_certificate(certificates, "front")):
            assert asked(served, shown, **SAYS).status_code == 200
            assert asked(served, shown).status_code == 200
    finally:
        served.kill()
