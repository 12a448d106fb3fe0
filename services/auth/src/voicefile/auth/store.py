"""What auth keeps: tenants, principals, key namespaces, the directory, access documents.

An access document is the pointer to everything a customer owns: the credential, the sealed
person, and each recording with its slip. It is written in one piece, so a recording without a
credential, or a credential without its recording, cannot be stored.
"""

from enum import StrEnum

from msgspec import Struct

from voicefile.docstore.port import Collection, Index


class CredentialState(StrEnum):
    """Whether an access ID opens anything."""

    ISSUED = "issued"
    UNDELIVERED = "undelivered"
    ACTIVE = "active"
    FROZEN = "frozen"
    REVOKED = "revoked"
    EXPIRED = "expired"


class LetterState(StrEnum):
    """How far the letter with the access data has come."""

    WANTED = "wanted"
    PRINTED = "printed"
    SENT = "sent"
    RETURNED = "returned"


class RecordingState(StrEnum):
    """Whether a recording may be heard; why not."""

    PLAYABLE = "playable"
    HELD = "held"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    ERASED = "erased"


class Slip(Struct, frozen=True):
    """A key wrapped under one epoch of its tenant (VFE1 kind 2)."""

    epoch: str
    sealed: bytes


class Blob(Struct, frozen=True):
    """Where a sealed object of a recording lies."""

    name: str
    sealed_bytes: int


class SealedAnswer(Struct, frozen=True):
    """The answer to an upload, openable only with the partner's Idempotency-Key."""

    sealed: bytes
    expires_at_s: int


class Recording(Struct, frozen=True):
    """One recording as its access document holds it; personal detail only inside `details`."""

    id: str
    partner: str
    """The principal that brought it; only it may join another recording or read its state."""
    department: str
    project: str
    state: RecordingState
    sensitive: bool
    blobs: dict[str, Blob]
    """By role: original, telephone, peaks."""
    slip: Slip
    request_digest: bytes
    """HMAC of the upload's content under the tenant's identity key: tells a retry from another."""
    details: bytes
    """VFE1 kind 3, role metadata, under the data key: `RecordingDetails` as MessagePack."""
    stored_on: str
    """The day (YYYY-MM-DD); the exact time is in the details."""
    delete_on: str
    retention_class: str
    policy_version: int
    assurance: str
    """uploaded, imported or captured."""
    findings: tuple[str, ...] = ()
    answer: SealedAnswer | None = None


class RecordingDetails(Struct, frozen=True):
    """What is personal or telling about one recording; sealed under its data key."""

    contract_reference: str
    contract_kind: str
    contract_parts: tuple[str, ...]
    recorded_at: str
    stored_at_ms: int
    language: str
    agent: str
    campaign: str
    consent: dict[str, str]
    media_type: str
    original_bytes: int
    """True length of the original; the blob is padded to whole chunks."""
    telephone_bytes: int
    peaks_bytes: int
    duration_ms: int
    sha256: str
    receipt: str


class Question(Struct, frozen=True):
    """One more thing to know, as digits; only its keyed hash is kept."""

    kind: str
    prompt: str
    verifier: bytes
    pepper: str
    """Which version of the tenant's identity key peppered the verifier."""


class Subject(Struct, frozen=True):
    """The customer: fields sealed under a key of their own, found by blind-index tokens."""

    id: str
    key: Slip
    fields: dict[str, bytes]
    """By field name: VFE1 kind 3 under the subject key."""


class Access(Struct, frozen=True):
    """The access document. Its id is the credential id."""

    partner: str
    state: CredentialState
    letter: LetterState
    pin_salt: bytes
    pin_verifier: bytes
    """argon2id over HMAC-SHA-512(pin pepper, tenant ‖ credential id ‖ PIN)."""
    pepper: str
    """Which version of the tenant's identity key peppered the verifier."""
    issued_on: str
    locator: str
    subject: Subject
    question: Question | None
    tokens: tuple[bytes, ...]
    """Blind-index tokens, 128 bit each: customer fields, and the recordings' contract references."""
    recordings: tuple[Recording, ...]
    generation: int = 1
    """Grows with every PIN; sessions carry it, so a re-issue ends them all."""
    mac: bytes = b""
    """HMAC under the tenant's record-mac key over all that decides access (`seal_record`)."""


ACCESS = Collection(
    "access",
    indexes=(
        Index("recording", "recordings.id", unique=True),
        Index("token", "tokens"),
        Index("blob", "blob_names", unique=True),
    ),
)
DIRECTORY = Collection("directory", indexes=(Index("claimed_on", "claimed_at_s"),))
"""Document id: the access ID's locator. Body: {tenant, credential, claimed_at_s}."""
