"""What backup hears and says: the one place in it that knows the wire form."""

from collections.abc import Iterator
from typing import Final

from voicefile.backup.manifest import Grave
from voicefile.contracts.auth.v1 import AuthEvent, RecordingState
from voicefile.contracts.deed.v1 import Deed, Event
from voicefile.contracts.ingest.v1 import IngestEvent

AUTH_TOPIC: Final = "voicefile.auth.v1"
INGEST_TOPIC: Final = "voicefile.ingest.v1"
GROUP: Final = "backup"
RECORDING, ACCESS, TENANT = "recording", "access", "tenant"
"""What a tombstone can stand on."""


def wrap(event_id: str, deed: Deed, _fact: None) -> bytes:
    """One event of backup's own topic: it has no facts but deeds."""
    return Event(event_id=event_id, deed=deed).SerializeToString()


def graves_in(payload: bytes, *, at_s: int) -> Iterator[Grave]:
    """What an event of auth says was erased."""
    event = AuthEvent.FromString(payload)
    fact = event.WhichOneof("fact")
    if fact == "recording_changed":
        changed = event.recording_changed
        if changed.state == RecordingState.RECORDING_STATE_ERASED:
            yield Grave(RECORDING, changed.recording_id, at_s, list(changed.blobs))
    elif fact == "access_erased":
        yield Grave(ACCESS, event.access_erased.credential, at_s)
    elif fact == "tenant_erased":
        yield Grave(TENANT, event.tenant_erased.tenant, at_s)


def blobs_in(payload: bytes) -> list[str]:
    """The blobs that an event of ingest says are durable and have an owner."""
    event = IngestEvent.FromString(payload)
    if event.WhichOneof("fact") != "recording_stored":
        return []
    return list(event.recording_stored.blobs)
