"""Tenants as auth published them: who takes recordings, and which key to seal theirs to.

A key counts only with auth's signature, checked when it is used and not when it arrives: so
somebody who can write into ingest's own store can't have recordings sealed to a key of theirs.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from voicefile.crypto.errors import Malformed, Tampered
from voicefile.crypto.keyring import sealing_key_statement
from voicefile.crypto.primitives import verify
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.docstore.tenant import TenantCollection
from voicefile.identity.principal import Principal
from voicefile.ingest.errors import (
    RecordingNotAllowed,
    RetentionClassUnknown,
    ScopeUnknown,
    SealingKeyRefused,
    TenantClosed,
    TenantNotYetKnown,
)
from voicefile.ingest.schemas import Metadata, Scope
from voicefile.ingest.store import TENANTS, SealingKey, TenantFacts

LEARN_ATTEMPTS_MAX: Final = 10
_ERASED: Final = {"erased": True}
VERIFIED_MAX: Final = 10_000
"""Verified keys remembered; one tenant has one at a time."""


class Tenants:
    """The projection of auth's TenantPublished facts."""

    def __init__(self, store: DocStore) -> None:
        self._store = store

    async def learn(self, facts: TenantFacts) -> None:
        """Takes a fact in, unless a newer one is known already."""
        view = TenantCollection(self._store, TENANTS, facts.tenant)
        for _ in range(LEARN_ATTEMPTS_MAX):
            stored = await view.get(facts.tenant)
            try:
                if stored is None:
                    await view.insert(facts.document(0))
                elif is_erased(stored):
                    return
                elif TenantFacts.of(stored).published < facts.published:
                    await view.replace(facts.document(stored.version))
            except (DocumentExists, VersionConflict):
                continue  # another instance learnt it at the same moment; look again
            return
        raise VersionConflict("tenant facts change faster than they can be learnt")

    async def known(self, tenant: str) -> TenantFacts:
        """What auth published last. Raises TenantNotYetKnown."""
        stored = await TenantCollection(self._store, TENANTS, tenant).get(tenant)
        if stored is None or is_erased(stored):
            raise TenantNotYetKnown
        return TenantFacts.of(stored)

    async def erase(self, tenant: str) -> None:
        """Nothing but that it is erased is kept, so that no late fact brings it back."""
        view = TenantCollection(self._store, TENANTS, tenant)
        stored = await view.get(tenant)
        if stored is None:
            await view.insert(Document(tenant, tenant, _ERASED))
        elif not is_erased(stored):
            await view.replace(Document(tenant, tenant, _ERASED, stored.version))

    async def erased(self, tenant: str) -> bool:
        """Whether auth has said that it is erased."""
        stored = await TenantCollection(self._store, TENANTS, tenant).get(tenant)
        return stored is not None and is_erased(stored)


def is_erased(document: Document) -> bool:
    """Whether the document is what is left of a tenant."""
    return document.body == _ERASED


def check_open(facts: TenantFacts) -> None:
    """Before a byte is read. Raises TenantClosed."""
    if not facts.open:
        raise TenantClosed


def check_metadata(facts: TenantFacts, metadata: Metadata) -> None:
    """Only what can't be right is refused; auth decides.

    Raises RecordingNotAllowed, ScopeUnknown, RetentionClassUnknown.
    """
    wanted = metadata.scope
    allowed = facts.recording_allowed
    if wanted is not None:
        here = (wanted.department, wanted.project or "")
        known = {(scope.department, scope.project): scope for scope in facts.scopes}
        if here not in known:
            raise ScopeUnknown
        allowed = known[here].recording_allowed
    if not allowed:
        raise RecordingNotAllowed
    classes = facts.retention_classes
    # Without classes of its own the tenant leaves them to its departments, which auth knows.
    if classes and metadata.retention_class and metadata.retention_class not in classes:
        raise RetentionClassUnknown


def within(principal: Principal, metadata: Metadata) -> Metadata:
    """The metadata in the partner's own scope. Raises ScopeUnknown outside of it."""
    asked = metadata.scope
    department = (asked.department if asked else "") or principal.department
    project = (asked.project if asked else None) or principal.project
    # Somebody else's scope and one that does not exist are refused alike.
    if principal.department and department != principal.department:
        raise ScopeUnknown
    if principal.project and project != principal.project:
        raise ScopeUnknown
    if not department:
        return metadata
    scope = Scope(department=department, project=project or None)
    return metadata.model_copy(update={"scope": scope})


class SealingKeys:
    """Says yes to a sealing key that auth has signed."""

    def __init__(
        self,
        signers: Callable[[], Awaitable[Sequence[bytes]]],
        *,
        deployment: str,
        ttl_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = signers
        self._deployment = deployment.encode()
        self._ttl_s = ttl_s
        self._monotonic_s = monotonic_s
        self._signers: Sequence[bytes] = ()
        self._fetched_s = -ttl_s
        self._verified: set[tuple[str, SealingKey]] = set()

    async def check(self, tenant: str, key: SealingKey) -> SealingKey:
        """The key. Raises SealingKeyRefused; AuthUnavailable while its signers are unknown."""
        if (tenant, key) in self._verified:
            return key
        try:
            statement = sealing_key_statement(self._deployment, tenant, key.epoch, key.public)
        except Malformed:
            raise SealingKeyRefused from None
        if not self._signed(statement, key.signature):
            await self._refresh()
            if not self._signed(statement, key.signature):
                raise SealingKeyRefused
        if len(self._verified) >= VERIFIED_MAX:
            self._verified.clear()
        self._verified.add((tenant, key))
        return key

    async def _refresh(self) -> None:
        # Not more often than that: a wrong signature must not become a flood of questions.
        if self._monotonic_s() - self._fetched_s >= self._ttl_s or not self._signers:
            self._signers = await self._fetch()
            self._fetched_s = self._monotonic_s()

    def _signed(self, statement: bytes, signature: bytes) -> bool:
        for signer in self._signers:
            try:
                verify(signer, statement, signature)
            except Tampered:
                continue
            return True
        return False
