"""Two root keys as one keep the law, and what hangs on either opens until one of them is let go."""

from pathlib import Path

import pytest

from voicefile.crypto.rootkey import RootKey, RootUnavailable, VersionGone
from voicefile.crypto.rootkey_conformance import CONTEXT, RootKeyConformance
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.rootkey_two import TwoRootKeys
from voicefile.crypto.secret import SecretKey


@pytest.fixture
def old(tmp_path: Path) -> RootKey:
    return FileRootKey(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> RootKey:
    return FileRootKey(tmp_path / "new")


class TestTwoRootKeys(RootKeyConformance):
    @pytest.fixture
    def root(self, new: RootKey, old: RootKey) -> RootKey:
        return TwoRootKeys(new, old)


class Away:
    """A root that answers nobody."""

    def __getattr__(self, name: str):
        async def away(*_args, **_how):
            raise RootUnavailable

        return away


async def test_new_versions_are_made_in_the_main_one_and_both_open(old: RootKey, new: RootKey):
    key, before = SecretKey.random(), await old.create_version()
    wrapped = await old.wrap(before, key, context=CONTEXT)
    both = TwoRootKeys(new, old)
    after = await both.create_version()
    assert (await new.versions(), await old.versions()) == ([after], [before])
    assert await both.unwrap(before, wrapped, context=CONTEXT) == key
    moved = await both.wrap(after, key, context=CONTEXT)
    assert await new.unwrap(after, moved, context=CONTEXT) == key
    await both.destroy_version(before)
    assert await old.versions() == []


async def test_a_version_is_not_called_gone_while_one_of_the_two_is_away(new: RootKey):
    """Gone would mean: what hung on it is erased."""
    held = await new.create_version()
    both = TwoRootKeys(new, Away())
    await both.wrap(held, SecretKey.random(), context=CONTEXT)
    with pytest.raises(RootUnavailable):
        await both.wrap("0" * 32, SecretKey.random(), context=CONTEXT)
    with pytest.raises(RootUnavailable):
        await both.destroy_version("0" * 32)


async def test_another_process_finds_the_versions_made_here(old: RootKey, new: RootKey):
    one, other = TwoRootKeys(new, old), TwoRootKeys(old, new)
    assert await other.versions() == []
    version = await one.create_version()
    await other.wrap(version, SecretKey.random(), context=CONTEXT)
    await one.destroy_version(version)
    with pytest.raises(VersionGone):
        await other.wrap(version, SecretKey.random(), context=CONTEXT)
