"""Record MACs: what decides access is bound to its tenant and its place, whoever can write it.

Somebody who can write the database but holds no key can neither put another's verifier, slip or
blob into a document, nor move a document to another id, nor invent one. The MAC names the
identity key version it was made with, so that rotation reaches a document at its next write.
"""

import hmac
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from voicefile.crypto.errors import Tampered
from voicefile.crypto.keyring import IdentityKey, Purpose
from voicefile.crypto.primitives import hmac_sha512
from voicefile.docstore.port import Value

MAC_BYTES = 32
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


class Stamped(Protocol):
    """A record that carries its own MAC."""

    @property
    def mac(self) -> bytes: ...


R = TypeVar("R", bound=Stamped)


@dataclass(frozen=True)
class Place:
    """Where a record belongs: kind of document, tenant, document id."""

    kind: str
    tenant: str
    id: str


def seal_record(record: R, *, place: Place, identity: IdentityKey) -> R:
    """The record with the MAC it needs to be believed when it is read again."""
    stamp = identity.id.encode() + b":" + _tag(_encoded(record), place, identity)
    return _with_mac(record, stamp)


def sealed_body(record: Stamped, *, place: Place, identity: IdentityKey) -> dict[str, Value]:
    """The sealed record as a document holds it: plain dicts and lists, bytes left alone."""
    encoded = _encoded(record)
    # What the MAC is over and what is stored are the same bytes, encoded once.
    body: dict[str, Value] = msgspec.msgpack.decode(encoded)
    return body | {"mac": identity.id.encode() + b":" + _tag(encoded, place, identity)}


def check_record(record: Stamped, *, place: Place, identity: IdentityKey) -> None:
    """Raises Tampered unless exactly this record was sealed for exactly this place."""
    expected = identity.id.encode() + b":" + _tag(_encoded(record), place, identity)
    if not hmac.compare_digest(expected, record.mac):
        raise Tampered(f"the {place.kind} record does not carry its MAC")


def identity_version(record: Stamped) -> str:
    """The identity key version that the record says it was sealed with: a claim until checked."""
    return record.mac[: -MAC_BYTES - 1].decode("ascii", errors="replace")


def _encoded(record: Stamped) -> bytes:
    # Defaults are left out of the encoding, so a field added later leaves old MACs valid.
    return _ENCODER.encode(_with_mac(record, b""))


def _tag(encoded: bytes, place: Place, identity: IdentityKey) -> bytes:
    parts = (place.kind.encode(), place.tenant.encode(), place.id.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (*parts, encoded))
    return hmac_sha512(identity.derive(Purpose.RECORD_MAC), message)[:MAC_BYTES]


def _with_mac(record: R, mac: bytes) -> R:
    replaced: R = msgspec.structs.replace(record, mac=mac)  # type: ignore[type-var]  # a Struct
    return replaced
