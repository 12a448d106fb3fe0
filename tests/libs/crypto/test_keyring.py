"""A tenant's keys: what opens what, and what nothing opens any more."""

import dataclasses
import itertools

import pytest

from voicefile.crypto.envelope import object_id
from voicefile.crypto.errors import EpochGone, EpochInUse, Tampered, UnknownKey, WrongRoot
from voicefile.crypto.keyring import (
    EPOCH_LIFE_MAX_S,
    EPOCH_OPEN_MAX_S,
    EpochState,
    Purpose,
    create_namespace,
    destroy_epoch,
    open_epoch,
    renew_identity_key,
    renew_receipt_key,
    rewrap_slip,
    sealing_key_statement,
    slip_context,
    unlock_epoch,
    unlock_identity_key,
    unlock_receipt_key,
)
from voicefile.crypto.primitives import seal_to, verify
from voicefile.crypto.rootkey import VersionGone
from voicefile.crypto.rootkey_file import FileRootKey
from voicefile.crypto.secret import DataKey

HOUSE = b"house"
TENANT, OTHER_TENANT = "a1" * 16, "b2" * 16
SLIP = object_id("c3" * 16, "slip")
START_S = 1_700_000_000


@pytest.fixture
def root(tmp_path):
    return FileRootKey(tmp_path)


@pytest.fixture
async def lasting(root):
    return await root.create_version()


@pytest.fixture
async def period(root):
    return await root.create_version()


@pytest.fixture
def born(root, lasting, period):
    async def create(tenant):
        return await create_namespace(
            root,
            tenant,
            deployment=HOUSE,
            lasting_version=lasting,
            epoch_version=period,
            now_s=START_S + 0.5,
        )

    return create


@pytest.fixture
async def tenant(born):
    return await born(TENANT)


@pytest.fixture
async def other_tenant(born):
    return await born(OTHER_TENANT)


async def next_epoch(root, namespace, version=None, now_s=START_S + EPOCH_OPEN_MAX_S):
    version = version or await root.create_version()
    return await open_epoch(root, namespace, deployment=HOUSE, root_version=version, now_s=now_s)


async def test_a_new_tenant_has_one_key_of_each_kind(tenant, lasting, period):
    assert (tenant.tenant, len(tenant.epochs)) == (TENANT, 1)
    assert tenant.current_epoch.root_version == period
    assert tenant.current_epoch.opened_at_s == START_S
    assert tenant.identity_version().wrapped.root_version == lasting
    assert tenant.receipt_version().wrapped.root_version == lasting


async def test_derived_keys_are_stable_and_all_different(root, tenant, other_tenant):
    seen = set()
    for namespace in (tenant, other_tenant):
        one = await unlock_identity_key(root, namespace, deployment=HOUSE)
        again = await unlock_identity_key(root, namespace, deployment=HOUSE, version_id=one.id)
        for label in Purpose:
            assert one.derive(label) == again.derive(label)
            seen.add(one.derive(label).expose())
    assert len(seen) == 2 * len(Purpose)


async def test_a_slip_opens_in_its_epoch_for_its_recording(root, tenant):
    epoch, key = await unlock_epoch(root, tenant, deployment=HOUSE), DataKey.random()
    slip = epoch.wrap(key, SLIP)
    again = await unlock_epoch(root, tenant, deployment=HOUSE, epoch_id=epoch.id)
    assert again.unwrap(slip, SLIP) == key
    with pytest.raises(Tampered):
        epoch.unwrap(slip, object_id("c4" * 16, "slip"))
    with pytest.raises(Tampered):
        epoch.unwrap(slip, object_id("c3" * 16, "key"))


async def test_what_ingest_seals_reaches_the_epoch_it_was_sealed_to(root, tenant, other_tenant):
    epoch, key = tenant.current_epoch, DataKey.random()
    ctx = slip_context(HOUSE, TENANT, SLIP, epoch.id).encode()
    box = seal_to(epoch.sealing_public, ctx, key)
    unlocked = await unlock_epoch(root, tenant, deployment=HOUSE)
    assert unlocked.receive(box, SLIP) == key
    foreign = await unlock_epoch(root, other_tenant, deployment=HOUSE)
    with pytest.raises(Tampered):
        foreign.receive(box, SLIP)
    with pytest.raises(Tampered):
        unlocked.receive(box, object_id("c4" * 16, "slip"))


