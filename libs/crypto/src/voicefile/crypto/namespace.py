"""A key namespace as it is kept: every key of a tenant, wrapped, and how far its life has come."""

from dataclasses import dataclass
from enum import StrEnum

from voicefile.crypto.errors import UnknownKey

EPOCH_OPEN_MAX_S = 6 * 86_400
"""After this an epoch gets a successor: one day is left to re-wrap what lives."""
EPOCH_LIFE_MAX_S = 7 * 86_400
"""By this age an epoch's keys are destroyed: with 28 days of key backups, 35 days in all."""

PUBLISHED_AHEAD_S = 600
"""A new key that signs is published for so long before it does. Whoever keeps published keys has
asked again by then, so nobody meets a signature of a key unknown to them."""


class EpochState(StrEnum):
    """How far an epoch's life has come."""

    OPEN = "open"
    RETIRED = "retired"
    """Nothing new is wrapped under it; what lives is being re-wrapped."""
    DESTROYED = "destroyed"


class KeyRole(StrEnum):
    """What a wrapped key of a namespace is: part of the context it is wrapped for."""

    IDENTITY = "identity-key"
    EPOCH = "epoch-key"
    SEALING = "sealing-key"
    RECEIPT = "receipt-key"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key as the root wrapped it."""

    root_version: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class IdentityVersion:
    """One version of a tenant's identity key, wrapped."""

    id: str
    created_at_s: int
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class ReceiptVersion:
    """One version of the key that signs a tenant's receipts."""

    id: str
    created_at_s: int
    public: bytes
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class Epoch:
    """One generation of the keys that wrap slips; its wrapped parts are empty once destroyed."""

    id: str
    opened_at_s: int
    state: EpochState
    root_version: str
    wrapped_key: bytes
    wrapped_sealing_secret: bytes
    sealing_public: bytes

    def wants_successor(self, now_s: float) -> bool:
        """Whether it is time for the next epoch."""
        return self.state is EpochState.OPEN and now_s - self.opened_at_s >= EPOCH_OPEN_MAX_S

    def is_overdue(self, now_s: float) -> bool:
        """Whether its keys should be gone: erased recordings could still be opened elsewhere."""
        age_s = now_s - self.opened_at_s
        return self.state is not EpochState.DESTROYED and age_s >= EPOCH_LIFE_MAX_S


@dataclass(frozen=True, slots=True)
class KeyNamespace:
    """All keys of a tenant, wrapped; the newest of each kind last. No tenant: the directory."""

    tenant: str
    identity_versions: tuple[IdentityVersion, ...]
    epochs: tuple[Epoch, ...]
    receipt_versions: tuple[ReceiptVersion, ...]

    @property
    def current_epoch(self) -> Epoch:
        """The open one. Raises UnknownKey."""
        for epoch in reversed(self.epochs):
            if epoch.state is EpochState.OPEN:
                return epoch
        raise UnknownKey("the namespace has no open epoch")

    def epoch(self, epoch_id: str) -> Epoch:
        """The epoch of that id. Raises UnknownKey."""
        for epoch in self.epochs:
            if epoch.id == epoch_id:
                return epoch
        raise UnknownKey("no such epoch")

    def epochs_under(self, root_version: str) -> list[Epoch]:
        """The epochs that die with this root version."""
        return [epoch for epoch in self.epochs if epoch.root_version == root_version]

    def identity_version(self, version_id: str | None = None) -> IdentityVersion:
        """The identity key of that id, or the newest. Raises UnknownKey."""
        for version in reversed(self.identity_versions):
            if version_id in {None, version.id}:
                return version
        raise UnknownKey("no such identity key")

    def receipt_version(self, version_id: str | None = None) -> ReceiptVersion:
        """The receipt key of that id, or the newest. Raises UnknownKey."""
        for version in reversed(self.receipt_versions):
            if version_id in {None, version.id}:
                return version
        raise UnknownKey("no such receipt key")

    def signing_version(self, now_s: float) -> ReceiptVersion:
        """The key to sign with: the newest that was published long enough, or the very first."""
        for version in reversed(self.receipt_versions):
            if version.created_at_s <= now_s - PUBLISHED_AHEAD_S:
                return version
        if not self.receipt_versions:
            raise UnknownKey("no such receipt key")
        return self.receipt_versions[0]

    def lasting_roots(self) -> set[str]:
        """The root versions that must never be destroyed while the tenant lives."""
        identity = {version.wrapped.root_version for version in self.identity_versions}
        return identity | {version.wrapped.root_version for version in self.receipt_versions}
