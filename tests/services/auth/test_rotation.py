"""Rotation: everything alive moves on, everything erased stays behind, killed anywhere or not."""

import asyncio
import dataclasses

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from tests.services.auth.dying import Dying, Killed
from tests.services.auth.issuing_world import STARTED_S, Clock, Upload, an_auth, slug

from voicefile.auth.issuing.customer import open_customer
from voicefile.auth.keys.custody import Custody
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.records import access_documents
from voicefile.auth.store import ACCESS, TENANTS, RecordingState, Slip
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.crypto.errors import EpochGone, UnknownKey
from voicefile.crypto.keyring import EPOCH_LIFE_MAX_S, EpochState
from voicefile.crypto.rootkey import VersionGone
from voicefile.docstore.port import Document, VersionConflict


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


async def filed(vault, partner, count=3):
    uploads = [Upload(partner) for _ in range(count)]
    for upload in uploads:
        await vault.issue(partner, upload)
    return uploads


async def rotated(vault):
    """A whole rotation: the period ends, and the grace passes."""
    vault.clock.s += vault.settings.epoch_max_s
    await rotate(vault.ports)
    vault.clock.s += vault.settings.epoch_grace_s + 1
    return await rotate(vault.ports)


async def opens(vault, upload):
    stored = await vault.credential(upload.partner, upload.recording)
    (recording,) = stored.record.recordings
    tenant = upload.partner.tenant
    key = await vault.custody.slip_key(tenant, upload.recording, recording.slip)
    customer = await open_customer(stored.record.subject, custody=vault.custody, tenant=tenant)
    return key == upload.key and customer.fields["name"] == "Erika Mustermann-Kanari"


async def test_nothing_happens_before_it_is_due(vault, partner):
    await filed(vault, partner, 1)
    vault.clock.s += vault.settings.epoch_max_s - 1
    done = await rotate(vault.ports)
    assert (done.epochs_opened, done.documents_rewrapped, done.epochs_destroyed) == (0, 0, 0)
    assert len(await vault.root.versions()) == 2


async def test_what_lives_moves_on_and_the_old_keys_are_gone(vault, partner):
    uploads = await filed(vault, partner)
    before = await vault.custody.namespace(partner.tenant)
    old = before.current_epoch
    await rotated(vault)
    after = await vault.custody.namespace(partner.tenant)
    assert after.current_epoch.id != old.id
    assert after.epoch(old.id).state is EpochState.DESTROYED
    assert old.root_version not in await vault.root.versions()
    assert [await opens(vault, upload) for upload in uploads] == [True] * 3
    assert await vault.docs.find(ACCESS, "epoch", old.id) == []
    with pytest.raises(VersionGone):
        await vault.root.unwrap(old.root_version, old.wrapped_key, context=b"")


async def test_no_epoch_outlives_its_seven_days(vault, partner):
    uploads = await filed(vault, partner, 1)
    for _ in range(5):
        await rotated(vault)
        namespace = await vault.custody.namespace(partner.tenant)
        assert not any(epoch.is_overdue(vault.clock()) for epoch in namespace.epochs)
    assert await opens(vault, uploads[0])
    assert vault.clock() - STARTED_S > 4 * EPOCH_LIFE_MAX_S
    assert len((await the_deployment(vault.ports)).record.periods) == 1


async def test_a_slip_that_was_erased_stays_behind(vault, partner):
    (upload,) = await filed(vault, partner, 1)
    stored = await vault.credential(partner, upload.recording)
    (recording,) = stored.record.recordings
    kept_in_some_backup = recording.slip
    erased = replace(recording, state=RecordingState.ERASED, slip=Slip("", b""), details=b"")
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=(erased,))
    )
    await rotated(vault)
    with pytest.raises((EpochGone, UnknownKey)):
        await vault.custody.slip_key(partner.tenant, upload.recording, kept_in_some_backup)


