"""A backup by order: taken by the instance that leads, and told to whoever ordered it."""

import asyncio
from contextlib import suppress

import pytest
from tests.services.backup.house import House

from voicefile.backup.manifest import manifests
from voicefile.backup.orders import Orders, Outcome
from voicefile.backup.store import ORDERS
from voicefile.blobstore.names import new_blob_name

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ordered(house: House) -> Outcome:
    """Given by another process than the one that leads: they share the store alone."""
    giving = asyncio.create_task(Orders(house.stand.stores["backup"], house.rounds.name).give())
    while not giving.done():
        await house.rounds.take_if_ordered()
        await asyncio.sleep(0.02)
    return await giving


async def left(house: House) -> list:
    return await house.stand.stores["backup"].scan(ORDERS)


async def test_it_is_taken_at_once_and_its_number_told(house: House):
    await house.filed(house.stand.companies[0])
    before = len(await manifests(house.repository, house.key))
    outcome = await ordered(house)
    assert (outcome.said, outcome.good) == (f"manifest {before + 1}", True)
    assert len(await manifests(house.repository, house.key)) == before + 1
    assert await left(house) == []


async def test_why_it_failed_is_told(house: House):
    async def plain():
        yield b"RIFF" + bytes(100_000)

    name = new_blob_name()
    await house.stand.blobs.put(name, plain())
    outcome = await ordered(house)
    await house.stand.blobs.delete(name)
    assert (outcome.said, outcome.good) == ("failed: plaintext", False)


async def test_who_no_longer_waits_has_ordered_nothing(house: House):
    before = len(await manifests(house.repository, house.key))
    giving = asyncio.create_task(Orders(house.stand.stores["backup"], "elsewhere").give())
    while not await left(house):
        await asyncio.sleep(0.01)
    # Another target's: it is not ours to carry out.
    await house.rounds.take_if_ordered()
    giving.cancel()
    with suppress(asyncio.CancelledError):
        await giving
    assert await left(house) == []
    assert len(await manifests(house.repository, house.key)) == before
