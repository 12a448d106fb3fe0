"""Left: what goes with a tombstone, so that an older backup that is restored knows what came of it.

Auth tells it with the erasure, backup carries it to the targets unread, and a restore puts it where
the erased thing was: the certificate comes back, and the thing does not. It holds what is kept in
the vault itself: random ids, days and certificates. Each carries a MAC of its own, for it comes
back through hands that might have put something else there.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from voicefile.auth.erasing.remains import without_locator
from voicefile.auth.seal_record import Place, check_record, identity_version, seal_record
from voicefile.auth.store import Access, Recording
from voicefile.crypto.errors import Tampered, UnknownKey
from voicefile.crypto.keyring import IdentityKey

_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode


class RecordingLeft(Struct, frozen=True, omit_defaults=True):
    """An erased recording as its access document keeps it."""

    tenant: str
    recording: Recording
    mac: bytes = b""

    @property
    def place(self) -> Place:
        return Place("left/recording", self.tenant, self.recording.id)


class CustomerLeft(Struct, frozen=True, omit_defaults=True):
    """An erased customer's access document. Certificates that are told apart are not in it."""

    tenant: str
    credential: str
    access: Access
    mac: bytes = b""

    @property
    def place(self) -> Place:
        return Place("left/customer", self.tenant, self.credential)


L = TypeVar("L", RecordingLeft, CustomerLeft)


def of_recording(remains: Recording, *, tenant: str, identity: IdentityKey) -> bytes:
    """What goes with a recording's tombstone."""
    left = RecordingLeft(tenant, remains)
    return _encode(seal_record(left, place=left.place, identity=identity))


def of_customer(
    access: Access, *, apart: Sequence[str], tenant: str, credential: str, identity: IdentityKey
) -> bytes:
    """What goes with a customer's tombstone.

    Recordings that are told of `apart` bring their own certificates: together they could be more
    than an event may hold.
    """
    recordings = tuple(
        replace(each, certificate="") if each.id in apart else each for each in access.recordings
    )
    access = replace(without_locator(access), recordings=recordings, mac=b"")
    left = CustomerLeft(tenant, credential, access)
    return _encode(seal_record(left, place=left.place, identity=identity))


def read(content: bytes, kind: type[L]) -> L:
    """As it says it is; nothing of it is believed yet. Raises Tampered."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError:
        raise Tampered("not what is left of something") from None


def claimed_identity(left: RecordingLeft | CustomerLeft) -> str:
    """Which version of the tenant's identity key it says its MAC is of."""
    return identity_version(left)


def believe(left: RecordingLeft | CustomerLeft, *, identity: IdentityKey) -> None:
    """Raises Tampered unless auth told exactly this."""
    check_record(left, place=left.place, identity=identity)


UNBELIEVED: Final = (Tampered, UnknownKey)
"""What says that somebody else told it, or that its tenant is not there."""
