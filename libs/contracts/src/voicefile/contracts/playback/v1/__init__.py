"""Generated from proto/voicefile/contracts/playback/v1/playback.proto; never edited."""

from voicefile.contracts.playback.v1.playback_pb2 import (
    ListeningEnded,
    PlaybackEvent,
)

__all__ = [
    "ListeningEnded",
    "PlaybackEvent",
]
