"""Before anything is brought back: that the root key has the versions which the dump hangs on.

A dump from before the root key was changed hangs on the lasting version of its time. Without that
nothing of it opens, and what belongs to one tenant alone would look like somebody's forgery.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from voicefile.auth.dumping.take_apart import from_item
from voicefile.auth.store import DEPLOYMENT, TENANTS, Deployment, Tenant
from voicefile.crypto.rootkey import RootKey


class RootMissing(Exception):
    """Of a service's root key, versions are not there: `service`, `versions`."""

    def __init__(self, service: str, versions: Sequence[str]) -> None:
        super().__init__(", ".join(f"{service}/{version}" for version in versions))
        self.service = service
        self.versions = tuple(versions)


async def require_roots(
    documents: Callable[[str], AsyncIterator[Any]], *, but: frozenset[str], root: RootKey
) -> None:
    """For the deployment and all tenants, `but` those that are erased. Raises RootMissing."""
    needed: set[str] = set()
    async for _, _, body, _ in documents(DEPLOYMENT.name):
        needed |= from_item(body, Deployment).keys.lasting_roots()
    async for _, tenant, body, _ in documents(TENANTS.name):
        if tenant not in but:
            needed |= from_item(body, Tenant).keys.lasting_roots()
    missing = needed - set(await root.versions())
    if missing:
        raise RootMissing("auth", sorted(missing))
