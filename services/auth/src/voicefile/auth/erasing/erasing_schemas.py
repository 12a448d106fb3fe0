"""What is sent and answered about holds, early erasures and planned dates, as JSON."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from voicefile.auth.erasing.certificate import What
from voicefile.auth.schemas import Id, Part, Slug
from voicefile.auth.tenants.admin_schemas import RulesPart

Reference = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,63}\z"), Field(repr=False)
]


class HoldBody(Part):
    """Under which reference its keepers file a legal hold."""

    reference: Reference


class HoldAnswer(BaseModel):
    """A recording, and what stands against erasing it."""

    recording_id: str
    state: str
    delete_on: str
    kept_by: tuple[str, ...]


class ErasureBody(Part):
    """What is to be erased before its time: exactly one thing."""

    recording_id: Id | None = None
    credential_id: Id | None = None
    """A customer, with everything recorded."""
    tenant_id: Id | None = None
    """All of one's own tenant: closed at once, erased when its days to come back are over."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [self.recording_id, self.credential_id, self.tenant_id]
        if sum(each is not None for each in given) != 1:
            raise PydanticCustomError("one_thing", "exactly one thing to erase")
        return self


class ErasureAnswer(BaseModel):
    """What was asked for and waits for a second person."""

    erasure_id: str
    what: What
    object_id: str
    asked_by: str
    asked_by_name: str = Field(default="", repr=False)
    """Told to administrators, where they read what waits."""
    purpose: str
    asked_at: str
    expires_at: str


class ErasuresAnswer(BaseModel):
    """All that waits."""

    erasures: list[ErasureAnswer]


class ConfirmationBody(Part):
    """Typed by whoever confirms: the first eight characters of what is to be erased."""

    typed: Annotated[str, StringConstraints(max_length=64)]


class ConfirmationAnswer(BaseModel):
    """What came of it."""

    what: What
    erased: tuple[str, ...]
    held: tuple[str, ...]
    """Not erased, since something stands against it."""
    customer_erased: bool
    delete_on: str | None = None
    """A tenant's: until then it can come back."""


class CertificateAnswer(BaseModel):
    """The vault's signed word that something was erased."""

    certificate: str


class PreviewBody(Part):
    """Rules to try out: the tenant's, or a scope's."""

    rules: RulesPart
    department: Slug | None = None
    project: Slug | None = None


class DayMoved(BaseModel):
    """Recordings whose planned date would become this day."""

    delete_on: str
    recordings: int
    held: int
    """Of these, how many something stands against erasing."""


class PreviewAnswer(BaseModel):
    """What other rules would erase and when; what they leave alone is not counted."""

    recordings: int
    due_at_once: int
    """Due today or before, and not held: erased within the hour."""
    days: list[DayMoved]


class HoldListed(BaseModel):
    """A legal hold, to whoever answers for it."""

    placed_on: str
    placed_by: str
    """The principal; empty if it is not known."""
    placed_by_name: str = Field(default="", repr=False)
    """Told to administrators only."""
    purpose: str
    reference: str = Field(repr=False)


class ObjectionListed(BaseModel):
    """When and by which way a customer objected; empty where it is not known."""

    on: str
    by: str


class KeptListed(BaseModel):
    """One recording of a list: random ids, days, and what stands against erasing it."""

    recording_id: str
    credential_id: str
    state: str
    stored_on: str
    delete_on: str
    """The planned day; of an erased one, what it was."""
    retention_class: str
    kept_by: tuple[str, ...]
    hold: HoldListed | None = None
    objection: ObjectionListed | None = None
    erased_on: str | None = None


class KeptListAnswer(BaseModel):
    """A page of a list; `cursor` asks for the next one, and is null on the last."""

    recordings: list[KeptListed]
    cursor: str | None
