"""Events: the only place where ingest's facts become protobuf, and auth's become ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voicefile.contracts.auth.v1 import AuthEvent, LetterState, RecordingState
from voicefile.contracts.auth.v1 import TenantPublished as TenantPublishedMessage
from voicefile.contracts.deed.v1 import Deed as DeedMessage
from voicefile.contracts.ingest.v1 import IngestEvent
from voicefile.contracts.ingest.v1 import RecordingStored as RecordingStoredMessage
from voicefile.ingest.store import ScopeFacts, SealingKey, TenantFacts

TOPIC: Final = "voicefile.ingest.v1"
AUTH_TOPIC: Final = "voicefile.auth.v1"
GROUP: Final = "ingest"

ERASED: Final = "erased"
STATES: Final[Mapping[int, str]] = {
    RecordingState.RECORDING_STATE_PLAYABLE: "playable",
    RecordingState.RECORDING_STATE_HELD: "held",
    RecordingState.RECORDING_STATE_QUARANTINED: "quarantined",
    RecordingState.RECORDING_STATE_SUPERSEDED: "superseded",
    RecordingState.RECORDING_STATE_ERASED: ERASED,
}
LETTERS: Final[Mapping[int, str]] = {
    LetterState.LETTER_STATE_WANTED: "wanted",
    LetterState.LETTER_STATE_PRINTED: "printed",
    LetterState.LETTER_STATE_SENT: "sent",
    LetterState.LETTER_STATE_RETURNED: "returned",
}


@dataclass(frozen=True)
class RecordingStored:
    """The blobs of a recording are durable and have an owner: copy them."""

    tenant: str
    recording: str
    blobs: tuple[str, ...]


@dataclass(frozen=True)
class RecordingMoved:
    """What a recording has become, for the feed of the partner that brought it."""

    event: str
    tenant: str
    partner: str
    recording: str
    state: str
    letter: str | None
    at_ms: int
    """When auth wrote it; 0 if the event does not say."""


@dataclass(frozen=True)
class TenantErased:
    """All of a tenant is erased, for good."""

    tenant: str


def wrap(event_id: str, deed: DeedMessage, fact: RecordingStored | None) -> bytes:
    """An event of ours as it travels."""
    message = IngestEvent(event_id=event_id, deed=deed)
    if fact is not None:
        message.recording_stored.CopyFrom(
            RecordingStoredMessage(
                tenant=fact.tenant, recording_id=fact.recording, blobs=fact.blobs
            )
        )
    return message.SerializeToString()


def heard(payload: bytes) -> TenantFacts | RecordingMoved | TenantErased | None:
    """What an event of auth's means to ingest; None: nothing."""
    message = AuthEvent.FromString(payload)
    match message.WhichOneof("fact"):
        case "tenant_published":
            return _tenant(message.tenant_published)
        case "recording_issued" | "recording_changed":
            return _moved(message)
        case "tenant_erased":
            return TenantErased(message.tenant_erased.tenant)
        case _:
            return None


def _tenant(fact: TenantPublishedMessage) -> TenantFacts:
    return TenantFacts(
        tenant=fact.tenant,
        published=fact.version,
        open=fact.open,
        recording_allowed=fact.recording_allowed,
        sealing_key=SealingKey(fact.epoch, fact.sealing_key, fact.sealing_key_signature),
        retention_classes=tuple(fact.retention_classes),
        scopes=tuple(
            ScopeFacts(scope.department, scope.project, scope.recording_allowed)
            for scope in fact.scopes
        ),
    )


def _moved(message: AuthEvent) -> RecordingMoved | None:
    changed = message.WhichOneof("fact") == "recording_changed"
    fact = message.recording_changed if changed else message.recording_issued
    state = STATES.get(fact.state)
    if state is None:
        return None  # a state of a newer auth: nothing a partner of ours could read
    letter = LETTERS.get(message.recording_changed.letter) if changed else None
    return RecordingMoved(
        event=message.event_id,
        tenant=fact.tenant,
        partner=fact.partner,
        recording=fact.recording_id,
        state=state,
        letter=letter,
        at_ms=message.deed.at_ms,
    )
