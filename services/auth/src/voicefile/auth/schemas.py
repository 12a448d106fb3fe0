"""What others send auth and get from it, as JSON: field names here are promises.

Nothing a person or a secret is made of shows in a repr: secrets are SecretStr, the rest hides.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from voicefile.auth.tenants.policy import (
    QUESTION_KINDS,
    RETENTION_DAYS_MAX,
)

BLOB_NAMES_MAX = 1000
CONTRACT_PARTS_MAX = 50


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("base64", "bytes as base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "bytes as base64") from None


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _known_kind(value: str) -> str:
    if value not in QUESTION_KINDS:
        raise PydanticCustomError("question_kind", "a kind of question")
    return value


def _encodable(secret: SecretStr) -> SecretStr:
    # JSON can spell half a character; no bytes stand for it, so no hash could be made of it.
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("string_unicode", "whole characters") from None
    return secret


Secret = Annotated[SecretStr, AfterValidator(_encodable)]
"""What somebody types who may type anything."""
Bytes = Annotated[
    bytes, BeforeValidator(_from_base64), PlainSerializer(_to_base64, return_type=str)
]
Bytes32 = Annotated[Bytes, Field(min_length=32, max_length=32)]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\z")]
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
RequestId = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32}|[0-9a-f-]{36})?\z")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Handle = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\z")]
Username = Annotated[str, StringConstraints(min_length=1, max_length=130)]
QuestionKind = Annotated[str, AfterValidator(_known_kind)]
Days = Annotated[int, Field(ge=1, le=RETENTION_DAYS_MAX)]
PurposeCode = Literal["customer-request", "complaint", "dispute", "quality", "legal", "authority"]


class Part(BaseModel):
    """Something received: nothing of it shows in a repr, an error or a traceback."""

    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, regex_engine="rust-regex", extra="forbid"
    )

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Nothing."""
        return []


class Open(Part):
    """A part whose sender may know more fields than we do."""

    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, regex_engine="rust-regex", extra="ignore"
    )


# --- ingest: issue access -------------------------------------------------------------------


class BlobPart(Open):
    """A sealed object as ingest stored it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    sealed_bytes: Annotated[int, Field(ge=1)]


class Blobs(Open):
    """The objects of one recording."""

    original: BlobPart
    telephone: BlobPart
    peaks: BlobPart


class Media(Open):
    """What the decoder found out."""

    media_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    original_bytes: Annotated[int, Field(ge=0)]
    telephone_bytes: Annotated[int, Field(ge=0)]
    peaks_bytes: Annotated[int, Field(ge=0)]
    duration_ms: Annotated[int, Field(ge=0)]
    sha256: Hex64


class CustomerPart(Open):
    """Who said yes."""

    name: Text
    phone: Text | None = None
    email: Text | None = None
    customer_number: Text | None = None
    birth_date: Text | None = None
    address: dict[str, str | None] | None = None


class QuestionPart(Open):
    """One more thing to know, as digits."""

    kind: Slug
    answer: Secret
    prompt: Annotated[str, StringConstraints(max_length=200)] | None = None


class ScopePart(Open):
    """Where in the tenant the recording belongs."""

    department: Annotated[str, StringConstraints(max_length=64)] = ""
    project: Annotated[str, StringConstraints(max_length=64)] | None = None


class PinDelivery(Open):
    """Whether the partner sees the PIN, or only a letter shop opens it."""

    mode: Literal["answer", "sealed"] = "answer"


class Metadata(Open):
    """What the partner said about a voice file; ingest has checked its form."""

    contract_reference: Text
    recorded_at: Text
    consent: dict[str, str]
    customer: CustomerPart
    contract_kind: Text | None = None
    contract_parts: Annotated[tuple[Text, ...], Field(max_length=CONTRACT_PARTS_MAX)] = ()
    language: Text | None = None
    sensitive: bool = False
    question: QuestionPart | None = None
    retention_class: Slug | None = None
    scope: ScopePart | None = None
    agent: Text | None = None
    campaign: Text | None = None
    pin_delivery: PinDelivery | None = None
    join_access_id: Secret | None = None


class IssueBody(Open):
    """Everything auth decides about one stored recording."""

    recording_id: Id
    tenant: Id
    partner: Id
    idempotency_key: Secret
    request_digest: Bytes32
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    sealed_key: Annotated[Bytes, Field(max_length=1024)]
    blobs: Blobs
    state: Literal["playable", "quarantined"]
    findings: Annotated[tuple[Slug, ...], Field(max_length=32)] = ()
    media: Media
    metadata: Metadata
    request_id: RequestId = ""


class AnswerBody(Open):
    """A retry asks for what was answered the first time."""

    tenant: Id
    partner: Id
    idempotency_key: Secret
    request_digest: Bytes32 | None = None


class ManifestBody(Open):
    """A day of a partner's feed, for auth to sign."""

    tenant: Id
    partner: Id
    day: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    first: Annotated[int, Field(ge=1, lt=2**53)]
    last: Annotated[int, Field(ge=0, lt=2**53)]
    entries_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    previous_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


