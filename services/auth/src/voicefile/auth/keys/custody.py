"""Custody: the one holder of the root key and of unlocked keys.

Unlocked keys live in memory for a few minutes at most, so that a root that is taken away (an HSM
unplugged, a tenant's own key withdrawn) ends what this process can do. Nothing here is stored,
logged or sent; what leaves a process is sealed first.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from voicefile.auth.store import DEPLOYMENT, TENANTS, Slip, Subject
from voicefile.crypto.envelope import object_id
from voicefile.crypto.errors import EpochGone, Tampered, UnknownKey
from voicefile.crypto.keyring import (
    EpochKey,
    IdentityKey,
    KeyNamespace,
    Purpose,
    sealing_key_statement,
    unlock_epoch,
    unlock_identity_key,
    unlock_receipt_key,
)
from voicefile.crypto.primitives import SigningKey, hmac_sha512
from voicefile.crypto.rootkey import RootKey, VersionGone
from voicefile.crypto.secret import DataKey, Secret, SecretKey, SubjectKey
from voicefile.docstore.port import DocStore
from voicefile.identity.ids import PLATFORM

TTL_S = 300
"""How long an unlocked key may stay in memory; the promise is five minutes."""
DEPLOYMENT_ID = "deployment"
"""The id of the one document of its collection."""
LOCATOR_BYTES = 32
_ACCESS_ID = b"access-id\x00"
_LOGIN = b"login\x00"

K = TypeVar("K")


@dataclass(frozen=True)
class SealingKey:
    """Where ingest seals data keys to, and auth's word that it belongs to the tenant."""

    epoch: str
    public: bytes
    signature: bytes


class Signer(Secret):
    """A signing key and the id it is published under."""

    __slots__ = ("key", "kid", "later")

    def __init__(self, kid: str, key: SigningKey, *, later: bool = False) -> None:
        self.kid = kid
        self.key = key
        self.later = later
        """Not the first of its tenant, so that the log names it apart."""


@dataclass(frozen=True)
class _Held:
    value: object
    until: float


