"""Generated from proto/voicefile/contracts/auth/v1/auth.proto; never edited."""

from voicefile.contracts.auth.v1.auth_pb2 import (
    AccessErased,
    AuthEvent,
    LetterState,
    RecordingChanged,
    RecordingIssued,
    RecordingState,
    Scope,
    TenantErased,
    TenantPublished,
)

__all__ = [
    "AccessErased",
    "AuthEvent",
    "LetterState",
    "RecordingChanged",
    "RecordingIssued",
    "RecordingState",
    "Scope",
    "TenantErased",
    "TenantPublished",
]
