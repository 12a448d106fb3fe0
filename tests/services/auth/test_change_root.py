"""Changing the root key: everything opens before, during and after, also after any kill."""

import dataclasses
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from tests.engines import running
from tests.engines.openbao import OpenBao
from tests.engines.softhsm import SoftHsm
from tests.libs.crypto.test_rootkey_transit import client_of
from tests.libs.crypto.token_process import token_process
from tests.services.auth.dying import Dying, Killed
from tests.services.auth.issuing_world import Clock, Upload, an_auth

from voicefile.auth.issuing.customer import open_customer
from voicefile.auth.keys.change_root import OldRootNeeded, change_root, destroy_old_root
from voicefile.auth.keys.custody import Custody
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.keys.signing_keys import published_keys
from voicefile.auth.store import TENANTS
from voicefile.auth.tenants.open_tenant import the_deployment
from voicefile.crypto.keyring import EpochState, Purpose, rewrap_lasting
from voicefile.crypto.rootkey import VersionGone
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.rootkey_transit import TransitRootKey
from voicefile.crypto.rootkey_two import TwoRootKeys
from voicefile.deeds.deed import Actor
from voicefile.identity.ids import PLATFORM

SERVICE = Actor.service()


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
        assert (await vault.issue(partner, upload)).status_code == 201
    return uploads


async def opens(vault, upload):
    stored = await vault.credential(upload.partner, upload.recording)
    (recording,) = stored.record.recordings
    tenant = upload.partner.tenant
    key = await vault.custody.slip_key(tenant, upload.recording, recording.slip)
    customer = await open_customer(stored.record.subject, custody=vault.custody, tenant=tenant)
    return key == upload.key and customer.fields["name"] == "Erika Mustermann-Kanari"


async def left(vault):
    """The change, the grace, the end of the old epochs, and the end of the old version."""
    done = await change_root(by=SERVICE, ports=vault.ports)
    vault.clock.s += vault.settings.epoch_grace_s + 2
    await rotate(vault.ports)
    return done, await destroy_old_root(by=SERVICE, ports=vault.ports)


async def identities(vault, partner):
    """What identity keys make: it must stay as it is, or nobody signs in any more."""
    return [
        (await vault.custody.identity(tenant)).derive(Purpose.PIN_PEPPER).expose()
        for tenant in (partner.tenant, PLATFORM)
    ]


async def test_everything_hangs_on_new_versions_and_the_old_ones_are_gone(vault, partner):
    uploads = await filed(vault, partner)
    before, keys = await vault.root.versions(), await identities(vault, partner)
    published = await published_keys(partner.tenant, ports=vault.ports)
    old = (await the_deployment(vault.ports)).record.lasting_root
    wrapped = (await vault.custody.namespace(partner.tenant)).identity_version().wrapped
    done, destroyed = await left(vault)
    assert (done.begun, done.tenants_moved, destroyed) == (True, 1, old)
    after = await vault.root.versions()
    assert len(after) == 2
    assert not set(after) & set(before)
    assert [await opens(vault, upload) for upload in uploads] == [True] * 3
    vault.custody.forget(partner.tenant)
    vault.custody.forget(PLATFORM)
    assert await identities(vault, partner) == keys
    assert await published_keys(partner.tenant, ports=vault.ports) == published
    # What some backup kept of the old wrapping is noise.
    with pytest.raises(VersionGone):
        await vault.root.unwrap(old, wrapped.sealed, context=b"")


async def test_each_step_is_a_deed(vault, partner):
    _, destroyed = await left(vault)
    lasting = (await the_deployment(vault.ports)).record.lasting_root
    (changed,) = await vault.deeds("ROOT_CHANGED")
    (moved,) = await vault.deeds("KEYS_REWRAPPED")
    (gone,) = await vault.deeds("ROOT_DESTROYED")
    assert (changed.tenant, changed.object_id) == ("", lasting)
    assert (moved.tenant, moved.object_id) == (partner.tenant, partner.tenant)
    assert (gone.tenant, gone.object_id) == ("", destroyed)


@asynccontextmanager
async def files(tmp_path):
    yield FileRootKey(tmp_path / "new")


@asynccontextmanager
async def a_token(tmp_path):
    running.engine("softhsm")  # skips, and says why, where there is none
    token = SoftHsm(tmp_path / "token")
    token.start()
    async with token_process(token) as root:
        # As `voicefile keys try-other-root` does: from then on what is not in it is gone.
        await root.destroy_version(await root.create_version())
        yield root


@asynccontextmanager
async def a_transit_engine(tmp_path):
    running.engine("openbao")
    engine = OpenBao(tmp_path / "engine", tmp_path / "certificates")
    engine.start()
    try:
        async with client_of(engine) as client:
            yield TransitRootKey(client, mount=engine.mount)
    finally:
        engine.stop()


@pytest.mark.parametrize("another", [files, a_token, a_transit_engine])
async def test_everything_moves_from_one_root_to_another(tmp_path, another):
    """The old root is taken away in the end, with all it holds."""
    async with another(tmp_path) as new:
        await moved_to(new, tmp_path)


async def moved_to(new, tmp_path):
    clock, old = Clock(), FileRootKey(tmp_path / "root")
    async with an_auth(tmp_path, clock=clock) as world:
        partner = await world.partner(await world.tenant())
        uploads = await filed(world, partner)
    async with an_auth(tmp_path, clock=clock, wrap_root=lambda _: TwoRootKeys(new, old)) as world:
        _, destroyed = await left(world)
        assert destroyed
    assert await old.versions() == []
    assert len(await new.versions()) == 2
    async with an_auth(tmp_path, clock=clock, wrap_root=lambda _: new) as world:
        assert [await opens(world, upload) for upload in uploads] == [True] * 3
        (late,) = await filed(world, partner, 1)
        assert await opens(world, late)


