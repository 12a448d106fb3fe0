"""What partners send and get, as JSON: field names here are promises."""

import datetime as dt
import hashlib
import json
import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from voicefile.chassis.fields import declared_names, field_errors
from voicefile.ingest.errors import ConsentMissing, MetadataInvalid, QuestionMissing

FUTURE_MAX_S = 300
"""Clocks of telephone systems run apart; more than five minutes ahead is a mistake."""

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _moment(value: object) -> object:
    # Without an offset nobody could say later when the customer said yes.
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError("rfc3339_with_offset", "an RFC 3339 time with offset")
    return value.upper()


def _not_ahead(value: dt.datetime, info: ValidationInfo) -> dt.datetime:
    now_s: float = (info.context or {})["now_s"]
    if value.timestamp() > now_s + FUTURE_MAX_S:
        raise PydanticCustomError("in_the_future", "a time that has come")
    return value


def _day(value: object) -> object:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise PydanticCustomError("date", "a date as YYYY-MM-DD")
    return value


def _printable(value: str) -> str:
    # Control signs and half surrogates have no place in a letter or a page, nor have the ones
    # that turn the reading direction around: they make a name look like another.
    if any(
        unicodedata.category(sign) in {"Cc", "Cs", "Cn"}
        or unicodedata.bidirectional(sign) in _TURNING
        for sign in value
    ):
        raise PydanticCustomError("control_characters", "text without control characters")
    return value


def _bare_digits(value: object) -> object:
    # Access IDs are written 4-4-4 in letters; both forms are the same ID.
    return re.sub(r"[ -]", "", value) if isinstance(value, str) else value


Moment = Annotated[
    dt.datetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_not_ahead)
]
Day = Annotated[dt.date, Field(strict=False), BeforeValidator(_day)]
Text = Annotated[
    str,
    StringConstraints(min_length=1, strip_whitespace=True),
    AfterValidator(_printable),
]
Text16 = Annotated[Text, StringConstraints(max_length=16)]
Text64 = Annotated[Text, StringConstraints(max_length=64)]
Text128 = Annotated[Text, StringConstraints(max_length=128)]
Text200 = Annotated[Text, StringConstraints(max_length=200)]
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z")]


class Part(BaseModel):
    """A piece of metadata: nothing unknown, nothing converted, nothing shown."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        regex_engine="rust-regex",
    )

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Nothing: what customers are called and said has no place in a traceback."""
        return []


class Consent(Part):
    """The customer's yes: when, how, and to which wording."""

    obtained_at: Moment
    method: Slug
    wording_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}\z", to_lower=True)]


class Address(Part):
    """Where the letter goes."""

    street: Text200 | None = None
    house_number: Text16 | None = None
    addition: Text200 | None = None
    postcode: Text16 | None = None
    city: Text128 | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}\z")] | None = None


class Customer(Part):
    """Who said yes."""

    name: Text200
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()/.-]{2,30}\z")] | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}\z")] | None = None
    customer_number: Text64 | None = None
    birth_date: Day | None = None
    address: Address | None = None


class Question(Part):
    """One more thing to know before something sensitive is heard."""

    kind: Literal["iban_last4", "birth_date", "postcode", "digits"]
    answer: Annotated[str, StringConstraints(pattern=r"^[0-9]{3,16}\z")]
    prompt: Text200 | None = None
    """What a page or letter asks; for digits, nobody else could know it."""


class Scope(Part):
    """Where in the tenant the recording belongs."""

    department: Text64
    project: Text64 | None = None


class PinDelivery(Part):
    """Whether the partner sees the PIN, or only a letter shop opens it."""

    mode: Literal["answer", "sealed"] = "answer"


