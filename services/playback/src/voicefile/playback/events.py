"""Playback's facts as they travel: the one place that knows the wire form."""

from voicefile.contracts.deed.v1 import Deed
from voicefile.contracts.playback.v1 import ListeningEnded, PlaybackEvent

TOPIC = "voicefile.playback.v1"


def wrap(event_id: str, deed: Deed, fact: ListeningEnded | None) -> bytes:
    """One event of playback's topic."""
    event = PlaybackEvent(event_id=event_id, deed=deed)
    if fact is not None:
        event.listening_ended.CopyFrom(fact)
    return event.SerializeToString()
