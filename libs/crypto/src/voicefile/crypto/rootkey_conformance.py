"""The law of the root key port: an adapter's test subclasses this and brings a `root` fixture."""

import asyncio

import pytest

from voicefile.crypto.errors import Tampered
from voicefile.crypto.rootkey import RootKey, VersionGone
from voicefile.crypto.secret import SecretKey

CONTEXT = b"deployment, tenant, purpose, id"


class RootKeyConformance:
    """What every root must make true."""

    async def test_a_wrapped_key_comes_back(self, root: RootKey) -> None:
        version = await root.create_version()
        key = SecretKey.random()
        wrapped = await root.wrap(version, key, context=CONTEXT)
        assert await root.unwrap(version, wrapped, context=CONTEXT) == key

    async def test_a_wrapped_key_shows_nothing_of_the_key(self, root: RootKey) -> None:
        version = await root.create_version()
        key = SecretKey.random()
        wrapped = await root.wrap(version, key, context=CONTEXT)
        assert key.expose() not in wrapped

    async def test_wrapping_twice_gives_different_bytes(self, root: RootKey) -> None:
        version = await root.create_version()
        key = SecretKey.random()
        one = await root.wrap(version, key, context=CONTEXT)
        other = await root.wrap(version, key, context=CONTEXT)
        assert one != other

    async def test_another_context_does_not_open(self, root: RootKey) -> None:
        version = await root.create_version()
        wrapped = await root.wrap(version, SecretKey.random(), context=CONTEXT)
        for other in (b"", CONTEXT[:-1], CONTEXT + b"\0", CONTEXT.upper()):
            with pytest.raises(Tampered):
                await root.unwrap(version, wrapped, context=other)

    async def test_another_version_does_not_open(self, root: RootKey) -> None:
        version, other = await root.create_version(), await root.create_version()
        wrapped = await root.wrap(version, SecretKey.random(), context=CONTEXT)
        with pytest.raises(Tampered):
            await root.unwrap(other, wrapped, context=CONTEXT)

    async def test_changed_bytes_do_not_open(self, root: RootKey) -> None:
        version = await root.create_version()
        wrapped = await root.wrap(version, SecretKey.random(), context=CONTEXT)
        changed = [
            wrapped[:at] + bytes((wrapped[at] ^ 1,)) + wrapped[at + 1 :]
            for at in range(len(wrapped))
        ]
        for bad in (*changed, b"", wrapped[:-1], wrapped + b"\0"):
            with pytest.raises(Tampered):
                await root.unwrap(version, bad, context=CONTEXT)

    async def test_versions_are_listed_in_order(self, root: RootKey) -> None:
        before = await root.versions()
        made = [await root.create_version() for _ in range(3)]
        assert await root.versions() == sorted(before + made)

    async def test_version_ids_do_not_repeat(self, root: RootKey) -> None:
        made = await asyncio.gather(*(root.create_version() for _ in range(8)))
        assert len(set(made)) == len(made)

    async def test_a_destroyed_version_is_gone(self, root: RootKey) -> None:
        version = await root.create_version()
        wrapped = await root.wrap(version, SecretKey.random(), context=CONTEXT)
        await root.destroy_version(version)
        assert version not in await root.versions()
        with pytest.raises(VersionGone):
            await root.unwrap(version, wrapped, context=CONTEXT)
        with pytest.raises(VersionGone):
            await root.wrap(version, SecretKey.random(), context=CONTEXT)

    async def test_destroying_one_leaves_the_others(self, root: RootKey) -> None:
        doomed, kept = await root.create_version(), await root.create_version()
        key = SecretKey.random()
        wrapped = await root.wrap(kept, key, context=CONTEXT)
        await root.destroy_version(doomed)
        assert await root.unwrap(kept, wrapped, context=CONTEXT) == key

    async def test_destroying_again_changes_nothing(self, root: RootKey) -> None:
        version = await root.create_version()
        await root.destroy_version(version)
        living = await root.versions()
        await root.destroy_version(version)
        await root.destroy_version("never there")
        assert await root.versions() == living

    async def test_a_version_that_never_was_is_gone(self, root: RootKey) -> None:
        for version in ("", "0" * 32, "../secret"):
            with pytest.raises(VersionGone):
                await root.wrap(version, SecretKey.random(), context=CONTEXT)

    async def test_many_at_a_time_do_not_mix_up(self, root: RootKey) -> None:
        versions = [await root.create_version() for _ in range(3)]
        keys = [(versions[at % 3], SecretKey.random()) for at in range(24)]

        async def there_and_back(version: str, key: SecretKey) -> SecretKey:
            wrapped = await root.wrap(version, key, context=key.expose()[:4])
            return await root.unwrap(version, wrapped, context=key.expose()[:4])

        back = await asyncio.gather(*(there_and_back(*each) for each in keys))
        assert back == [key for _, key in keys]

    async def test_what_is_no_wrapped_key_does_not_open(self, root: RootKey) -> None:
        version = await root.create_version()
        for junk in (b"\0", b"\xff" * 64, b"vault:v1:", bytes(200), b"x" * 10_000):
            with pytest.raises(Tampered):
                await root.unwrap(version, junk, context=CONTEXT)

    async def test_a_root_that_works_is_ready(self, root: RootKey) -> None:
        assert await root.ready()
        await root.create_version()
        assert await root.ready()
