"""Canaries: for each tenant a sealed blob of noise, which the drill of backups may open.

Put where recordings are, and copied, restored and opened like one. Its data key is sealed to the
drill's key the moment it is made, and kept nowhere else; what it opens is random bytes.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from voicefile.blobstore.names import new_blob_name
from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import sha256
from voicefile.crypto.secret import DataKey
from voicefile.crypto.stream import seal
from voicefile.docstore.port import Collection, DocStore, Document, DocumentExists, Index
from voicefile.docstore.tenant import TenantCollection
from voicefile.dumps.dump import Item, Items, pages
from voicefile.dumps.recipient import Recipient
from voicefile.dumps.settings import DumpSettings
from voicefile.identity.ids import new_id
from voicefile.ingest.store import TENANTS
from voicefile.ingest.tenants import is_erased

CANARIES: Final = Collection("canaries", indexes=(Index("blob", "blob", unique=True),), silent=True)
"""Document id: tenant and the drill's key, for a new key needs new canaries."""
CANARY_BYTES: Final = 100_000
"""Two chunks: the last one, and one before it."""
_KEY_DIGITS: Final = 16


class Canaries:
    """Makes what is missing of them, and gives them out for a backup."""

    def __init__(
        self, docs: DocStore, blobs: BlobStore, settings: DumpSettings, *, deployment: str
    ) -> None:
        self._docs = docs
        self._blobs = blobs
        self._settings = settings
        self._deployment = deployment.encode()

    def all(self) -> Items:
        """One for each tenant that there is; those of erased ones are forgotten."""
        return self._all()

    async def _all(self) -> AsyncIterator[Item]:
        (drill,) = self._settings.drilled_by()
        async for tenant in pages(self._docs, TENANTS):
            if is_erased(tenant):
                await self._forget(tenant.id)
                continue
            document = await self._of(tenant.id, drill)
            yield Item(CANARIES.name, dict(document.body), tenant.id, about_bytes=500)

    async def _forget(self, tenant: str) -> None:
        """Then nothing points to their blobs, and they are swept."""
        view = TenantCollection(self._docs, CANARIES, tenant)
        for document in await view.scan():
            await view.delete(document)

    async def _of(self, tenant: str, drill: Recipient) -> Document:
        name = f"{tenant}:{drill.public.hex()[:_KEY_DIGITS]}"
        found = await self._docs.get(CANARIES, name)
        if found is not None:
            return found
        made = await self._made(name, tenant, drill)
        with suppress(DocumentExists):
            return await self._docs.insert(CANARIES, made)
        found = await self._docs.get(CANARIES, name)
        assert found is not None, "another instance has just made it"
        return found

    async def _made(self, name: str, tenant: str, drill: Recipient) -> Document:
        recording, blob, key = new_id(), new_blob_name(), DataKey.random()
        content = secrets.token_bytes(CANARY_BYTES)
        where = Context(self._deployment, tenant, object_id(recording, "original"), Kind.AUDIO)
        sealed = seal(key, where, content)
        # Data before pointer, as with every recording; one that nothing points to is swept.
        await self._blobs.put(blob, _one(sealed))
        body = {
            "tenant": tenant,
            "recording": recording,
            "blob": str(blob),
            "sha256": sha256(content).hex(),
            "box": drill.box(key, deployment=self._deployment, dump=recording),
        }
        return Document(name, tenant, body)


async def is_canary(docs: DocStore, blob: BlobName) -> bool:
    """Whether the blob is one of these: auth does not know it, and it stays all the same."""
    return bool(await docs.find(CANARIES, "blob", blob, limit=1))


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
