"""Everything a tenant has sealed, taken from the real stores, and trying it with wrong claims."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from tests.isolation.world import Filed, Home

from voicefile.auth.issuing.answers import _key as answer_key
from voicefile.auth.ports import Ports
from voicefile.blobstore.port import BlobName, BlobStore
from voicefile.blobstore.sealed import SealedBlob
from voicefile.crypto.envelope import Context, Kind, object_id, open_field, unwrap
from voicefile.crypto.secret import SecretKey, SecretText

PARTS = ("key", "tenant", "id", "role", "wrapping")


@dataclass(frozen=True)
class Claim:
    """What somebody who opens a thing says it is."""

    key: SecretKey = field(repr=False)
    tenant: str
    id: str
    role: str
    wrapping: bytes | None = None


@dataclass(frozen=True)
class Sealed:
    """A sealed thing as it lies in a store, and the one claim that opens it."""

    claim: Claim
    kind: Kind
    content: bytes | BlobName = field(repr=False)

    async def opened(self, claim: Claim, *, deployment: bytes, blobs: BlobStore) -> bytes:
        """Its content, or the first of it. Raises Tampered."""
        name = object_id(claim.id, claim.role)
        context = Context(deployment, claim.tenant, name, self.kind, claim.wrapping)
        if isinstance(self.content, str):
            return await (await SealedBlob.open(blobs, self.content, claim.key, context)).read(0, 1)
        if self.kind is Kind.WRAPPED_KEY:
            return unwrap(self.content, under=claim.key, context=context).expose()
        return open_field(claim.key, context, self.content)


async def sealed_things(home: Home, ports: Ports) -> list[Sealed]:
    """All of a tenant's: slips, subject keys, customer fields, details, kept answers, blobs."""
    return [thing for filed in home.filed async for thing in _of(filed, home.id, ports)]


async def _of(filed: Filed, tenant: str, ports: Ports) -> AsyncIterator[Sealed]:
    stored = await ports.access.of(tenant).get(filed.credential)
    assert stored is not None
    custody, subject = ports.custody, stored.record.subject
    recording = next(each for each in stored.record.recordings if each.id == filed.recording)
    for slip, owner, role in (
        (recording.slip, recording.id, "slip"),
        (subject.key, subject.id, "key"),
    ):
        epoch = await custody.epoch(tenant, slip.epoch)
        claim = Claim(epoch._key, tenant, owner, role, epoch.id.encode())
        yield Sealed(claim, Kind.WRAPPED_KEY, slip.sealed)
    subject_key = await custody.subject_key(tenant, subject)
    for name, sealed in subject.fields.items():
        yield Sealed(Claim(subject_key, tenant, subject.id, name), Kind.FIELD, sealed)
    data_key = await custody.slip_key(tenant, recording.id, recording.slip)
    yield Sealed(Claim(data_key, tenant, recording.id, "metadata"), Kind.FIELD, recording.details)
    if recording.answer is not None:
        identity = await custody.identity(tenant)
        key = answer_key(identity, SecretText(filed.key), recording.partner)
        sealed = recording.answer.sealed
        yield Sealed(Claim(key, tenant, recording.id, "answer"), Kind.FIELD, sealed)
    for role, blob in recording.blobs.items():
        claim = Claim(data_key, tenant, recording.id, role)
        yield Sealed(claim, Kind.AUDIO, BlobName(blob.name))


def mixed(attacker: Sealed, target: Sealed, chance: random.Random) -> Claim:
    """The target's claim with some parts, one at least that always differs, of the attacker's."""
    taken = {part for part in PARTS if chance.random() < 0.5} or {"key", "tenant"}
    taken.add(chance.choice(("key", "tenant", "id")))
    return replace(target.claim, **{part: getattr(attacker.claim, part) for part in taken})