async def test_the_grace_is_waited_for(vault, partner):
    await filed(vault, partner, 1)
    vault.clock.s += vault.settings.epoch_max_s
    first = await rotate(vault.ports)
    assert (first.epochs_opened, first.documents_rewrapped, first.epochs_destroyed) == (1, 1, 0)
    assert (await rotate(vault.ports)).epochs_destroyed == 0
    vault.clock.s += vault.settings.epoch_grace_s + 1
    assert (await rotate(vault.ports)).epochs_destroyed == 1


async def test_an_instance_that_still_holds_the_old_epoch_loses_nothing(vault, partner):
    late = Custody(vault.root, vault.docs, deployment="test")
    await late.epoch(partner.tenant)
    vault.clock.s += vault.settings.epoch_max_s
    await rotate(vault.ports)
    # Only now does the other instance write, under what it believes to be the open epoch.
    (upload,) = await filed(vault, partner, 1)
    stored = await vault.credential(partner, upload.recording)
    slip = await late.wrap_data_key(partner.tenant, upload.recording, upload.key)
    (recording,) = stored.record.recordings
    assert slip.epoch != recording.slip.epoch
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=(replace(recording, slip=slip),))
    )
    vault.clock.s += vault.settings.epoch_grace_s + 1
    last = await rotate(vault.ports)
    assert (last.documents_rewrapped, last.epochs_destroyed) == (1, 1)
    assert await opens(vault, upload)


async def test_issuing_goes_on_while_keys_turn(vault, partner):
    vault.clock.s += vault.settings.epoch_max_s
    uploads = [await vault.prepared(Upload(partner)) for _ in range(6)]
    answers = await asyncio.gather(*(vault.ask(upload) for upload in uploads), rotate(vault.ports))
    assert {answer.status_code for answer in answers[:-1]} == {201}
    vault.clock.s += vault.settings.epoch_grace_s + 1
    await rotate(vault.ports)
    assert [await opens(vault, upload) for upload in uploads] == [True] * 6


async def test_a_key_sealed_to_the_retired_epoch_is_taken_until_it_is_destroyed(vault, partner):
    early, late = [await vault.prepared(Upload(partner)) for _ in range(2)]
    vault.clock.s += vault.settings.epoch_max_s
    await rotate(vault.ports)
    assert (await vault.ask(early)).status_code == 201
    assert await opens(vault, early)
    vault.clock.s += vault.settings.epoch_grace_s + 1
    await rotate(vault.ports)
    refused = await vault.ask(late)
    assert (refused.status_code, slug(refused)) == (409, "epoch-retired")
    assert (await vault.ask(await vault.prepared(late))).status_code == 201


async def test_the_new_key_is_published_and_both_ends_are_deeds(vault, partner):
    await filed(vault, partner, 1)
    await rotated(vault)
    namespace = await vault.custody.namespace(partner.tenant)
    facts = [
        event.tenant_published
        for event in await vault.events()
        if event.HasField("tenant_published")
    ]
    newest = max(facts, key=lambda fact: fact.version)
    assert newest.epoch == namespace.current_epoch.id
    assert newest.sealing_key == namespace.current_epoch.sealing_public
    assert len(await vault.deeds("EPOCH_OPENED")) == len(await vault.deeds("EPOCH_DESTROYED")) == 1


async def test_two_instances_rotate_at_once(vault, partner):
    uploads = await filed(vault, partner)
    vault.clock.s += vault.settings.epoch_max_s
    await asyncio.gather(*(rotate(vault.ports) for _ in range(3)))
    vault.clock.s += vault.settings.epoch_grace_s + 1
    await asyncio.gather(*(rotate(vault.ports) for _ in range(3)), return_exceptions=True)
    await rotate(vault.ports)
    assert [await opens(vault, upload) for upload in uploads] == [True] * 3
    assert len(await vault.root.versions()) == 2
    assert len(await vault.deeds("EPOCH_OPENED")) == 1


async def test_a_tenant_opened_while_keys_turn_is_not_lost(vault, partner):
    vault.clock.s += vault.settings.epoch_max_s
    _, tenant = await asyncio.gather(
        rotate(vault.ports), vault.tenant("borealis.example"), return_exceptions=False
    )
    vault.clock.s += vault.settings.epoch_grace_s + 1
    for _ in range(2):
        await rotate(vault.ports)
    (upload,) = await filed(vault, await vault.partner(tenant), 1)
    assert await opens(vault, upload)


