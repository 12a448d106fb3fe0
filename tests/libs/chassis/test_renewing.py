"""Certificates are taken over when their files change, whole or not at all."""

import ssl
from pathlib import Path

import pytest

from voicefile.chassis.renewing import Renewing
from voicefile.chassis.tls import service_certificate


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return service_certificate(tmp_path, "auth")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def renewing(file: Path, clock: Clock) -> Renewing:
    def make():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    return Renewing(make, files=[file], look_every_s=1.0, monotonic=clock)


def test_files_that_stay_as_they_are_keep_their_context(renewing, clock):
    first = renewing.current()
    clock.now_s += 10
    assert renewing.current() is first


def test_a_file_that_changed_is_taken_over_at_the_next_look(renewing, clock, file):
    first = renewing.current()
    file.unlink()
    service_certificate(file.parent, "auth")
    assert renewing.current() is first
    clock.now_s += 1
    assert renewing.current() is not first


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN CERTIFICATE-----\n", None])
def test_what_can_not_be_used_leaves_the_one_in_use(renewing, clock, file, damage):
    first, whole = renewing.current(), file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    clock.now_s += 1
    assert renewing.current() is first
    file.write_bytes(whole)
    clock.now_s += 1
    assert renewing.current() is not first


def test_a_file_that_is_missing_at_the_start_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Renewing(
            lambda: ssl.create_default_context(cafile=str(tmp_path / "no")), files=[tmp_path / "no"]
        )
