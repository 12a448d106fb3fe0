"""Private files: whole or not at all, and nobody else's."""

import os

import pytest

from voicefile.chassis.private_file import write_private


def test_it_is_its_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secret").read_bytes() == b"1"


def test_the_new_takes_the_place_of_the_old_and_of_what_a_crash_left(tmp_path):
    (tmp_path / "secret.new").write_bytes(b"half")
    for content in (b"1", b"22"):
        write_private(tmp_path / "secret", content)
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_bytes() == b"22"


def test_nothing_is_written_through_a_link_that_lies_in_the_way(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    (tmp_path / "secret.new").symlink_to(tmp_path / "elsewhere")
    write_private(tmp_path / "secret", b"1")
    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "missing" / "secret", b"1")