async def forged(vault, upload, pin_of):
    """Somebody who can write the database gives a letter another letter's PIN."""
    found = await vault.credential(upload.partner, upload.recording)
    other = await vault.credential(pin_of.partner, pin_of.recording)
    body = dict(found.document.body) | {"pin_verifier": other.record.pin_verifier}
    await vault.docs.replace(ACCESS, dataclasses.replace(found.document, body=body))
    return found


async def restored(vault, found):
    """The document as it was, out of a backup."""
    newest = await vault.docs.get(ACCESS, found.id)
    document = dataclasses.replace(found.document, version=newest.version)
    await vault.docs.replace(ACCESS, document)


async def rewrapped(vault, uploads):
    """Whether each can be opened and hangs on its tenant's newest epoch."""
    for upload in uploads:
        newest = (await vault.custody.namespace(upload.partner.tenant)).current_epoch.id
        stored = await vault.credential(upload.partner, upload.recording)
        slips = {stored.record.subject.key.epoch, *(r.slip.epoch for r in stored.record.recordings)}
        if slips != {newest} or not await opens(vault, upload):
            return False
    return True


async def test_a_forged_record_keeps_nothing_but_its_own_period(vault, partner):
    neighbour = await vault.partner(await vault.tenant("borealis.example"))
    *kept, changed = await filed(vault, partner, 4)
    theirs = await filed(vault, neighbour, 2)
    found = await forged(vault, changed, pin_of=kept[0])
    first = found.record.subject.key.epoch
    version = (await vault.custody.namespace(partner.tenant)).epoch(first).root_version
    await rotated(vault)
    # All that can be believed has moved on; what the forged record wraps is not lost.
    assert await rewrapped(vault, [*kept, *theirs])
    assert version in await vault.root.versions()
    assert forged_records_in_the_way() == 1

    second = (await vault.custody.namespace(partner.tenant)).current_epoch.root_version
    await rotated(vault)
    await rotate(vault.ports)
    assert await rewrapped(vault, [*kept, *theirs])
    assert version in await vault.root.versions()
    assert second not in await vault.root.versions()
    (deed,) = await vault.deeds("INTEGRITY_FAILED")
    assert (deed.tenant, deed.object_id) == (partner.tenant, found.id)

    await restored(vault, found)
    done = await rotate(vault.ports)
    assert done.epochs_destroyed == 2
    assert version not in await vault.root.versions()
    assert await rewrapped(vault, [*kept, *theirs, changed])
    assert forged_records_in_the_way() == 0


async def test_a_forged_tenant_holds_up_nobody_else(vault, partner):
    neighbour = await vault.partner(await vault.tenant("borealis.example"))
    theirs = await filed(vault, neighbour, 2)
    document = await vault.docs.get(TENANTS, partner.tenant)
    body = dict(document.body) | {"open": False}
    await vault.docs.replace(TENANTS, dataclasses.replace(document, body=body))
    versions = await vault.root.versions()
    await rotated(vault)
    assert await rewrapped(vault, theirs)
    assert set(versions) <= set(await vault.root.versions())
    assert forged_records_in_the_way() == 1
    (deed,) = await vault.deeds("INTEGRITY_FAILED")
    assert (deed.tenant, deed.object_id) == (partner.tenant, partner.tenant)


async def test_a_document_among_the_tenants_that_names_another_holds_up_nobody(vault, partner):
    uploads = await filed(vault, partner, 1)
    await vault.docs.insert(TENANTS, Document("ab" * 16, partner.tenant, {}))
    await rotated(vault)
    assert await rewrapped(vault, uploads)
    (deed,) = await vault.deeds("INTEGRITY_FAILED")
    assert deed.object_id == "ab" * 16


