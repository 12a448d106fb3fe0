"""Ids: 128 random bits as 32 hexadecimal digits, never a counter, never a time.

A value that names a person and one that names a recording never share bits, so two stores
laid side by side join on nothing.
"""

import secrets
from typing import NewType

TenantId = NewType("TenantId", str)
PrincipalId = NewType("PrincipalId", str)
RecordingId = NewType("RecordingId", str)
CredentialId = NewType("CredentialId", str)
SubjectId = NewType("SubjectId", str)
SessionId = NewType("SessionId", str)
ReleaseId = NewType("ReleaseId", str)

ID_BYTES = 16
PLATFORM = TenantId("")
"""The tenant of what belongs to no tenant: the directory, the platform's own deeds."""


def new_id() -> str:
    """32 hexadecimal digits from the operating system's random source."""
    return secrets.token_hex(ID_BYTES)
