"""What is kept about erasing: requests that wait for a second person; tenants that are no more."""

from msgspec import Struct

from voicefile.docstore.port import Collection, Index

ERASURES = Collection("erasures", indexes=(Index("expires", "expires_at_s"),), passing=True)
"""What one person asked to have erased, and another has not confirmed yet. Document id: random."""
SHREDDED = Collection("shredded")
"""Tenants that are no more. Document id: the tenant; the platform's document."""

COLLECTIONS = (ERASURES, SHREDDED)


class ErasureAsked(Struct, frozen=True, omit_defaults=True):
    """One person wants something erased before its time."""

    what: str
    """recording, customer or tenant."""
    object: str
    """The recording's, the credential's or the tenant's id."""
    asked_by: str
    """The principal; another one has to confirm."""
    asked_at_s: int
    expires_at_s: int
    purpose: int
    mac: bytes = b""


class ReceiptKeyLeft(Struct, frozen=True):
    """The public half of a key whose secret half is destroyed: what it signed can be checked."""

    id: str
    public: bytes


class Shredded(Struct, frozen=True, omit_defaults=True):
    """What is kept of a tenant that is no more."""

    receipt_keys: tuple[ReceiptKeyLeft, ...]
    certificate: str
    shredded_on: str
    mac: bytes = b""
