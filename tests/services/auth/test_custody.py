"""Custody: unlocked keys live five minutes, and a root that is gone ends what they could do."""

import copy
import pickle

import pytest
from tests.services.auth.issuing_world import DEPLOYMENT, Upload, an_auth

from voicefile.auth import app
from voicefile.auth.keys.custody import TTL_S, Custody
from voicefile.auth.ports import ports_of
from voicefile.auth.settings import AuthSettings
from voicefile.auth.store import DEPLOYMENT as RECORDS
from voicefile.auth.store import Slip
from voicefile.auth.tenants.open_tenant import WrongDeployment, first_start
from voicefile.crypto.errors import EpochGone, Tampered, UnknownKey
from voicefile.crypto.keyring import Purpose
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.identity.ids import PLATFORM


class Unpluggable:
    """A root that can be taken away, and counts how often it is asked."""

    def __init__(self, root):
        self._root = root
        self.gone = False
        self.asked = 0

    def __getattr__(self, name):
        return getattr(self._root, name)

    async def unwrap(self, version, wrapped, *, context):
        self.asked += 1
        if self.gone:
            raise RootUnavailable
        return await self._root.unwrap(version, wrapped, context=context)


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path, wrap_root=Unpluggable) as world:
        yield world


@pytest.fixture
async def partner(vault):
    return await vault.partner(await vault.tenant())


class Ticks:
    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def custody(vault, ticks):
    return Custody(vault.root, vault.docs, deployment=DEPLOYMENT, now=ticks)


async def test_a_key_is_unlocked_once_and_then_held(vault, partner, custody):
    before = vault.root.asked
    for _ in range(5):
        await custody.identity(partner.tenant)
    assert vault.root.asked == before + 1


async def test_a_root_that_is_taken_away_ends_everything_within_minutes(
    vault, partner, custody, ticks
):
    await custody.identity(partner.tenant)
    vault.root.gone = True
    ticks.s += TTL_S - 1
    await custody.identity(partner.tenant)
    ticks.s += 1
    with pytest.raises(RootUnavailable):
        await custody.identity(partner.tenant)


async def test_idle_keys_are_forgotten_too(partner, custody, ticks):
    await custody.identity(partner.tenant)
    await custody.epoch(partner.tenant)
    ticks.s += TTL_S
    custody.forget_old()
    assert custody._held == {}


async def test_a_key_is_held_no_longer_than_the_namespace_it_came_from(
    vault, partner, custody, ticks
):
    await custody.namespace(partner.tenant)
    ticks.s += TTL_S - 1
    await custody.epoch(partner.tenant)
    vault.root.gone = True
    await custody.epoch(partner.tenant)
    ticks.s += 1
    with pytest.raises(RootUnavailable):
        await custody.epoch(partner.tenant)


async def test_a_key_whose_tenant_was_forgotten_while_it_was_unlocked_is_not_held(
    vault, partner, custody
):
    unlocking = vault.root.unwrap

    async def turned_meanwhile(version, wrapped, *, context):
        custody.forget(partner.tenant)
        return await unlocking(version, wrapped, context=context)

    vault.root.unwrap = turned_meanwhile
    await custody.epoch(partner.tenant)
    assert custody._held == {}


async def test_no_setting_holds_keys_longer(vault):
    custody = Custody(vault.root, vault.docs, deployment=DEPLOYMENT, ttl_s=86_400)
    assert custody._ttl_s == TTL_S
    with pytest.raises(ValueError, match="custody_ttl_s"):
        AuthSettings(custody_ttl_s=TTL_S + 1)


async def test_forgetting_one_tenant_keeps_the_others(vault, partner, custody):
    other = await vault.tenant("borealis.example")
    for tenant in (partner.tenant, other):
        await custody.identity(tenant)
    custody.forget(partner.tenant)
    assert {tenant for tenant, _, _ in custody._held} == {other}


async def test_a_slip_opens_for_its_recording_and_tenant_alone(vault, partner):
    upload = Upload(partner)
    slip = await vault.custody.wrap_data_key(partner.tenant, upload.recording, upload.key)
    other = await vault.tenant("borealis.example")
    assert await vault.custody.slip_key(partner.tenant, upload.recording, slip) == upload.key
    with pytest.raises(Tampered):
        await vault.custody.slip_key(partner.tenant, "0" * 32, slip)
    with pytest.raises(UnknownKey):
        await vault.custody.slip_key(other, upload.recording, slip)
    current = (await vault.custody.namespace(other)).current_epoch
    with pytest.raises(Tampered):
        await vault.custody.slip_key(other, upload.recording, Slip(current.id, slip.sealed))


async def test_a_subject_key_is_no_recordings_key(vault, partner):
    upload = Upload(partner)
    slip = await vault.custody.wrap_subject_key(partner.tenant, upload.recording, upload.key)
    with pytest.raises(Tampered):
        await vault.custody.slip_key(partner.tenant, upload.recording, slip)


async def test_tenants_share_no_derived_key(vault, partner):
    other = await vault.tenant("borealis.example")
    keys = {
        (await vault.custody.identity(tenant)).derive(purpose).expose()
        for tenant in (partner.tenant, other, PLATFORM)
        for purpose in Purpose
    }
    assert len(keys) == 3 * len(Purpose)


async def test_locators_of_ids_and_names_never_meet(vault):
    one = await vault.custody.directory_locator("x")
    other = await vault.custody.login_locator("x")
    assert one != other
    assert len(one) == len(other) == 64


async def test_an_unknown_tenant_has_no_keys(vault):
    for tenant in ("0" * 32, ""):
        with pytest.raises((UnknownKey, EpochGone)):
            await vault.custody.epoch(tenant)


async def test_a_signer_shows_and_gives_away_nothing(vault, partner):
    signer = await vault.custody.receipt_signer(partner.tenant)
    assert repr(signer) == "<Signer>"
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            take(signer)


async def test_a_second_start_finds_the_keys_of_the_first(vault):
    before = await vault.docs.get(RECORDS, "deployment")
    await first_start(vault.ports)
    assert await vault.docs.get(RECORDS, "deployment") == before


async def test_a_store_of_another_deployment_is_refused(tmp_path):
    async with an_auth(tmp_path) as world:
        pass
    docs = await SqliteDocStore.open(tmp_path / "auth.db", app.COLLECTIONS)
    try:
        custody = Custody(world.root, docs, deployment="other")
        ports = ports_of(
            docs,
            custody,
            deeds=world.ports.deeds,
            pins=world.ports.pins,
            settings=AuthSettings(),
        )
        with pytest.raises(WrongDeployment):
            await first_start(ports)
    finally:
        await docs.close()
