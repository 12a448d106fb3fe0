"""What ingest keeps: reservations of uploads, what it was told of tenants, partners' change feeds.

Nothing here is personal and nothing opens anything: random ids, states, times, public keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeVar

from voicefile.blobstore.port import BlobName
from voicefile.docstore.port import Collection, Document, Index

T = TypeVar("T")

RESERVATIONS = Collection(
    "reservations",
    indexes=(
        Index("recording", "recording", unique=True),
        Index("due", "due_at_s"),
        Index("named", "named"),
    ),
)
"""Document id: SHA-256 of client ‖ Idempotency-Key."""
TENANTS = Collection("tenants", silent=True)
"""Document id: the tenant. What auth published last."""
MANIFESTS = Collection("manifests", indexes=(Index("partner", "partner"),))
"""Document id: partner ‖ descending day."""
FEED = Collection(
    "feed",
    indexes=(
        Index("event", "entries.event", unique=True),
        Index("partner", "partner"),
        Index("recording", "entries.recording"),
    ),
    silent=True,
)
"""Document id: partner ‖ descending sequence, so a partner's newest run is the first by id."""


class Role(StrEnum):
    """What a blob of a recording holds."""

    ORIGINAL = "original"
    TELEPHONE = "telephone"
    PEAKS = "peaks"


@dataclass(frozen=True)
class Reservation:
    """One Idempotency-Key of one client: the recording it stands for, and who works on it."""

    id: str
    tenant: str
    client: str
    recording: str
    attempt: int
    blobs: Mapping[str, BlobName]
    """By role: the names this attempt puts under."""
    earlier: tuple[str, ...]
    """Names of attempts before it, which may yet turn out to be the ones auth knows."""
    lease_until_ms: int
    marked: bool
    """Auth has issued the recording; the reservation now lives as long as it does."""
    due_at_s: int | None
    """When the sweeper asks after it; None once marked."""
    issued: tuple[str, ...] = ()
    """Once marked: the names auth took. Their blobs stay, whatever auth says later."""
    version: int = field(default=0)

    @property
    def names(self) -> list[str]:
        """Every name that an attempt under this key may have put a blob under."""
        return [*self.blobs.values(), *self.earlier]

    @property
    def named(self) -> list[str]:
        """The names whose blobs it keeps from the sweeper; once marked, losers' no more."""
        return list(self.issued) if self.marked else self.names

    @classmethod
    def of(cls, document: Document) -> Self:
        """The reservation a document holds."""
        body = document.body
        return cls(
            id=document.id,
            tenant=document.tenant,
            version=document.version,
            client=_typed(body["client"], str),
            recording=_typed(body["recording"], str),
            attempt=_typed(body["attempt"], int),
            blobs={k: BlobName(v) for k, v in _typed(body["blobs"], dict).items()},
            earlier=tuple(_typed(body["earlier"], list)),
            lease_until_ms=_typed(body["lease_until_ms"], int),
            marked=_typed(body["marked"], bool),
            due_at_s=None if body["due_at_s"] is None else _typed(body["due_at_s"], int),
            issued=tuple(_typed(body["issued"], list)),
        )

    @property
    def document(self) -> Document:
        """The document to write."""
        return Document(
            id=self.id,
            tenant=self.tenant,
            version=self.version,
            body={
                "client": self.client,
                "recording": self.recording,
                "attempt": self.attempt,
                "blobs": {str(role): str(name) for role, name in self.blobs.items()},
                "earlier": list(self.earlier),
                "lease_until_ms": self.lease_until_ms,
                "marked": self.marked,
                "due_at_s": self.due_at_s,
                "issued": list(self.issued),
                "named": self.named,
            },
        )


@dataclass(frozen=True)
class ScopeFacts:
    """A department or project that auth knows."""

    department: str
    project: str
    recording_allowed: bool


@dataclass(frozen=True)
class SealingKey:
    """The public key a tenant's data keys are sealed to, as auth signed it."""

    epoch: str
    public: bytes
    signature: bytes


@dataclass(frozen=True)
class TenantFacts:
    """A tenant as auth published it; ingest rejects early by it and decides nothing."""

    tenant: str
    published: int
    """Auth's own version of the tenant; older facts are ignored."""
    open: bool
    recording_allowed: bool
    sealing_key: SealingKey
    retention_classes: tuple[str, ...]
    scopes: tuple[ScopeFacts, ...]

    @classmethod
    def of(cls, document: Document) -> Self:
        """The facts a document holds."""
        body = document.body
        key = _typed(body["sealing_key"], dict)
        return cls(
            tenant=document.id,
            published=_typed(body["published"], int),
            open=_typed(body["open"], bool),
            recording_allowed=_typed(body["recording_allowed"], bool),
            sealing_key=SealingKey(key["epoch"], key["public"], key["signature"]),
            retention_classes=tuple(_typed(body["retention_classes"], list)),
            scopes=tuple(ScopeFacts(*scope) for scope in _typed(body["scopes"], list)),
        )

    def document(self, version: int) -> Document:
        """The document to write over that version."""
        key = self.sealing_key
        return Document(
            id=self.tenant,
            tenant=self.tenant,
            version=version,
            body={
                "published": self.published,
                "open": self.open,
                "recording_allowed": self.recording_allowed,
                "sealing_key": {
                    "epoch": key.epoch,
                    "public": key.public,
                    "signature": key.signature,
                },
                "retention_classes": list(self.retention_classes),
                "scopes": [[s.department, s.project, s.recording_allowed] for s in self.scopes],
            },
        )


def _typed(value: object, kind: type[T]) -> T:
    assert isinstance(value, kind), f"a stored {kind.__name__}"
    return value
