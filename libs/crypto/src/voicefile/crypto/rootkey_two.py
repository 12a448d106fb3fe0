"""Two root keys at a time, while everything moves from one to the other.

New versions are made in the main one; what hangs on a version of either opens. So every instance
is told of the other root before anything hangs on it there, and forgets the old one afterwards.
"""

from voicefile.crypto.rootkey import RootKey, VersionGone
from voicefile.crypto.secret import SecretKey


class TwoRootKeys:
    """The RootKey port over two others. A version is in one of them, and never moves."""

    def __init__(self, main: RootKey, other: RootKey) -> None:
        self._main = main
        self._other = other
        self._homes: dict[str, RootKey] = {}

    async def create_version(self) -> str:
        version = await self._main.create_version()
        self._homes[version] = self._main
        return version

    async def destroy_version(self, version: str) -> None:
        try:
            home = await self._home(version)
        except VersionGone:
            return
        await home.destroy_version(version)
        self._homes.pop(version, None)

    async def versions(self) -> list[str]:
        return sorted([*await self._main.versions(), *await self._other.versions()])

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        return await (await self._home(version)).wrap(version, key, context=context)

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        return await (await self._home(version)).unwrap(version, wrapped, context=context)

    async def ready(self) -> bool:
        return await self._main.ready() and await self._other.ready()

    async def _home(self, version: str) -> RootKey:
        """Where the version is. Raises VersionGone only after both have been asked."""
        for root in (self._main, self._other):
            if version in self._homes:
                break
            self._homes.update(dict.fromkeys(await root.versions(), root))
        if version not in self._homes:
            raise VersionGone("no such version")
        return self._homes[version]