class ManifestAnswer(BaseModel):
    """The signed manifest."""

    manifest: str


class BlobNamesBody(Open):
    """The names of blobs of which some may have no owner."""

    names: Annotated[tuple[str, ...], Field(max_length=BLOB_NAMES_MAX)]


class IssueAnswer(BaseModel):
    """What the partner is told, once. `pin` and `sealed_pin` are absent on a join."""

    recording_id: str
    state: str
    access_id: str = Field(repr=False)
    pin: str | None = Field(default=None, repr=False)
    sealed_pin: str | None = Field(default=None, repr=False)
    question_kind: str | None
    duration_ms: int
    sha256: str = Field(repr=False)
    receipt: str = Field(repr=False)


class KeptAnswerAnswer(BaseModel):
    """The same again, and whether it belongs to this request."""

    request_digest_matches: bool | None
    answer: IssueAnswer


class BlobsKnown(BaseModel):
    """Those of the blobs asked for that have an owner."""

    known: list[str]


class RecordingAnswer(BaseModel):
    """How a recording is doing."""

    recording_id: str
    credential_id: str
    state: str
    credential_state: str
    letter: str
    findings: tuple[str, ...]
    delete_on: str
    kept_by: tuple[str, ...] = ()
    erased_on: str | None = None
    policy_version: int
    assurance: str
    receipt: str | None = Field(repr=False)
    certificate: str | None = Field(default=None, repr=False)


# --- signing in -----------------------------------------------------------------------------


class StaffSessionBody(Part):
    """A staff member's name, password and current code."""

    username: Username
    password: Secret
    totp: Secret


class AccessTokenAnswer(BaseModel):
    """An access token (RFC 6749, 5.1)."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # not a secret: its kind
    expires_in: int


class JwkSet(BaseModel):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, str]]


# --- credentials ----------------------------------------------------------------------------


class StateBody(Part):
    """What shall happen to a credential."""

    change: Literal["undelivered", "freeze", "revoke", "restore"]


class LetterBody(Part):
    """How far the letter has come."""

    letter: Literal["wanted", "printed", "sent", "returned"]


class PinAnswer(BaseModel):
    """A new PIN: shown once, to the partner, or sealed for the letter shop."""

    credential_id: str
    pin: str | None = Field(default=None, repr=False)
    sealed_pin: str | None = Field(default=None, repr=False)


class CredentialAnswer(BaseModel):
    """What became of a credential."""

    credential_id: str
    state: str
    letter: str


class ObjectionSettled(BaseModel):
    """What became of the recording."""

    recording_id: str
    state: str
    objected: bool


class ObjectionRead(BaseModel):
    """A recording as whoever looks into an objection to it sees it."""

    recording_id: str
    state: str
    objected: bool
    objected_on: str
    """The day; empty if it is not known."""
    objected_by: str
    """telephone or portal; empty if it is not known."""
    delete_on: str
    kept_by: tuple[str, ...]


class SearchBody(Part):
    """Exactly one thing known about a customer."""

    contract_reference: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    customer_number: Text | None = None


class RecordingFound(BaseModel):
    """A recording as care sees it in a search."""

    recording_id: str
    state: str
    sensitive: bool
    department: str
    project: str
    delete_on: str
    """The planned day, unless something in `kept_by` stands against it."""
    kept_by: tuple[str, ...] = ()
    hold_reference: str = Field(default="", repr=False)
    objected: bool
    """The customer says that this is not their contract."""
    contract_reference: str = Field(default="", repr=False)
    contract_kind: str = ""
    recorded_at: str = ""
    language: str = ""
    duration_ms: int = 0


class CustomerFound(BaseModel):
    """A customer that was found."""

    credential_id: str
    state: str
    letter: str
    customer: dict[str, str] = Field(repr=False)
    recordings: list[RecordingFound]


class CustomersFound(BaseModel):
    """All that were found; a search shows no more than twenty."""

    customers: list[CustomerFound]
