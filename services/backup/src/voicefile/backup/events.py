"""What backup hears and says: the one place in it that knows the wire form."""

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Buried:
    """A tombstone, and what auth says is left of what it stands on: bytes to us."""

    grave: Grave
    left: bytes


def wrap(event_id: str, deed: Deed, _fact: None) -> bytes:
    """One event of backup's own topic: it has no facts but deeds."""
    return Event(event_id=event_id, deed=deed).SerializeToString()


def graves_in(payload: bytes, *, at_s: int) -> Iterator[Buried]:
    """What an event of auth says was erased."""
    event = AuthEvent.FromString(payload)
    fact = event.WhichOneof("fact")
    if fact == "recording_changed":
        changed = event.recording_changed
        if changed.state == RecordingState.RECORDING_STATE_ERASED:
            grave = Grave(RECORDING, changed.recording_id, at_s, list(changed.blobs))
            yield Buried(grave, changed.left)
    elif fact == "access_erased":
        gone = event.access_erased
        yield Buried(Grave(ACCESS, gone.credential, at_s), gone.left)
    elif fact == "tenant_erased":
        shredded = event.tenant_erased
        yield Buried(Grave(TENANT, shredded.tenant, at_s), shredded.left)


def blobs_in(payload: bytes) -> list[str]:
    """The blobs that an event of ingest says are durable and have an owner."""
    event = IngestEvent.FromString(payload)
    if event.WhichOneof("fact") != "recording_stored":
        return []
    return list(event.recording_stored.blobs)
