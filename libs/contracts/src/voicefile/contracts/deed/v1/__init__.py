"""Generated from proto/voicefile/contracts/deed/v1/deed.proto; never edited."""

from voicefile.contracts.deed.v1.deed_pb2 import (
    Action,
    Deed,
    Event,
    Outcome,
    Purpose,
    Role,
)

__all__ = [
    "Action",
    "Deed",
    "Event",
    "Outcome",
    "Purpose",
    "Role",
]
