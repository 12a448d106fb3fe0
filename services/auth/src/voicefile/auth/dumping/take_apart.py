"""What a dump holds of auth's records, and what a key backup does: neither opens without the other.

A dump may be kept for years, a key backup for 28 days. So of a customer a dump holds two random
ids, and all the rest (the verifiers, the question, the index tokens, the locator, what is sealed
anyway) sealed once more under the subject key; slips, subject keys, epoch keys and answers for
retries are left out. When the subject key is destroyed, what dumps hold of them is noise.

What comes back is believed by its MAC, made with the same keys as those of living records but for
another place: whoever carries a backup can seal to its recipients, but can't make these.
"""

from dataclasses import dataclass
from dataclasses import replace as without_epochs
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from voicefile.auth.seal_record import Place, Stamped, check_record, identity_version, seal_record
from voicefile.auth.store import ACCESS, DEPLOYMENT, TENANTS, Access, Deployment, Slip, Tenant
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.errors import Tampered
from voicefile.crypto.keyring import IdentityKey
from voicefile.crypto.secret import SecretKey
from voicefile.crypto.stream import open_whole, seal
from voicefile.docstore.port import Document

NO_SLIP: Final = Slip("", b"")
"""In place of a key that is elsewhere, or nowhere."""
REMAINS: Final = "remains"
"""The kind of access documents without a key, in a dump."""
_DUMPED: Final = "dumped/"
_ROLE: Final = "dump"
_encode: Final = msgspec.msgpack.Encoder()
_ACCESS: Final = msgspec.msgpack.Decoder(Access)

T = TypeVar("T", bound=Struct)


class DumpedAccess(Struct, frozen=True):
    """An access document in a dump."""

    subject: str
    recordings: tuple[str, ...]
    """Their ids, which tombstones name."""
    sealed: bytes
    """VFE1 kind 4 under the subject key: the access record without its slips and answers."""
    mac: bytes = b""


class AccessKeys(Struct, frozen=True):
    """The slips of one access document in a key backup, as the epoch wrapped them."""

    tenant: str
    credential: str
    subject: str
    subject_slip: Slip
    slips: dict[str, Slip]
    """By recording."""
    mac: bytes = b""


class EpochKeys(Struct, frozen=True):
    """An epoch's key in a key backup: bare, for the segment around it is sealed to recipients."""

    tenant: str
    epoch: str
    key: bytes
    mac: bytes = b""


@dataclass(frozen=True)
class Belongings:
    """Whose document it is, and where it stands."""

    deployment: bytes
    tenant: str
    document: str


def dumped_access(
    access: Access, *, of: Belongings, subject_key: SecretKey, identity: IdentityKey
) -> DumpedAccess:
    """The record as a dump may hold it."""
    bare = replace(
        access,
        subject=replace(access.subject, key=NO_SLIP),
        recordings=tuple(replace(each, slip=NO_SLIP, answer=None) for each in access.recordings),
        mac=b"",
    )
    sealed = seal(subject_key, _context(of, access.subject.id), _encode.encode(bare))
    dumped = DumpedAccess(access.subject.id, tuple(each.id for each in access.recordings), sealed)
    return seal_record(dumped, place=_place(ACCESS.name, of), identity=identity)


def dumped_remains(access: Access, *, of: Belongings, identity: IdentityKey) -> Access:
    """What is kept of a customer whose key is destroyed; nothing there leads to them any more."""
    bare = replace(access, locator="", pin_salt=b"", pin_verifier=b"", pepper="", tokens=())
    return seal_record(bare, place=_place(REMAINS, of), identity=identity)


def opened_access(dumped: DumpedAccess, *, of: Belongings, subject_key: SecretKey) -> Access:
    """The record in it, without its slips. The MAC was checked before. Raises Tampered."""
    plain = open_whole(subject_key, _context(of, dumped.subject), dumped.sealed)
    return _ACCESS.decode(plain)


def access_keys(
    access: Access, *, tenant: str, credential: str, identity: IdentityKey
) -> AccessKeys:
    """The slips of an access document, for a key backup; of what is erased there are none."""
    slips = {each.id: each.slip for each in access.recordings if each.slip.sealed}
    subject = access.subject
    keys = AccessKeys(tenant, credential, subject.id, subject.key, slips)
    return seal_record(keys, place=Place("backup/slips", tenant, credential), identity=identity)


def epoch_keys(tenant: str, epoch: str, key: SecretKey, *, identity: IdentityKey) -> EpochKeys:
    """An epoch's key for a key backup."""
    keys = EpochKeys(tenant, epoch, key.expose())
    return seal_record(keys, place=Place("backup/epochs", tenant, epoch), identity=identity)


def believe_access_keys(keys: AccessKeys, *, identity: IdentityKey) -> None:
    """Raises Tampered unless auth put these slips into a backup of this tenant."""
    place = Place("backup/slips", keys.tenant, keys.credential)
    check_record(keys, place=place, identity=identity)


def believe_epoch_keys(keys: EpochKeys, *, identity: IdentityKey) -> None:
    """Raises Tampered unless auth put this epoch into a backup of this tenant."""
    place = Place("backup/epochs", keys.tenant, keys.epoch)
    check_record(keys, place=place, identity=identity)


def believe_access(dumped: DumpedAccess, *, of: Belongings, identity: IdentityKey) -> None:
    """Raises Tampered unless auth dumped exactly this for exactly this place."""
    check_record(dumped, place=_place(ACCESS.name, of), identity=identity)


def dumped_tenant(tenant: Tenant, *, of: Belongings, identity: IdentityKey) -> Tenant:
    """A tenant without its epochs, which die with their versions of the root."""
    bare = replace(tenant, keys=without_epochs(tenant.keys, epochs=()))
    return seal_record(bare, place=_place(TENANTS.name, of), identity=identity)


def believe(record: Stamped, collection: str, *, of: Belongings, identity: IdentityKey) -> None:
    """Raises Tampered unless auth dumped exactly this record for exactly this place."""
    check_record(record, place=_place(collection, of), identity=identity)


def dumped_deployment(
    deployment: Deployment, *, of: Belongings, identity: IdentityKey
) -> Deployment:
    """What all tenants have in common, without the periods that its epochs hang on."""
    bare = replace(deployment, periods=())
    return seal_record(bare, place=_place(DEPLOYMENT.name, of), identity=identity)


def as_item(record: Struct) -> object:
    """A record as a segment holds it."""
    return msgspec.to_builtins(record, builtin_types=(bytes,))


def from_item(content: object, kind: type[T]) -> T:
    """The record that a segment holds. Raises Tampered if it is none."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError:
        raise Tampered("not a record of this kind") from None


def of_document(document: Document, deployment: bytes) -> Belongings:
    """Where a document stands."""
    return Belongings(deployment, document.tenant, document.id)


def claimed_identity(record: Stamped) -> str:
    """Which identity key the record says its MAC was made with: a claim until checked."""
    return identity_version(record)


def _place(collection: str, of: Belongings) -> Place:
    return Place(_DUMPED + collection, of.tenant, of.document)


def _context(of: Belongings, subject: str) -> Context:
    return Context(of.deployment, of.tenant, object_id(subject, _ROLE), Kind.BACKUP_SEGMENT)
