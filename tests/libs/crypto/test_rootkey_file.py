"""The root key in files obeys the port's law, and takes care of its files."""

import stat

import pytest

from voicefile.crypto.rootkey import RootUnavailable, VersionGone
from voicefile.crypto.rootkey_conformance import RootKeyConformance
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.secret import SecretKey


@pytest.fixture
def root(tmp_path):
    return FileRootKey(tmp_path / "root")


class TestFileRootKey(RootKeyConformance):
    pass


async def test_it_lies_there_for_the_next_process(root, tmp_path):
    version, key = await root.create_version(), SecretKey.random()
    wrapped = await root.wrap(version, key, context=b"c")
    again = FileRootKey(tmp_path / "root")
    assert await again.versions() == [version]
    assert await again.unwrap(version, wrapped, context=b"c") == key


async def test_only_its_owner_may_read_it(root, tmp_path):
    version = await root.create_version()
    (file,) = (tmp_path / "root").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    with pytest.raises(RootUnavailable):
        await root.wrap(version, SecretKey.random(), context=b"c")


async def test_a_destroyed_version_leaves_no_file_and_no_byte_in_it(root, tmp_path):
    version = await root.create_version()
    (file,) = (tmp_path / "root").iterdir()
    with file.open("rb") as held:  # whoever still holds the file open reads zeros
        await root.destroy_version(version)
        assert held.read() == bytes(64)
    assert list((tmp_path / "root").iterdir()) == []


async def test_a_destruction_cut_short_leaves_no_key(root, tmp_path):
    version = await root.create_version()
    (file,) = (tmp_path / "root").iterdir()
    file.write_bytes(bytes(64))  # overwritten, then the power failed
    assert await root.versions() == []
    with pytest.raises(VersionGone):
        await root.wrap(version, SecretKey.random(), context=b"c")
    await root.destroy_version(version)
    assert not file.exists()


async def test_a_damaged_file_is_not_taken_for_a_key(root, tmp_path):
    version = await root.create_version()
    (file,) = (tmp_path / "root").iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole + b"\0", b"\0" + whole[1:], whole[32:] + whole[:32]):
        file.write_bytes(damaged)
        with pytest.raises(RootUnavailable):
            await root.wrap(version, SecretKey.random(), context=b"c")


async def test_a_file_under_another_versions_name_is_no_key(root, tmp_path):
    one, other = await root.create_version(), await root.create_version()
    files = tmp_path / "root"
    (files / f"{one}.root").write_bytes((files / f"{other}.root").read_bytes())
    with pytest.raises(RootUnavailable):
        await root.wrap(one, SecretKey.random(), context=b"c")


async def test_an_unfinished_version_is_none(root, tmp_path):
    version = await root.create_version()
    (tmp_path / "root" / f".{'0' * 32}.new").write_bytes(bytes(10))
    assert await root.versions() == [version]


async def test_a_place_that_takes_no_file_is_no_root(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RootUnavailable):
        await FileRootKey(tmp_path / "file").create_version()


def test_it_says_what_it_is():
    assert "development" in FileRootKey.caution