async def test_a_receipt_key_signs_what_its_public_half_proves(root, tenant):
    key = await unlock_receipt_key(root, tenant, deployment=HOUSE)
    verify(tenant.receipt_version().public, b"receipt", key.sign(b"receipt"))


async def test_wrapped_keys_open_in_no_other_place(root, tenant, other_tenant):
    """Every wrapped key is put in every other place of two namespaces, and of another house."""
    places = [place for ns in (tenant, other_tenant) for place in wrapped_places(ns)]
    for (_, sealed, _), (namespace, _, put) in itertools.permutations(places, 2):
        with pytest.raises(Tampered):
            await unlock_all(root, put(namespace, sealed))
    with pytest.raises(Tampered):
        await unlock_all(root, tenant, deployment=b"horse")
    with pytest.raises(Tampered):
        await unlock_all(root, dataclasses.replace(tenant, tenant=""))
    await unlock_all(root, tenant)


def wrapped_places(namespace):
    """Each wrapped key of a namespace: its bytes, and how to put others there."""

    def in_epoch(field):
        return lambda ns, sealed: dataclasses.replace(
            ns, epochs=(dataclasses.replace(ns.epochs[0], **{field: sealed}),)
        )

    def in_versions(field):
        def put(ns, sealed):
            (version,) = getattr(ns, field)
            wrapped = dataclasses.replace(version.wrapped, sealed=sealed)
            return dataclasses.replace(
                ns, **{field: (dataclasses.replace(version, wrapped=wrapped),)}
            )

        return put

    epoch = namespace.epochs[0]
    yield namespace, epoch.wrapped_key, in_epoch("wrapped_key")
    yield namespace, epoch.wrapped_sealing_secret, in_epoch("wrapped_sealing_secret")
    for field in ("identity_versions", "receipt_versions"):
        yield namespace, getattr(namespace, field)[0].wrapped.sealed, in_versions(field)


async def unlock_all(root, namespace, deployment=HOUSE):
    for unlock in (unlock_epoch, unlock_identity_key, unlock_receipt_key):
        await unlock(root, namespace, deployment=deployment)


async def test_a_slip_moves_to_the_next_epoch(root, tenant):
    old = await unlock_epoch(root, tenant, deployment=HOUSE)
    key = DataKey.random()
    slip = old.wrap(key, SLIP)
    tenant = await next_epoch(root, tenant)
    new = await unlock_epoch(root, tenant, deployment=HOUSE)
    moved = rewrap_slip(slip, SLIP, old=old, new=new)
    assert new.unwrap(moved, SLIP) == key
    for epoch, wrong in ((new, slip), (old, moved)):
        with pytest.raises(Tampered):
            epoch.unwrap(wrong, SLIP)


async def test_the_next_epoch_retires_the_open_one(root, tenant):
    later = await next_epoch(root, tenant)
    assert [epoch.state for epoch in later.epochs] == [EpochState.RETIRED, EpochState.OPEN]
    assert tenant.current_epoch.state is EpochState.OPEN  # the old namespace is as it was
    assert later.current_epoch.id != tenant.current_epoch.id


async def test_a_destroyed_epoch_opens_nothing_from_no_copy(root, tenant, other_tenant, period):
    copies = [tenant, other_tenant]
    slips = []
    for copy in copies:
        epoch = await unlock_epoch(root, copy, deployment=HOUSE)
        slips.append(epoch.wrap(DataKey.random(), SLIP))
    version = await root.create_version()
    living = [await next_epoch(root, namespace, version) for namespace in copies]

    destroyed = await destroy_epoch(root, period, living)

    for copy in copies:  # as they lie in backups
        with pytest.raises(VersionGone):
            await unlock_epoch(root, copy, deployment=HOUSE, epoch_id=copy.epochs[0].id)
    for namespace, slip in zip(destroyed, slips, strict=True):
        with pytest.raises(EpochGone):
            await unlock_epoch(root, namespace, deployment=HOUSE, epoch_id=namespace.epochs[0].id)
        assert namespace.epochs[0].wrapped_key == b""
        assert namespace.epochs[0].wrapped_sealing_secret == b""
        await unlock_all(root, namespace)  # everything else lives
        now = await unlock_epoch(root, namespace, deployment=HOUSE)
        with pytest.raises(Tampered):
            now.unwrap(slip, SLIP)


