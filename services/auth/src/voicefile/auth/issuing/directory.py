"""The directory: which tenant and credential an access ID belongs to, without knowing the ID.

Phone and portal do not know the tenant yet, so this is the one place that spans tenants. A
document's id is the locator of the access ID under the deployment's directory key; the ID itself
is stored nowhere.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from voicefile.auth.store import DIRECTORY
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict


@dataclass(frozen=True)
class Claim:
    """A locator that belongs to a credential."""

    tenant: str
    credential: str


class Directory:
    """Finds and claims locators. A claim whose credential was never stored counts as unknown."""

    def __init__(self, store: DocStore) -> None:
        self._store = store

    async def lookup(self, locator: str) -> tuple[str, str] | None:
        """Tenant and credential, or None. The caller still has to find the credential itself."""
        document = await self._store.get(DIRECTORY, locator)
        if document is None:
            return None
        return str(document.body["tenant"]), str(document.body["credential"])

    async def claim(self, locator: str, claim: Claim, *, now_s: int) -> bool:
        """Takes the locator for a credential that is about to be written; False if it is taken."""
        body = {"tenant": claim.tenant, "credential": claim.credential, "claimed_at_s": now_s}
        try:
            await self._store.insert(DIRECTORY, Document(locator, claim.tenant, body))
        except DocumentExists:
            return False
        return True

    async def release(self, locator: str, claim: Claim) -> None:
        """Gives a claim back that nothing was stored for; somebody else's stays."""
        document = await self._store.get(DIRECTORY, locator)
        if document is None or document.body["credential"] != claim.credential:
            return
        # If the claim changed hands in between, it is no longer ours to give back.
        with suppress(VersionConflict):
            await self._store.delete(DIRECTORY, document)

    async def confirm(self, locator: str, claim: Claim) -> None:
        """Marks a claim as used, so that no later sweep looks at it again."""
        document = await self._store.get(DIRECTORY, locator)
        if document is None:
            return
        body = {"tenant": claim.tenant, "credential": claim.credential}
        with suppress(VersionConflict):
            await self._store.replace(DIRECTORY, replace(document, body=body))

    async def claimed_until(self, until_s: int, *, limit: int = 100) -> list[tuple[str, Claim]]:
        """The oldest claims made up to then, for the sweep of those that nothing came of."""
        documents = await self._store.due(DIRECTORY, "claimed_on", until_s, limit=limit)
        return [
            (found.id, Claim(str(found.body["tenant"]), str(found.body["credential"])))
            for found in documents
        ]
