"""The root key port: what wraps the keys that wrap everything else.

A *version* is a wrapping key inside the root (an HSM key, a transit key, a file). Epoch keys are
wrapped under a version that lives as long as their epoch; destroying the version makes every
copy of the wrapped key, in whatever journal or backup, noise. Identity and receipt keys hang on
a lasting version.

    RootKeyError
    ├── VersionGone         the version was destroyed or never existed
    └── RootUnavailable     the root cannot be reached; try later
"""

from typing import Protocol

from voicefile.crypto.secret import SecretKey


class RootKeyError(Exception):
    """What this port raises on purpose."""


class VersionGone(RootKeyError):
    """The version was destroyed or never existed."""


class RootUnavailable(RootKeyError):
    """The root cannot be reached now."""


class RootKey(Protocol):
    """Wraps and unwraps 32-byte keys; never gives out its own."""

    async def create_version(self) -> str:
        """A new wrapping version, durable when this returns; answers its random id."""

    async def destroy_version(self, version: str) -> None:
        """Destroys it for good, durable when this returns; nothing happens if it is gone."""

    async def versions(self) -> list[str]:
        """The living versions' ids, sorted."""

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        """Wraps a key; opens only with the same version and context. Raises VersionGone."""

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        """The wrapped key. Raises VersionGone; Tampered if version, context or bytes differ."""

    async def ready(self) -> bool:
        """Whether the root can be used now."""