async def test_destroying_again_after_a_crash_changes_nothing(root, tenant, period):
    living = await next_epoch(root, tenant)
    (once,) = await destroy_epoch(root, period, [living])
    (again,) = await destroy_epoch(root, period, [living])  # the write of `once` was lost
    assert once == again
    assert await destroy_epoch(root, period, [once]) == [once]


async def test_an_open_epoch_is_not_destroyed(root, tenant, other_tenant, period):
    rotated = await next_epoch(root, tenant)
    with pytest.raises(EpochInUse):
        await destroy_epoch(root, period, [rotated, other_tenant])
    await unlock_all(root, other_tenant)


async def test_lasting_keys_are_not_destroyed_with_an_epoch(root, tenant, lasting):
    with pytest.raises(EpochInUse):
        await destroy_epoch(root, lasting, [tenant])
    await unlock_all(root, tenant)


async def test_lasting_keys_and_epochs_never_share_a_root_version(root, tenant, lasting, period):
    with pytest.raises(WrongRoot):
        await next_epoch(root, tenant, lasting)
    for renew in (renew_identity_key, renew_receipt_key):
        with pytest.raises(WrongRoot):
            await renew(root, tenant, deployment=HOUSE, root_version=period, now_s=START_S)
    with pytest.raises(WrongRoot):
        await create_namespace(
            root,
            TENANT,
            deployment=HOUSE,
            lasting_version=lasting,
            epoch_version=lasting,
            now_s=START_S,
        )


async def test_older_identity_and_receipt_keys_stay(root, tenant, lasting):
    old = await unlock_identity_key(root, tenant, deployment=HOUSE)
    receipt = tenant.receipt_version()
    for renew in (renew_identity_key, renew_receipt_key):
        tenant = await renew(
            root, tenant, deployment=HOUSE, root_version=lasting, now_s=START_S + 9
        )
    new = await unlock_identity_key(root, tenant, deployment=HOUSE)
    again = await unlock_identity_key(root, tenant, deployment=HOUSE, version_id=old.id)
    assert new.id != old.id
    assert new.derive(Purpose.PIN_PEPPER) != old.derive(Purpose.PIN_PEPPER)
    assert again.derive(Purpose.PIN_PEPPER) == old.derive(Purpose.PIN_PEPPER)
    assert tenant.receipt_version(receipt.id) == receipt != tenant.receipt_version()


async def test_what_is_not_there_is_said_to_be_unknown(tenant):
    for ask in (tenant.epoch, tenant.identity_version, tenant.receipt_version):
        with pytest.raises(UnknownKey):
            ask("0" * 32)
    with pytest.raises(UnknownKey):
        _ = dataclasses.replace(tenant, epochs=()).current_epoch


async def test_an_epoch_gets_its_successor_a_day_before_its_end(tenant):
    epoch = tenant.current_epoch
    assert not epoch.wants_successor(START_S + EPOCH_OPEN_MAX_S - 1)
    assert epoch.wants_successor(START_S + EPOCH_OPEN_MAX_S)
    assert not epoch.is_overdue(START_S + EPOCH_LIFE_MAX_S - 1)
    assert epoch.is_overdue(START_S + EPOCH_LIFE_MAX_S)
    assert EPOCH_LIFE_MAX_S - EPOCH_OPEN_MAX_S == 86_400
    retired = dataclasses.replace(epoch, state=EpochState.RETIRED)
    assert not retired.wants_successor(START_S + EPOCH_OPEN_MAX_S)
    gone = dataclasses.replace(epoch, state=EpochState.DESTROYED)
    assert not gone.is_overdue(START_S + EPOCH_LIFE_MAX_S)


async def test_the_directory_has_a_namespace_without_a_tenant(root, born):
    directory = await born("")
    key = await unlock_identity_key(root, directory, deployment=HOUSE)
    assert len(key.derive(Purpose.LOCATOR).expose()) == 32


def test_a_signed_sealing_key_belongs_to_one_epoch_of_one_tenant():
    statements = {
        sealing_key_statement(house, tenant, epoch, public)
        for house in (b"house", b"horse")
        for tenant in (TENANT, OTHER_TENANT, "")
        for epoch in ("d4" * 16, "d5" * 16)
        for public in (bytes(32), b"\1" * 32)
    }
    assert len(statements) == 24
