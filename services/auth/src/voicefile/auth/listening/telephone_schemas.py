"""What playback's dialogue sends auth and gets from it, as JSON: field names are promises."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from voicefile.auth.listening.access_schemas import (
    ANSWER_CHARS_MAX,
    PIN_CHARS_MAX,
    AccessId,
    QuestionAsked,
)
from voicefile.auth.listening.check_access import Asked
from voicefile.auth.listening.open_session import SignedIn
from voicefile.auth.listening.visitors import telephone_visitor
from voicefile.auth.schemas import Id, Open, Secret
from voicefile.auth.throttling.throttles import Visitor

CALLER_CHARS_MAX = 64


class TelephoneCall(Open):
    """Who calls, in which call."""

    caller: Annotated[Secret, Field(max_length=CALLER_CHARS_MAX)]
    """The calling number as the network gave it; empty if it was withheld."""
    call_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}\z")]
    request_id: Id | None = None
    """The request at playback that it is asked for."""

    @property
    def visitor(self) -> Visitor:
        return telephone_visitor(self.caller.get_secret_value(), self.call_id)


class TelephoneLoginBody(TelephoneCall):
    """An access ID as keyed."""

    access_id: AccessId = Field(repr=False)
    tenant: Id | Literal[""] = ""
    """Whose own number was dialled; empty for a number that all share."""


class KeyedPinBody(TelephoneCall):
    """The PIN of the access ID that was keyed before."""

    pin: Annotated[Secret, Field(min_length=1, max_length=PIN_CHARS_MAX)]


class KeyedAnswerBody(TelephoneCall):
    """The answer to the question that came after the PIN."""

    answer: Annotated[Secret, Field(min_length=1, max_length=ANSWER_CHARS_MAX)]


class TelephoneLoginAnswer(BaseModel):
    """What the PIN is to be brought to; there is one for every access ID that could be."""

    login_id: str


class TelephoneSessionAnswer(BaseModel):
    """A session: shown by playback together with the id of its call, and by nobody else."""

    session_id: str
    tenant: str
    level: int
    """2 once the question was answered: sensitive recordings need it."""
    expires_in_s: int

    @classmethod
    def of(cls, signed_in: SignedIn) -> "TelephoneSessionAnswer":
        session = signed_in.session
        return cls(
            session_id=session.id,
            tenant=session.tenant,
            level=session.level,
            expires_in_s=session.expires_at_s - session.opened_at_s,
        )


class TelephoneQuestionAnswer(BaseModel):
    """The PIN was right, and the question comes first; its answer goes to the same login."""

    question: QuestionAsked
    tenant: str

    @classmethod
    def of(cls, asked: Asked) -> "TelephoneQuestionAnswer":
        return cls(question=QuestionAsked.of(asked), tenant=asked.tenant)


def keyed_pin_answer(result: SignedIn | Asked) -> TelephoneSessionAnswer | TelephoneQuestionAnswer:
    if isinstance(result, SignedIn):
        return TelephoneSessionAnswer.of(result)
    return TelephoneQuestionAnswer.of(result)
