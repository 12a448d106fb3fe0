"""Candidates: the credential an access ID may belong to, or a decoy that fits nobody.

An unknown ID goes the same way as a known one: as many reads, a record to believe, a slow hash
to compare. The decoy belongs to the platform and no PIN fits it.
"""

import secrets
from dataclasses import dataclass

from voicefile.auth.listening import access_deeds
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import (
    Access,
    CredentialState,
    LetterState,
    Slip,
    Subject,
)
from voicefile.auth.throttling.verifiers import SALT_BYTES
from voicefile.crypto.errors import Tampered
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.primitives import hmac_sha512
from voicefile.docstore.port import Document
from voicefile.identity.ids import ID_BYTES, PLATFORM

OPEN_STATES = frozenset({CredentialState.ISSUED, CredentialState.ACTIVE})
VERIFIER_BYTES = 32


@dataclass(frozen=True)
class Candidate:
    """What a PIN is compared with."""

    stored: Stored[Access]
    real: bool
    """False: the decoy."""
    open: bool
    """Whether the credential's and the tenant's state let anybody in."""

    @property
    def tenant(self) -> str:
        return self.stored.tenant


async def candidate(ports: Ports, locator: str, *, request_id: str) -> Candidate:
    """The credential of the locator, or the decoy."""
    claim = await ports.directory.lookup(locator)
    tenant, credential = claim or (PLATFORM, await _decoy_id(ports, locator))
    try:
        stored = await ports.access.of(tenant).get(credential)
        tenant_open = await is_tenant_open(ports, tenant)
    except Tampered:
        await ports.deeds.record(access_deeds.integrity_failed(tenant, credential, request_id))
        stored, tenant_open = None, False
    if stored is None or stored.record.locator != locator:
        # No claim, a claim nothing came of, or a directory entry that was bent to another's.
        return Candidate(await _decoy(ports, locator), real=False, open=False)
    return Candidate(stored, real=True, open=tenant_open and stored.record.state in OPEN_STATES)


async def is_tenant_open(ports: Ports, tenant: str) -> bool:
    """Whether the tenant is there and open. Raises Tampered."""
    found = await ports.tenants.of(tenant).get(tenant)
    return found is not None and found.record.open


async def _decoy_id(ports: Ports, locator: str) -> str:
    return (await _tag(ports, b"decoy-id\x00", locator))[:ID_BYTES].hex()


async def _decoy(ports: Ports, locator: str) -> Stored[Access]:
    """Believed like any other; the salt is the ID's own, so nothing can be worked out ahead."""
    decoy_id = await _decoy_id(ports, locator)
    identity = await ports.custody.identity(PLATFORM)
    record = Access(
        partner="",
        state=CredentialState.REVOKED,
        letter=LetterState.WANTED,
        pin_salt=(await _tag(ports, b"decoy-salt\x00", locator))[:SALT_BYTES],
        pin_verifier=secrets.token_bytes(VERIFIER_BYTES),
        pepper=identity.id,
        issued_on="",
        locator=locator,
        subject=Subject(id=decoy_id, key=Slip("", b""), fields={}),
        question=None,
        tokens=(),
        recordings=(),
    )
    body = await ports.access.body_of(record, tenant=PLATFORM, document_id=decoy_id)
    return await ports.access.believe(Document(decoy_id, PLATFORM, body))


async def _tag(ports: Ports, label: bytes, locator: str) -> bytes:
    platform = await ports.custody.identity(PLATFORM)
    return hmac_sha512(platform.derive(Purpose.PIN_PEPPER), label + locator.encode())