class Metadata(Part):
    """What a partner says about a voice file."""

    contract_reference: Text128
    recorded_at: Moment
    consent: Consent
    customer: Customer
    contract_kind: Text64 | None = None
    contract_parts: Annotated[tuple[Text200, ...], Field(max_length=50, strict=False)] = ()
    language: (
        Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\z")] | None
    ) = None
    sensitive: StrictBool = False
    question: Question | None = None
    retention_class: Slug | None = None
    scope: Scope | None = None
    agent: Text64 | None = None
    campaign: Text64 | None = None
    pin_delivery: PinDelivery = PinDelivery()
    join_access_id: (
        Annotated[str, BeforeValidator(_bare_digits), StringConstraints(pattern=r"^[0-9]{12}\z")]
        | None
    ) = None

    def canonical(self) -> bytes:
        """The same bytes for the same statements, however they were written down."""
        # Defaults are left out, so a field added to the schema changes no digest of yesterday.
        said = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

    def request_digest(self, audio_sha256: bytes) -> bytes:
        """Tells a retry from another upload under the same key."""
        return hashlib.sha256(hashlib.sha256(self.canonical()).digest() + audio_sha256).digest()


def parse_metadata(raw: bytes, *, now_s: float) -> Metadata:
    """The metadata part. Raises MetadataInvalid, ConsentMissing, QuestionMissing."""
    try:
        metadata = Metadata.model_validate_json(raw, context={"now_s": now_s})
    except ValidationError as invalid:
        # Nothing of pydantic's error goes on: its text could quote the customer.
        raise _refusal(invalid) from None
    if metadata.sensitive and metadata.question is None and metadata.join_access_id is None:
        raise QuestionMissing
    return metadata


def _refusal(invalid: ValidationError) -> ConsentMissing | MetadataInvalid:
    found = invalid.errors(include_url=False, include_context=False, include_input=False)
    for fault in found:
        consent = fault["loc"][:1] == ("consent",)
        if consent and (fault["type"] == "missing" or fault["loc"] == ("consent",)):
            return ConsentMissing()
    return MetadataInvalid(field_errors(found, declared=declared_names(Metadata)))


def metadata_schema() -> dict[str, Any]:
    """The metadata's JSON schema in one piece, for an interface that is generated elsewhere."""
    schema = Metadata.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs")

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(each) for each in node]
        if not isinstance(node, dict):
            return node
        target = node.get("$ref")
        if target is not None:
            beside = {name: each for name, each in node.items() if name != "$ref"}
            return inlined({**definitions[target.rpartition("/")[2]], **beside})
        return {name: inlined(each) for name, each in node.items()}

    whole: dict[str, Any] = inlined(schema)
    return whole


class Answer(BaseModel):
    """201: decided. The PIN is in here once more than anywhere else."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    recording_id: str
    state: str
    access_id: str = Field(repr=False)
    pin: str | None = Field(default=None, repr=False)
    sealed_pin: str | None = Field(default=None, repr=False)
    question_kind: str | None = None
    duration_ms: int
    sha256: str = Field(repr=False)
    receipt: str = Field(repr=False)


class RecordingStatus(BaseModel):
    """How a recording is doing, for the partner that brought it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    recording_id: str
    state: str
    findings: tuple[str, ...] = ()
    delete_on: str | None = None
    """The day on which it is to be erased, unless `kept_by` names what stands against it."""
    kept_by: tuple[str, ...] = ()
    """What keeps it longer than the policy would: law, hold, objection."""
    erased_on: str | None = None
    policy_version: int | None = None
    assurance: str | None = None
    letter: str | None = None
    credential_id: str | None = None
    credential_state: str | None = None
    receipt: str | None = Field(default=None, repr=False)
    certificate: str | None = Field(default=None, repr=False)
    """Of an erased recording: the vault's signed word on it."""


class Change(BaseModel):
    """One entry of a partner's change feed."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    recording_id: str
    state: str
    letter: str | None = None
    at: str
    """RFC 3339, UTC."""


class Manifest(BaseModel):
    """A day of a partner's feed, signed: its entries are those of the feed from first to last."""

    model_config = ConfigDict(frozen=True)

    day: str
    first: int
    last: int
    """One less than `first` on a quiet day."""
    manifest: str
    """A compact JWS by the tenant's receipt key."""


class Changes(BaseModel):
    """A page of the feed; `next` is the cursor for the page after it."""

    changes: tuple[Change, ...]
    next: int
