"""Generated from proto/voicefile/contracts/ingest/v1/ingest.proto; never edited."""

from voicefile.contracts.ingest.v1.ingest_pb2 import (
    IngestEvent,
    RecordingStored,
)

__all__ = [
    "IngestEvent",
    "RecordingStored",
]
