"""What is erased stays erased: every key there is, tried on every copy there is.

The attacker has everything: the target as it is now, the document store's bytes of every day, the
root key as it is now, and the secret halves of the recipients.
"""

import os
from pathlib import Path

import msgspec
import pytest
from tests.services.backup.house import House, heard, house_in

from voicefile.auth.dumping.back_up_keys import EPOCHS, SLIPS
from voicefile.auth.dumping.take_apart import AccessKeys, EpochKeys
from voicefile.auth.keys.rotate import rotate
from voicefile.auth.store import ACCESS
from voicefile.backup.manifest import KeyBackup, opened
from voicefile.backup.repository import Room
from voicefile.crypto.envelope import object_id
from voicefile.crypto.epoch_backup import BackedUpEpoch, key_of_epoch
from voicefile.crypto.errors import CryptoError
from voicefile.crypto.rootkey import RootKeyError
from voicefile.crypto.secret import SecretKey

DAY_S = 86_400
EVERY_DAYS = int(os.environ.get("VOICEFILE_SHRED_EVERY_DAYS", "6"))
"""How often a backup is taken in the virtual weeks; every day before a release."""

Slips = set[tuple[str, str, bytes]]
"""Recording, epoch, wrapped key."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def slips_now(house: House) -> Slips:
    """As they lie in the document store: what a journal or a copy of its files keeps."""
    found: Slips = set()
    for document in await house.stand.ports.store.scan(ACCESS, limit=1000):
        for recording in document.body["recordings"]:
            slip = recording["slip"]
            found.add((recording["id"], slip["epoch"], bytes(slip["sealed"])))
    return found


async def epochs_of_root(house: House, known: dict) -> None:
    """Epoch keys that the root unwraps today, of every namespace that was ever seen."""
    custody = house.stand.ports.custody
    for home in house.stand.companies:
        custody.forget(home.id)
        for epoch in (await custody.namespace(home.id)).epochs:
            known[home.id, epoch.id] = epoch


async def keys_in_existence(house: House, wrapped: dict) -> tuple[dict, Slips]:
    """Every epoch key that can still be had, and every slip in a key backup."""
    custody = house.stand.ports.custody
    epochs: dict[str, BackedUpEpoch] = {}

    def take(tenant: str, epoch: str, key: SecretKey) -> None:
        epochs[epoch] = BackedUpEpoch(epoch, key, deployment=custody.deployment, tenant=tenant)

    for (tenant, epoch_id), epoch in wrapped.items():
        try:
            key = await key_of_epoch(
                custody.root, epoch, deployment=custody.deployment, tenant=tenant
            )
        except (CryptoError, RootKeyError):
            continue
        take(tenant, epoch_id, key)
    slips: Slips = set()
    async for dump in key_backups(house):
        async for item in dump.items(EPOCHS):
            found = msgspec.convert(item, EpochKeys)
            take(found.tenant, found.epoch, SecretKey(found.key))
        async for item in dump.items(SLIPS):
            keys = msgspec.convert(item, AccessKeys)
            slips |= {(each, slip.epoch, slip.sealed) for each, slip in keys.slips.items()}
    return epochs, slips


async def key_backups(house: House):
    room = house.repository.room(Room.KEYS)
    async for entry in house.repository.entries(Room.KEYS):
        if await room.read(entry.name, 0, 1) != b"{":
            continue
        raw = await house.repository.get_by_name(Room.KEYS, entry.name)
        backup = opened(raw, KeyBackup, house.key, where=entry.name)
        yield house.reading()._opened(backup.dump, Room.KEYS)


def openable(recording: str, epochs: dict, slips: Slips) -> int:
    """How many of the recording's slips open."""
    done = 0
    for each, epoch, sealed in slips:
        if each != recording or epoch not in epochs:
            continue
        try:
            epochs[epoch].unwrap(sealed, object_id(recording, "slip"))
        except CryptoError:
            continue
        done += 1
    return done


async def test_thirty_five_days_later_no_key_in_existence_opens_it(house: House, tmp_path: Path):
    home = house.stand.companies[0]
    gone, stays = await house.filed(home), await house.filed(home)
    journal, wrapped, begun_s = await slips_now(house), {}, house.clock.ahead_s
    await epochs_of_root(house, wrapped)
    await house.backed_up()
    await house.erase(home, gone["recording_id"])
    await house.stand.published()
    await house.rounds.copy()
    epochs, slips = await keys_in_existence(house, wrapped)
    # The control: on the first day a key backup opens it, and so would anybody's copy of it.
    assert openable(gone["recording_id"], epochs, slips | journal) > 0
    kept = dict(epochs)
    for day in range(EVERY_DAYS, 36 + EVERY_DAYS, EVERY_DAYS):
        house.clock.ahead_s = begun_s + min(day, 36) * DAY_S
        await rotate(house.stand.ports)
        house.clock.ahead_s += 3_600
        await rotate(house.stand.ports)
        await epochs_of_root(house, wrapped)
        journal |= await slips_now(house)
        await house.rounds.forget_keys()
        await house.backed_up()
    epochs, slips = await keys_in_existence(house, wrapped)
    assert openable(gone["recording_id"], epochs, slips | journal) == 0
    assert openable(stays["recording_id"], epochs, slips | journal) > 0
    # The planted control: a key that was kept past its time is found to open it.
    assert openable(gone["recording_id"], kept, slips | journal) > 0
    # And no backup that is still there brings it back.
    place, restored = await house.restored(tmp_path / "restored")
    assert restored.whole
    async with house_in(place.data, house.pairs, house.clock) as again:
        assert await heard(again.stand.client, gone) is None
        assert await heard(again.stand.client, stays) is not None


async def test_key_backups_go_after_28_days_even_if_no_new_one_can_be_taken(house: House):
    await house.filed(house.stand.companies[0])
    await house.backed_up()
    house.clock.ahead_s += 28 * DAY_S - 7_200
    await house.rounds.forget_keys()
    assert len([entry async for entry in house.repository.entries(Room.KEYS)]) >= 2
    # An hour is between two looks: what would be too old at the next one goes now.
    house.clock.ahead_s += 4_000
    await house.rounds.forget_keys()
    assert [entry async for entry in house.repository.entries(Room.KEYS)] == []