class Custody:
    """Unlocks keys of namespaces, and forgets them again."""

    def __init__(
        self,
        root: RootKey,
        store: DocStore,
        *,
        deployment: str,
        ttl_s: float = TTL_S,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.deployment = deployment.encode()
        self._store = store
        self._ttl_s = min(ttl_s, TTL_S)
        self._now = now
        self._clock = clock
        self._held: dict[tuple[str, str, str], _Held] = {}

    async def identity(self, tenant: str, version: str | None = None) -> IdentityKey:
        """The identity key, current or of one version. Raises UnknownKey."""

        async def unlock(keys: KeyNamespace) -> IdentityKey:
            return await unlock_identity_key(
                self.root, keys, deployment=self.deployment, version_id=version
            )

        return await self._key(tenant, "identity", version, unlock)

    async def epoch(self, tenant: str, epoch_id: str | None = None) -> EpochKey:
        """The epoch's key, current or of one id. Raises UnknownKey, EpochGone."""

        async def unlock(keys: KeyNamespace) -> EpochKey:
            return await unlock_epoch(
                self.root, keys, deployment=self.deployment, epoch_id=epoch_id
            )

        return await self._key(tenant, "epoch", epoch_id, unlock)

    async def slip_key(self, tenant: str, recording_id: str, slip: Slip) -> DataKey:
        """A recording's data key. Raises Tampered, EpochGone, UnknownKey."""
        epoch = await self.epoch(tenant, slip.epoch)
        return DataKey(epoch.unwrap(slip.sealed, object_id(recording_id, "slip")).expose())

    async def subject_key(self, tenant: str, subject: Subject) -> SubjectKey:
        """What a customer's fields are sealed under. Raises Tampered, EpochGone, UnknownKey."""
        epoch = await self.epoch(tenant, subject.key.epoch)
        return SubjectKey(epoch.unwrap(subject.key.sealed, object_id(subject.id, "key")).expose())

    async def wrap_data_key(self, tenant: str, recording_id: str, key: SecretKey) -> Slip:
        """A recording's slip under the current epoch."""
        epoch = await self.epoch(tenant)
        return Slip(epoch.id, epoch.wrap(key, object_id(recording_id, "slip")))

    async def wrap_subject_key(self, tenant: str, subject_id: str, key: SecretKey) -> Slip:
        """A customer's slip under the current epoch."""
        epoch = await self.epoch(tenant)
        return Slip(epoch.id, epoch.wrap(key, object_id(subject_id, "key")))

    async def receive(self, tenant: str, epoch_id: str, recording_id: str, box: bytes) -> DataKey:
        """The data key ingest sealed for this recording. Raises Tampered, EpochGone, UnknownKey."""
        epoch = await self.epoch(tenant, epoch_id)
        return DataKey(epoch.receive(box, object_id(recording_id, "slip")).expose())

    async def directory_locator(self, access_id: str) -> str:
        """Where the directory keeps an access ID: tells nothing to whoever lacks the key."""
        return await self._locator(_ACCESS_ID + access_id.encode())

    async def login_locator(self, username: str) -> str:
        """How a principal is found by its username."""
        return await self._locator(_LOGIN + username.encode())

    async def _locator(self, message: bytes) -> str:
        directory = await self.identity(PLATFORM)
        tag = hmac_sha512(directory.derive(Purpose.LOCATOR), message)
        return tag[:LOCATOR_BYTES].hex()

    async def receipt_signer(self, tenant: str) -> Signer:
        """Signs the tenant's receipts; for the platform, tokens and sealing keys."""

        async def unlock(keys: KeyNamespace) -> Signer:
            version = keys.signing_version(self._clock())
            key = await unlock_receipt_key(
                self.root, keys, deployment=self.deployment, version_id=version.id
            )
            return Signer(version.id, key, later=version is not keys.receipt_versions[0])

        return await self._key(tenant, "receipt", None, unlock)

    async def token_signer(self) -> Signer:
        """Signs access tokens and what others must believe about tenants."""
        return await self.receipt_signer(PLATFORM)

    async def sealing_key(self, tenant: str, keys: KeyNamespace) -> SealingKey:
        """The public key of the namespace's open epoch, signed."""
        epoch = keys.current_epoch
        # Derived from the secret half: a public half in a document proves nothing about itself.
        unlocked = await unlock_epoch(
            self.root, keys, deployment=self.deployment, epoch_id=epoch.id
        )
        public = unlocked.sealing_public
        statement = sealing_key_statement(self.deployment, tenant, epoch.id, public)
        signer = await self.token_signer()
        return SealingKey(epoch.id, public, signer.key.sign(statement))

    async def namespace(self, tenant: str) -> KeyNamespace:
        """The tenant's keys as they are stored, wrapped. Raises UnknownKey."""
        held = self._find((tenant, "namespace", ""))
        if isinstance(held, KeyNamespace):
            return held
        keys = await self._stored_namespace(tenant)
        self._keep(tenant, keys)
        return keys

    def expect(self, tenant: str, keys: KeyNamespace) -> None:
        """Takes a namespace that is about to be stored: its first record is sealed with it."""
        self._keep(tenant, keys)

    def forget(self, tenant: str) -> None:
        """Drops what is held of a tenant: it was closed, or its keys changed."""
        self._held = {key: held for key, held in self._held.items() if key[0] != tenant}

    def forget_old(self) -> None:
        """Drops what has been held long enough; a loop calls this, so that idle keys go, too."""
        now = self._now()
        self._held = {key: held for key, held in self._held.items() if held.until > now}

    async def _key(
        self,
        tenant: str,
        what: str,
        key_id: str | None,
        unlock: Callable[[KeyNamespace], Awaitable[K]],
    ) -> K:
        place = (tenant, what, key_id or "")
        held = self._find(place)
        if held is not None:
            return held  # type: ignore[return-value]  # kept under `what` alone
        keys = await self.namespace(tenant)
        try:
            key = await unlock(keys)
        except (UnknownKey, EpochGone, VersionGone):
            # Another instance may have turned the keys since this one looked.
            self.forget(tenant)
            keys = await self.namespace(tenant)
            key = await unlock(keys)
        source = self._held.get((tenant, "namespace", ""))
        # No longer than the namespace it came from, or an epoch would pass for the current one
        # for two lives in a row; and not at all if that was forgotten meanwhile.
        if source is not None and source.value is keys:
            self._held[place] = _Held(key, source.until)
        return key

    def _find(self, place: tuple[str, str, str]) -> object | None:
        held = self._held.get(place)
        return held.value if held is not None and held.until > self._now() else None

    def _keep(self, tenant: str, keys: KeyNamespace) -> None:
        self._held[tenant, "namespace", ""] = _Held(keys, self._now() + self._ttl_s)

    async def _stored_namespace(self, tenant: str) -> KeyNamespace:
        if tenant == PLATFORM:
            document = await self._store.get(DEPLOYMENT, DEPLOYMENT_ID)
        else:
            document = await self._store.get(TENANTS, tenant)
        if document is None or document.tenant != tenant:
            raise UnknownKey("no such tenant")
        keys = msgspec.convert(document.body["keys"], KeyNamespace)
        # Keys unlock for the tenant they name: another's, put here, would open under its name.
        if keys.tenant != tenant:
            raise Tampered("another tenant's keys")
        return keys