async def test_the_old_version_stays_while_anything_may_hang_on_it(vault, partner):
    (upload,) = await filed(vault, partner, 1)
    old = (await the_deployment(vault.ports)).record.lasting_root
    await change_root(by=SERVICE, ports=vault.ports)
    with pytest.raises(OldRootNeeded, match="wait"):
        await destroy_old_root(by=SERVICE, ports=vault.ports)
    vault.clock.s += vault.settings.epoch_grace_s + 2
    with pytest.raises(OldRootNeeded, match="slips"):
        await destroy_old_root(by=SERVICE, ports=vault.ports)
    await rotate(vault.ports)
    # A write of an instance that still believed in the old version comes late.
    stored = await vault.ports.tenants.of(partner.tenant).get(partner.tenant)
    late = await back_under(vault, stored.record, old)
    await vault.ports.tenants.of(partner.tenant).replace(stored, late)
    vault.custody.forget(partner.tenant)
    with pytest.raises(OldRootNeeded, match="hang on it"):
        await destroy_old_root(by=SERVICE, ports=vault.ports)
    again = await change_root(by=SERVICE, ports=vault.ports)
    assert (again.begun, again.tenants_moved) == (False, 1)
    assert await destroy_old_root(by=SERVICE, ports=vault.ports) == old
    assert await opens(vault, upload)


async def back_under(vault, tenant, version):
    keys = await rewrap_lasting(
        vault.root, tenant.keys, deployment=vault.custody.deployment, root_version=version
    )
    return replace(tenant, keys=keys)


async def test_a_forged_tenant_keeps_the_old_version_and_holds_up_nobody(vault, partner):
    neighbour = await vault.partner(await vault.tenant("borealis.example"))
    (theirs,) = await filed(vault, neighbour, 1)
    document = await vault.docs.get(TENANTS, partner.tenant)
    body = dict(document.body) | {"open": False}
    await vault.docs.replace(TENANTS, dataclasses.replace(document, body=body))
    done = await change_root(by=SERVICE, ports=vault.ports)
    assert (done.tenants_moved, done.tenants_forged) == (1, 1)
    vault.clock.s += vault.settings.epoch_grace_s + 2
    await rotate(vault.ports)
    with pytest.raises(OldRootNeeded):
        await destroy_old_root(by=SERVICE, ports=vault.ports)
    assert await opens(vault, theirs)


async def test_a_second_change_waits_for_the_end_of_the_first(vault, partner):
    await change_root(by=SERVICE, ports=vault.ports)
    lasting = (await the_deployment(vault.ports)).record.lasting_root
    assert not (await change_root(by=SERVICE, ports=vault.ports)).begun
    assert (await the_deployment(vault.ports)).record.lasting_root == lasting
    assert len(await vault.deeds("ROOT_CHANGED")) == 1


async def test_without_a_change_nothing_is_destroyed(vault, partner):
    versions = await vault.root.versions()
    assert await destroy_old_root(by=SERVICE, ports=vault.ports) == ""
    assert await vault.root.versions() == versions


async def test_a_tenant_opened_meanwhile_hangs_on_the_new_version(vault, partner):
    await change_root(by=SERVICE, ports=vault.ports)
    tenant = await vault.tenant("borealis.example")
    lasting = (await the_deployment(vault.ports)).record.lasting_root
    assert (await vault.custody.namespace(tenant)).lasting_roots() == {lasting}


async def test_an_instance_that_looked_before_finds_its_keys_afterwards(vault, partner):
    late = Custody(vault.root, vault.docs, deployment="test")
    await late.namespace(partner.tenant)
    await late.namespace(PLATFORM)
    await left(vault)
    await late.identity(partner.tenant)
    await late.token_signer()


async def test_killed_at_every_step_it_is_taken_up_again(tmp_path):
    """Runs a change to its end again and again, killed one step later each time."""
    clock = Clock()
    async with an_auth(tmp_path, clock=clock) as world:
        partners = [await world.partner(await world.tenant(f"t{n}.example")) for n in range(2)]
        uploads = [each for partner in partners for each in await filed(world, partner, 1)]
        keys = await identities(world, partners[0])
    kills = survived = 0
    for life in range(1, 40):
        killed = await killed_after(tmp_path, clock, life)
        kills += killed
        survived += not killed
        async with an_auth(tmp_path, clock=clock) as world:
            # Whatever stands half-way serves.
            assert [await opens(world, upload) for upload in uploads] == [True] * 2
            if (await the_deployment(world.ports)).record.former_root:
                await left(world)
            assert [await opens(world, upload) for upload in uploads] == [True] * 2
            assert await identities(world, partners[0]) == keys
            await only_new_versions_are_used(world, partners)
        if survived:
            break
    assert kills > 8
    assert survived == 1


async def only_new_versions_are_used(world, partners):
    record = (await the_deployment(world.ports)).record
    assert record.former_root == ""
    for partner in partners:
        keys = await world.custody.namespace(partner.tenant)
        living = {e.root_version for e in keys.epochs if e.state is not EpochState.DESTROYED}
        assert keys.lasting_roots() == {record.lasting_root}
        assert living == {record.periods[-1].root_version}


async def killed_after(directory, clock, life):
    """Whether a change was killed at its `life`-th step."""
    lives = [0]
    async with an_auth(
        directory,
        clock=clock,
        wrap_store=lambda docs: Dying(docs, lives),
        wrap_root=lambda root: Dying(root, lives),
    ) as world:
        lives[0] = life
        try:
            await left(world)
        except (Killed, BaseExceptionGroup):
            return True
        return False
