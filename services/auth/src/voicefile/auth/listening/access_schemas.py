"""What customers and playback send auth and get from it, as JSON: field names are promises."""

import base64
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from voicefile.auth.keys.compact_jws import public_jwk
from voicefile.auth.listening.check_access import Asked
from voicefile.auth.listening.gather_papers import GatheredPapers
from voicefile.auth.listening.list_hearable import Hearable, Listed
from voicefile.auth.listening.open_session import SignedIn
from voicefile.auth.listening.release_key import Released
from voicefile.auth.schemas import Bytes32, Id, JwkSet, Open, Part, PurposeCode, Secret
from voicefile.verify.digits import spoken_digits

PIN_CHARS_MAX = 32
ANSWER_CHARS_MAX = 64
TOKEN_CHARS_MAX = 64


AccessId = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class SignInBody(Part):
    """An access ID and its PIN, as typed."""

    access_id: AccessId = Field(repr=False)
    pin: Annotated[Secret, Field(min_length=1, max_length=PIN_CHARS_MAX)]


class QuestionAnswerBody(Part):
    """The answer to the question that a challenge stands for."""

    challenge: Annotated[Secret, Field(min_length=1, max_length=TOKEN_CHARS_MAX)]
    answer: Annotated[Secret, Field(min_length=1, max_length=ANSWER_CHARS_MAX)]


class SessionAnswer(BaseModel):
    """A session: show the token to hear, and never put it into an address."""

    session_token: str = Field(repr=False)
    level: int
    """2 once the question was answered: sensitive recordings need it."""
    expires_in_s: int

    @classmethod
    def of(cls, signed_in: SignedIn) -> "SessionAnswer":
        session = signed_in.session
        assert signed_in.token is not None, "a session of the web has a token"
        return cls(
            session_token=signed_in.token.expose(),
            level=session.level,
            expires_in_s=session.expires_at_s - session.opened_at_s,
        )


class QuestionAsked(BaseModel):
    """One more thing to know."""

    kind: str
    prompt: str

    @classmethod
    def of(cls, asked: Asked) -> "QuestionAsked":
        return cls(kind=asked.question.kind, prompt=asked.prompt)


class ChallengeAnswer(BaseModel):
    """The PIN was right, and the question comes first."""

    question: QuestionAsked
    challenge: str = Field(repr=False)

    @classmethod
    def of(cls, asked: Asked) -> "ChallengeAnswer":
        assert asked.challenge is not None, "on the web the answer brings a challenge"
        return cls(question=QuestionAsked.of(asked), challenge=asked.challenge.expose())


def sign_in_answer(result: SignedIn | Asked) -> SessionAnswer | ChallengeAnswer:
    if isinstance(result, SignedIn):
        return SessionAnswer.of(result)
    return ChallengeAnswer.of(result)


class HearableBody(Open):
    """Why a care agent looks; customers need no purpose."""

    purpose: PurposeCode | Literal[""] | None = None
    request_id: Id | None = None
    """The request at playback that it is asked for."""


class HearingsBody(Open):
    """Of which recording a customer asks who heard it, and where the page begins."""

    recording_id: Id
    cursor: Annotated[str, Field(pattern="^[0-9-]{1,50}$")] = "0"
    request_id: Id | None = None
    """The request at playback that it is asked for."""


class Hearing(BaseModel):
    """That the recording was heard: when, by whom as what, and why; never who."""

    at_ms: int
    role: str
    purpose: str
    downloaded: bool


class HearingsAnswer(BaseModel):
    """Who heard a recording, oldest first."""

    hearings: list[Hearing]
    cursor: str | None


class PapersBody(Open):
    """Of which recording a bundle is asked for, and why; customers need no purpose."""

    recording_id: Id
    purpose: PurposeCode | Literal[""] | None = None
    request_id: Id | None = None
    """The request at playback that it is asked for."""


class PapersAnswer(BaseModel):
    """Everything in a bundle but the audio."""

    receipt: str = Field(repr=False)
    receipt_keys: JwkSet
    """All the tenant's; the receipt says which signed it."""
    proof: str = Field(repr=False)
    receipt_key_proof: str = Field(repr=False)
    log_key: str
    deeds: str = Field(repr=False)

    @classmethod
    def of(cls, papers: GatheredPapers) -> "PapersAnswer":
        return cls(
            receipt=papers.receipt,
            receipt_keys=JwkSet(keys=[public_jwk(*key) for key in papers.receipt_keys]),
            proof=papers.proof,
            receipt_key_proof=papers.receipt_key_proof,
            log_key=papers.log_key,
            deeds=papers.deeds,
        )


