"""`voicefile certificates`: what services and engines of one machine show to each other."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from tests.libs.chassis.papers import serial

from voicefile.cli.certificates import ENGINES, make
from voicefile.cli.engine_settings import SERVICES


def alternative_names(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.DNSName)


def subject(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).subject.rfc4514_string()


def test_every_service_and_every_engine_gets_one(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert make(out, ()) == 0
    for name in (*SERVICES, *ENGINES):
        path = out / f"{name}.pem"
        assert subject(path) == f"CN={name}"
        assert alternative_names(path) == [f"{name}.voicefile.internal", "localhost"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = capsys.readouterr().out
    assert all(str(out / f"{name}.pem") in said for name in (*SERVICES, *ENGINES))
    assert str(out / "ca.pem") in said
    assert "PRIVATE" not in said


def test_only_those_that_are_named_are_made(tmp_path):
    assert make(tmp_path, ("ingest", "my-engine")) == 0
    made = {path.name for path in tmp_path.glob("*.pem")}
    assert made == {"authority.pem", "ca.pem", "ingest.pem", "my-engine.pem"}


def test_what_is_good_stays_and_all_trust_the_same(tmp_path):
    make(tmp_path, ("auth",))
    before, trusted = serial(tmp_path / "auth.pem"), (tmp_path / "ca.pem").read_bytes()
    make(tmp_path, ("auth", "audit"))
    assert serial(tmp_path / "auth.pem") == before
    assert (tmp_path / "ca.pem").read_bytes() == trusted


@pytest.mark.parametrize("name", ["", "Auth", "a.b", "../auth", "a" * 33, "auth,O=x"])
def test_what_is_no_name_gets_none(tmp_path, name, capsys):
    assert make(tmp_path, ("auth", name)) == 1
    assert list(tmp_path.iterdir()) == []
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_that_can_not_be_written_is_said_in_one_line(capsys):
    assert make(Path("/proc/nowhere"), ()) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
