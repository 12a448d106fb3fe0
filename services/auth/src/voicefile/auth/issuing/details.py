"""A recording's details: what is personal or telling about it, sealed under its data key."""

import msgspec

from voicefile.auth.padding import padded, unpadded
from voicefile.auth.store import RecordingDetails
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, seal_field
from voicefile.crypto.secret import DataKey

BLOCK_BYTES = 1024


def seal_details(
    details: RecordingDetails, key: DataKey, *, deployment: bytes, tenant: str, recording: str
) -> bytes:
    """VFE1 kind 3, role metadata."""
    content = padded(msgspec.msgpack.encode(details), block_bytes=BLOCK_BYTES)
    return seal_field(key, _context(deployment, tenant, recording), content)


def open_details(
    sealed: bytes, key: DataKey, *, deployment: bytes, tenant: str, recording: str
) -> RecordingDetails:
    """What `seal_details` sealed for this recording. Raises Tampered."""
    content = unpadded(open_field(key, _context(deployment, tenant, recording), sealed))
    return msgspec.msgpack.decode(content, type=RecordingDetails)


def _context(deployment: bytes, tenant: str, recording: str) -> Context:
    return Context(deployment, tenant, object_id(recording, "metadata"), Kind.FIELD)
