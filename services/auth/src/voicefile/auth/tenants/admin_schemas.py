"""What a tenant's admin sends and gets, as JSON: field names here are promises."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from voicefile.auth.schemas import Bytes32, Days, Handle, Part, QuestionKind, Slug, Text
from voicefile.auth.tenants.policy import PIN_DIGITS_MAX, PIN_DIGITS_MIN

RETENTION_CLASSES_MAX = 50
_DaysByClass = Annotated[dict[Slug, Days], Field(max_length=RETENTION_CLASSES_MAX)]


class RulesPart(Part):
    """A scope's rules; what is left out is inherited."""

    recording_allowed: bool = True
    retention_days: _DaysByClass | None = None
    default_retention_class: Slug | None = None
    pin_digits: Annotated[int, Field(ge=PIN_DIGITS_MIN, le=PIN_DIGITS_MAX)] | None = None
    question_kinds: tuple[QuestionKind, ...] | None = None
    sealed_pin_only: bool = False
    retention_days_min: _DaysByClass | None = None
    """What the law wants; counts in the tenant's own rules, not in a scope's."""


class ScopeBody(Part):
    """A department, or a project in it, and its rules."""

    department: Slug
    project: Slug | None = None
    rules: RulesPart = RulesPart()


class LetterShopBody(Part):
    """The letter shop's X25519 public key; PINs can be sealed to it from then on."""

    public_key: Bytes32


class PrincipalBody(Part):
    """Somebody who shall be able to sign in."""

    role: Literal["partner", "care", "tenant_admin", "auditor"]
    handle: Handle | None = None
    """Staff: the first part of the username; the tenant's login domain follows it."""
    name: Text | None = None
    department: Slug | None = None
    project: Slug | None = None
    jwk: dict[str, str] | None = None
    """Partner: the public key of its private_key_jwt (Ed25519 or P-256)."""

    @model_validator(mode="after")
    def _staff_have_handles(self) -> Self:
        if self.role != "partner" and self.handle is None:
            raise PydanticCustomError("handle_required", "staff need a handle")
        return self


class PrincipalAdded(BaseModel):
    """A new principal and, once, what it signs in with."""

    id: str
    role: str
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    totp_secret: str | None = Field(default=None, repr=False)


class PrincipalListed(BaseModel):
    """A principal as the tenant's admin sees it."""

    id: str
    role: str
    name: str = Field(repr=False)
    department: str
    project: str
    active: bool


class PrincipalsListed(BaseModel):
    """All principals of a tenant, removed ones, too."""

    principals: list[PrincipalListed]


class PolicyAnswer(BaseModel):
    """What holds in a scope."""

    department: str
    project: str
    recording_allowed: bool
    retention_days: dict[str, int]
    default_retention_class: str | None
    pin_digits: int
    question_kinds: tuple[str, ...]
    sealed_pin_only: bool
    retention_days_min: dict[str, int]
    """By retention class: what the law wants, whatever a scope says."""


class TenantAnswer(BaseModel):
    """A tenant as its own people see it."""

    id: str
    name: str
    open: bool
    delete_on: str | None
    """Closed: the day on which it is erased for good; until then it can come back."""
    version: int
    login_domain: str
    policy: PolicyAnswer
    scopes: tuple[PolicyAnswer, ...]
    letter_shop: bool
