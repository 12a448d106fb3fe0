"""Auth's facts in the past tense, and the only place that turns them into its topic's messages."""

from dataclasses import dataclass
from typing import Final, Self

from voicefile.auth.store import LetterState, Recording, RecordingState
from voicefile.contracts.auth.v1 import AccessErased as AccessErasedMessage
from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.contracts.auth.v1 import LetterState as LetterCode
from voicefile.contracts.auth.v1 import RecordingChanged as RecordingChangedMessage
from voicefile.contracts.auth.v1 import RecordingIssued as RecordingIssuedMessage
from voicefile.contracts.auth.v1 import RecordingState as StateCode
from voicefile.contracts.auth.v1 import Scope as ScopeMessage
from voicefile.contracts.auth.v1 import TenantErased as TenantErasedMessage
from voicefile.contracts.auth.v1 import TenantPublished as TenantPublishedMessage
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.docstore.port import PendingEvent
from voicefile.identity.ids import new_id

TOPIC: Final = "voicefile.auth.v1"


@dataclass(frozen=True)
class ScopePublished:
    """A department or project, and whether it takes recordings."""

    department: str
    project: str
    recording_allowed: bool


@dataclass(frozen=True)
class TenantPublished:
    """A tenant as ingest needs it."""

    tenant: str
    version: int
    open: bool
    recording_allowed: bool
    epoch: str
    sealing_key: bytes
    sealing_key_signature: bytes
    retention_classes: tuple[str, ...]
    default_retention_class: str
    scopes: tuple[ScopePublished, ...]


@dataclass(frozen=True)
class RecordingIssued:
    """A recording has an owner, and its blobs have one."""

    tenant: str
    recording: str
    partner: str
    state: RecordingState
    blobs: tuple[str, ...]


@dataclass(frozen=True)
class RecordingChanged:
    """A recording, or the letter that belongs to it, is in another state now."""

    tenant: str
    recording: str
    partner: str
    state: RecordingState
    letter: LetterState
    blobs: tuple[str, ...] = ()
    """Of one that was just erased: what it had."""
    left: bytes = b""
    """Of an erased one: what is kept of it, for backups to carry."""

    @classmethod
    def of(
        cls,
        tenant: str,
        recording: Recording,
        letter: LetterState,
        *,
        blobs: tuple[str, ...] = (),
        left: bytes = b"",
    ) -> Self:
        """The recording as it is now, with the letter of its credential."""
        return cls(tenant, recording.id, recording.partner, recording.state, letter, blobs, left)


@dataclass(frozen=True)
class AccessErased:
    """A customer as a whole is erased; what it had recorded is told of one by one."""

    tenant: str
    credential: str
    left: bytes = b""


@dataclass(frozen=True)
class TenantErased:
    """All of a tenant is erased, for good."""

    tenant: str
    left: bytes = b""


Fact = TenantPublished | RecordingIssued | RecordingChanged | AccessErased | TenantErased

_STATES: Final = {
    RecordingState.PLAYABLE: StateCode.RECORDING_STATE_PLAYABLE,
    RecordingState.HELD: StateCode.RECORDING_STATE_HELD,
    RecordingState.QUARANTINED: StateCode.RECORDING_STATE_QUARANTINED,
    RecordingState.SUPERSEDED: StateCode.RECORDING_STATE_SUPERSEDED,
    RecordingState.ERASED: StateCode.RECORDING_STATE_ERASED,
}
_LETTERS: Final = {
    LetterState.WANTED: LetterCode.LETTER_STATE_WANTED,
    LetterState.PRINTED: LetterCode.LETTER_STATE_PRINTED,
    LetterState.SENT: LetterCode.LETTER_STATE_SENT,
    LetterState.RETURNED: LetterCode.LETTER_STATE_RETURNED,
}


def wrap(event_id: str, deed: DeedMessage, fact: Fact | None) -> bytes:
    """The event that carries a numbered deed, and the fact it made."""
    message = AuthEvent(event_id=event_id, deed=deed)
    _add_fact(message, fact)
    return message.SerializeToString()


def fact_alone(fact: Fact) -> PendingEvent:
    """A fact beside the one that carries the deed: one change can have several."""
    event_id = new_id()
    message = AuthEvent(event_id=event_id)
    _add_fact(message, fact)
    return PendingEvent(event_id, TOPIC, key_of(fact), message.SerializeToString())


def key_of(fact: Fact) -> str:
    """By which the bus keeps it in order: recordings by their partner.

    Its feed has numbers without a gap, and two instances that give them are in each other's way.
    """
    if isinstance(fact, AccessErased):
        return fact.credential
    return fact.tenant if isinstance(fact, TenantPublished | TenantErased) else fact.partner


def _add_fact(message: AuthEvent, fact: Fact | None) -> None:
    if isinstance(fact, TenantPublished):
        message.tenant_published.CopyFrom(_tenant_published(fact))
    elif isinstance(fact, RecordingIssued):
        message.recording_issued.CopyFrom(_recording_issued(fact))
    elif isinstance(fact, RecordingChanged):
        message.recording_changed.CopyFrom(_recording_changed(fact))
    elif isinstance(fact, AccessErased):
        message.access_erased.CopyFrom(
            AccessErasedMessage(tenant=fact.tenant, credential=fact.credential, left=fact.left)
        )
    elif isinstance(fact, TenantErased):
        message.tenant_erased.CopyFrom(TenantErasedMessage(tenant=fact.tenant, left=fact.left))


def _tenant_published(fact: TenantPublished) -> TenantPublishedMessage:
    return TenantPublishedMessage(
        tenant=fact.tenant,
        version=fact.version,
        open=fact.open,
        recording_allowed=fact.recording_allowed,
        epoch=fact.epoch,
        sealing_key=fact.sealing_key,
        sealing_key_signature=fact.sealing_key_signature,
        retention_classes=fact.retention_classes,
        default_retention_class=fact.default_retention_class,
        scopes=[
            ScopeMessage(
                department=scope.department,
                project=scope.project,
                recording_allowed=scope.recording_allowed,
            )
            for scope in fact.scopes
        ],
    )


def _recording_issued(fact: RecordingIssued) -> RecordingIssuedMessage:
    return RecordingIssuedMessage(
        tenant=fact.tenant,
        recording_id=fact.recording,
        partner=fact.partner,
        state=_STATES[fact.state],
        blobs=fact.blobs,
    )


def _recording_changed(fact: RecordingChanged) -> RecordingChangedMessage:
    return RecordingChangedMessage(
        tenant=fact.tenant,
        recording_id=fact.recording,
        partner=fact.partner,
        state=_STATES[fact.state],
        letter=_LETTERS[fact.letter],
        blobs=fact.blobs,
        left=fact.left,
    )