async def test_a_slip_that_does_not_open_counts_as_forged(vault, partner):
    *kept, changed = await filed(vault, partner, 3)
    stored = await vault.credential(partner, changed.recording)
    (recording,) = stored.record.recordings
    slip = Slip(recording.slip.epoch, bytes(len(recording.slip.sealed)))
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=(replace(recording, slip=slip),))
    )
    await rotated(vault)
    assert await rewrapped(vault, kept)
    (deed,) = await vault.deeds("INTEGRITY_FAILED")
    assert deed.object_id == stored.id


async def test_blob_names_planted_in_another_document_hold_up_nothing(vault, partner):
    """They stand beside the record, outside its MAC, and a unique index watches over them."""
    uploads = await filed(vault, partner, 2)
    robbed, richer = sorted(
        [await vault.credential(partner, each.recording) for each in uploads], key=lambda s: s.id
    )
    names = robbed.document.body["blob_names"]
    for found, planted in ((robbed, []), (richer, [*richer.document.body["blob_names"], *names])):
        body = dict(found.document.body) | {"blob_names": planted}
        await vault.docs.replace(ACCESS, dataclasses.replace(found.document, body=body))
    vault.clock.s += vault.settings.epoch_max_s
    assert (await rotate(vault.ports)).documents_rewrapped == 1
    assert forged_records_in_the_way() == 1
    # The other one was written anew, with its own names alone.
    vault.clock.s += vault.settings.epoch_grace_s + 1
    assert (await rotate(vault.ports)).epochs_destroyed == 1
    assert await rewrapped(vault, uploads)
    assert forged_records_in_the_way() == 0


def forged_records_in_the_way():
    return REGISTRY.get_sample_value("voicefile_forged_records_in_the_way")


async def test_killed_at_every_step_it_is_taken_up_again(tmp_path):
    """Runs rotation to its end again and again, killed one change later each time."""
    clock = Clock()
    async with an_auth(tmp_path, clock=clock) as world:
        partner = await world.partner(await world.tenant())
        uploads = await filed(world, partner)
    kills = survived = 0
    for life in range(1, 40):
        clock.s += 6 * 86_400
        killed = await _killed_after(tmp_path, clock, life)
        kills += killed
        survived += not killed
        async with an_auth(tmp_path, clock=clock) as world:
            await rotate(world.ports)
            clock.s += world.settings.epoch_grace_s + 1
            await rotate(world.ports)
            assert [await opens(world, upload) for upload in uploads] == [True] * 3
            namespace = await world.custody.namespace(partner.tenant)
            living = [e for e in namespace.epochs if e.state is not EpochState.DESTROYED]
            assert len(living) == 1
        if survived:
            break
    assert kills > 5
    assert survived == 1


async def _killed_after(directory, clock, life):
    """Whether a rotation was killed at its `life`-th change."""
    lives = [0]
    async with an_auth(
        directory,
        clock=clock,
        wrap_store=lambda docs: Dying(docs, lives),
        wrap_root=lambda root: Dying(root, lives),
    ) as world:
        lives[0] = life
        try:
            await rotate(world.ports)
            clock.s += world.settings.epoch_grace_s + 1
            await rotate(world.ports)
        except (Killed, BaseExceptionGroup):
            return True
        return False


async def test_a_lost_race_in_the_middle_is_made_up_for(vault, partner):
    uploads = await filed(vault, partner)
    refused = []

    class Contended:
        """Somebody else is always faster, once per document."""

        def __getattr__(self, name):
            return getattr(vault.docs, name)

        async def replace_many(self, collection, documents, **more):
            lost = [each for each in documents if each.id not in refused]
            refused.extend(each.id for each in lost)
            rest = [each for each in documents if each not in lost]
            return [VersionConflict() for _ in lost] + await vault.docs.replace_many(
                collection, rest, **more
            )

    contended = dataclasses.replace(
        vault.ports, access=access_documents(Contended(), vault.custody)
    )
    vault.clock.s += vault.settings.epoch_max_s
    assert (await rotate(contended)).documents_rewrapped == 0
    vault.clock.s += vault.settings.epoch_grace_s + 1
    assert (await rotate(contended)).documents_rewrapped == 3
    assert [await opens(vault, upload) for upload in uploads] == [True] * 3