class HearableRecording(BaseModel):
    """One recording; what may not be heard shows no details."""

    recording_id: str
    state: str
    sensitive: bool
    heard: bool
    delete_on: str
    objected: bool
    """The customer says that this is not their contract."""
    contract_reference: str = Field(default="", repr=False)
    contract_kind: str = Field(default="", repr=False)
    recorded_at: str = Field(default="", repr=False)
    duration_ms: int = 0
    media_type: str = ""
    language: str = ""
    receipt_digits: str = Field(default="", repr=False)
    """Six digits of its receipt, to be compared by ear."""

    @classmethod
    def of(cls, listed: Listed) -> "HearableRecording":
        recording, details = listed.recording, listed.details
        known = {
            "recording_id": recording.id,
            "state": recording.state.value,
            "sensitive": recording.sensitive,
            "heard": listed.heard,
            "delete_on": recording.due_on,
            "objected": recording.objected,
        }
        if details is None:
            return cls.model_validate(known)
        return cls.model_validate(
            known
            | {
                "contract_reference": details.contract_reference,
                "contract_kind": details.contract_kind,
                "recorded_at": details.recorded_at,
                "duration_ms": details.duration_ms,
                "media_type": details.media_type,
                "language": details.language,
                "receipt_digits": spoken_digits(details.receipt),
            }
        )


class HearableAnswer(BaseModel):
    """What one listener may know of."""

    level: int
    role: str
    tenant: str
    recordings: tuple[HearableRecording, ...]

    @classmethod
    def of(cls, hearable: Hearable) -> "HearableAnswer":
        listener = hearable.listener
        return cls(
            level=listener.level,
            role=listener.role.value,
            tenant=listener.tenant,
            recordings=tuple(HearableRecording.of(each) for each in hearable.recordings),
        )


class ObjectionBody(Open):
    """A customer says: this is not my contract."""

    request_id: Id | None = None
    """The request at playback that it is asked for."""


class ObjectionAnswer(BaseModel):
    """What became of the recording."""

    recording_id: str
    state: str
    objected: bool


class ReleaseBody(Open):
    """An instance of playback asks for one recording's key."""

    recording_id: Id
    purpose: PurposeCode | Literal[""] | None = None
    instance_key: Bytes32
    listening: Id
    request_id: Id | Literal[""] = ""


class RenewalBody(Open):
    """The same instance goes on."""

    instance_key: Bytes32


class EndBody(Open):
    """The listening is over."""

    instance_key: Bytes32
    bytes_sent: Annotated[int, Field(ge=0)]
    end: Annotated[str, StringConstraints(max_length=64)] = ""


class BlobAnswer(BaseModel):
    """Where a sealed object lies."""

    name: str
    sealed_bytes: int


class MediaAnswer(BaseModel):
    """The true measures of a recording."""

    media_type: str
    original_bytes: int
    telephone_bytes: int
    peaks_bytes: int
    duration_ms: int
    sha256: str


class ReleaseAnswer(BaseModel):
    """A lease, and the key sealed to the instance that asked."""

    release_id: str
    lease_s: int
    tenant: str
    blobs: dict[str, BlobAnswer]
    media: MediaAnswer
    sealed_key: str = Field(repr=False)
    joined: bool

    @classmethod
    def of(cls, released: Released) -> "ReleaseAnswer":
        details = released.details
        return cls(
            release_id=released.release_id,
            lease_s=released.lease_s,
            tenant=released.tenant,
            blobs={
                role: BlobAnswer(name=blob.name, sealed_bytes=blob.sealed_bytes)
                for role, blob in released.recording.blobs.items()
            },
            media=MediaAnswer(
                media_type=details.media_type,
                original_bytes=details.original_bytes,
                telephone_bytes=details.telephone_bytes,
                peaks_bytes=details.peaks_bytes,
                duration_ms=details.duration_ms,
                sha256=details.sha256,
            ),
            sealed_key=base64.b64encode(released.sealed_key).decode(),
            joined=released.joined,
        )


class LeaseAnswer(BaseModel):
    """How long the key may be used on."""

    lease_s: int
