"""The reference of a legal hold: whatever it says to its keepers, it is sealed like all details."""

from voicefile.auth.keys.custody import Custody
from voicefile.auth.padding import padded, unpadded
from voicefile.auth.store import Recording
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, seal_field

BLOCK_BYTES = 64


async def sealed_reference(
    recording: Recording, reference: str, *, tenant: str, custody: Custody
) -> bytes:
    """VFE1 kind 3, role hold, under the recording's data key: it goes when the recording goes."""
    key = await custody.slip_key(tenant, recording.id, recording.slip)
    content = padded(reference.encode(), block_bytes=BLOCK_BYTES)
    return seal_field(key, _context(custody, tenant, recording.id), content)


async def hold_reference(recording: Recording, *, tenant: str, custody: Custody) -> str:
    """What its keepers call it; empty if nothing holds it. Raises Tampered, EpochGone."""
    if recording.hold is None:
        return ""
    key = await custody.slip_key(tenant, recording.id, recording.slip)
    content = open_field(key, _context(custody, tenant, recording.id), recording.hold.reference)
    return unpadded(content).decode()


def _context(custody: Custody, tenant: str, recording: str) -> Context:
    return Context(custody.deployment, tenant, object_id(recording, "hold"), Kind.FIELD)
