"""Generated from proto/voicefile/contracts/auth/v1/auth.proto; never edited."""

from voicefile.contracts.auth.v1.auth_pb2 import (
    AuthEvent,
    LetterState,
    RecordingChanged,
    RecordingIssued,
    RecordingState,
    Scope,
    TenantPublished,
)

__all__ = [
    "AuthEvent",
    "LetterState",
    "RecordingChanged",
    "RecordingIssued",
    "RecordingState",
    "Scope",
    "TenantPublished",
]
