"""The development authority is made once, vouches for this machine only, and renews in time."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from voicefile.chassis.tls import (
    CERTIFICATE_DAYS,
    RENEW_DAYS,
    development_certificates,
    peer_certificate,
)

DAY_S = 86_400
NOW = 1_800_000_000.0


def at(day: float):
    return lambda: NOW + day * DAY_S


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "var" / "tls"


def test_nobody_else_can_read_the_keys(directory: Path):
    development_certificates(directory)
    peer_certificate(directory, "playback")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert not list(directory.glob("*.new"))


def test_a_directory_that_was_open_is_closed(directory: Path):
    directory.mkdir(parents=True, mode=0o755)
    development_certificates(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_what_clients_trust_holds_no_key(directory: Path):
    files = development_certificates(directory)
    assert b"PRIVATE" not in files.authority.read_bytes()


def test_the_server_is_known_by_its_three_local_names(directory: Path):
    files = development_certificates(directory, now_s=at(0))
    names = certificate(files.server).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.value.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
    ]


def test_the_authority_can_vouch_for_nothing_but_this_machine(directory: Path):
    files = development_certificates(directory)
    constraints = certificate(files.authority).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert constraints.critical
    assert [str(each.value) for each in constraints.value.permitted_subtrees] == [
        "localhost",
        "127.0.0.1/32",
        "::1/128",
    ]


def test_a_second_start_changes_nothing(directory: Path):
    files = development_certificates(directory, now_s=at(0))
    before = {path: path.read_bytes() for path in directory.iterdir()}
    development_certificates(directory, now_s=at(CERTIFICATE_DAYS - RENEW_DAYS - 1))
    assert before == {path: path.read_bytes() for path in directory.iterdir()}
    assert files.server.exists()


def test_a_second_look_leaves_the_files_alone(directory: Path):
    """Whoever uses them looks at their times to see whether they are new."""
    development_certificates(directory, now_s=at(0))
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    development_certificates(directory, now_s=at(1))
    assert before == {path: path.stat().st_mtime_ns for path in directory.iterdir()}


def test_a_certificate_about_to_expire_is_renewed_under_the_same_authority(directory: Path):
    files = development_certificates(directory, now_s=at(0))
    authority, server = files.authority.read_bytes(), files.server.read_bytes()
    development_certificates(directory, now_s=at(CERTIFICATE_DAYS - RENEW_DAYS + 1))
    assert files.authority.read_bytes() == authority
    assert files.server.read_bytes() != server
    left = certificate(files.server).not_valid_after_utc.timestamp() - at(CERTIFICATE_DAYS)()
    assert left > RENEW_DAYS * DAY_S


@pytest.mark.parametrize("damage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_replaced(directory: Path, damage: bytes):
    files = development_certificates(directory)
    files.server.write_bytes(damage)
    development_certificates(directory)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.server)


def test_a_certificate_of_another_authority_is_replaced(directory: Path, tmp_path: Path):
    files = development_certificates(directory)
    other = development_certificates(tmp_path / "other")
    files.server.write_bytes(other.server.read_bytes())
    development_certificates(directory)
    certificate(files.server).verify_directly_issued_by(certificate(files.authority))


def test_a_lost_public_half_of_the_authority_comes_back(directory: Path):
    files = development_certificates(directory)
    before = files.authority.read_bytes()
    files.authority.unlink()
    development_certificates(directory)
    assert files.authority.read_bytes() == before


def test_what_a_crash_left_behind_is_no_hindrance(directory: Path):
    directory.mkdir(parents=True)
    (directory / "server.pem.new").write_bytes(b"half")
    (directory / "authority.pem.new").write_bytes(b"half")
    files = development_certificates(directory)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.server)
