"""Sealed things across tenants: whatever of one tenant's is tried on another's, nothing opens."""

import random
from collections import Counter

import pytest
import pytest_asyncio
from tests.isolation.sealed_things import Sealed, mixed, sealed_things

from voicefile.auth.store import Slip
from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.blobstore.port import BlobName
from voicefile.crypto.envelope import object_id
from voicefile.crypto.errors import CryptoError, Tampered
from voicefile.crypto.keyring import slip_context
from voicefile.crypto.primitives import SealingKeyPair, open_sealed, seal_to

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRIES = 30_000
SEED = 20_260_721


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blobs(filled):
    """Copies in memory: each is opened hundreds of times."""
    store, copies = filled.stand.blobs, MemoryBlobStore()
    for filed in (filed for home in filled.homes for filed in home.filed):
        for blob in (blob for each in filed.recordings for blob in each.blobs.values()):
            name = BlobName(blob.name)
            await copies.put(name, store.stream(name, 0, await store.size(name)))
    return copies


@pytest.fixture
def deployment(vault):
    return vault.stand.ports.custody.deployment


async def test_each_opens_as_what_it_is(vault, blobs, deployment):
    for home in vault.homes:
        things = await sealed_things(home, vault.stand.ports)
        assert {"slip", "key", "name", "phone", "metadata", "answer", "original", "telephone"} | {
            "peaks"
        } <= {thing.claim.role for thing in things}
        for thing in things:
            assert await thing.opened(thing.claim, deployment=deployment, blobs=blobs)


async def test_no_mixture_of_two_tenants_opens_anything(vault, blobs, deployment):
    chance = random.Random(SEED)
    of_tenants = [await sealed_things(home, vault.stand.ports) for home in vault.homes]
    refused: Counter[str] = Counter()
    for _ in range(TRIES):
        theirs, ours = chance.sample(of_tenants, 2)
        target: Sealed = chance.choice(theirs)
        attacker = chance.choice([thing for thing in ours if thing.kind is target.kind])
        claim = mixed(attacker, target, chance)
        with pytest.raises(Tampered):
            await target.opened(claim, deployment=deployment, blobs=blobs)
        refused[target.claim.role] += 1
    assert refused.total() == TRIES
    assert min(refused.values()) > TRIES // 100


async def test_two_customers_of_one_tenant_share_no_key_either(vault, blobs, deployment):
    chance = random.Random(SEED)
    for home in vault.homes:
        things = await sealed_things(home, vault.stand.ports)
        for target in things:
            attacker = chance.choice(
                [
                    thing
                    for thing in things
                    if thing.kind is target.kind and thing.claim.id != target.claim.id
                ]
            )
            wrong = [
                mixed(attacker, target, chance),
                # The wrapping key is the tenant's; what is wrapped still names its one object.
                mixed_object(attacker, target),
            ]
            for claim in wrong:
                if claim != target.claim:
                    with pytest.raises(Tampered):
                        await target.opened(claim, deployment=deployment, blobs=blobs)


def mixed_object(attacker: Sealed, target: Sealed):
    return attacker.claim.__class__(
        target.claim.key,
        target.claim.tenant,
        attacker.claim.id,
        target.claim.role,
        target.claim.wrapping,
    )


async def test_custody_opens_no_slip_for_a_tenant_it_is_not_of(vault):
    custody = vault.stand.ports.custody
    for ours in vault.homes:
        own_epoch = (await custody.epoch(ours.id)).id
        for theirs in vault.others(ours):
            for filed in theirs.filed:
                recording = filed.recordings[0]
                subject = filed.stored.record.subject
                for slip in (recording.slip, Slip(own_epoch, recording.slip.sealed)):
                    with pytest.raises(CryptoError):
                        await custody.slip_key(ours.id, recording.id, slip)
                with pytest.raises(CryptoError):
                    await custody.subject_key(ours.id, subject)
                assert await custody.slip_key(theirs.id, recording.id, recording.slip)


async def test_a_box_for_one_tenants_recording_opens_as_no_others(vault, deployment):
    instance = SealingKeyPair.generate()
    ours, theirs, _ = vault.homes
    custody = vault.stand.ports.custody

    def context(home, filed):
        name = object_id(filed.recording, "slip")
        return slip_context(deployment, home.id, name, "release").encode()

    slip = theirs.main.recordings[0].slip
    key = await custody.slip_key(theirs.id, theirs.main.recording, slip)
    box = seal_to(instance.public, context(theirs, theirs.main), key)
    assert open_sealed(instance, box, context(theirs, theirs.main)).expose() == key.expose()
    for home, filed in ((ours, theirs.main), (theirs, ours.main), (theirs, theirs.neighbour)):
        with pytest.raises(Tampered):
            open_sealed(instance, box, context(home, filed))
