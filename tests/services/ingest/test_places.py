"""Places are shared out: who takes all he can get shuts out nobody but himself."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.services.ingest.stand import PARTNER, SIBLING, STRANGER, new_key, standing

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.ingest.errors import VaultBusy
from voicefile.ingest.places import Places
from voicefile.ingest.settings import IngestSettings


def places(count, **parts):
    return Places(IngestSettings(uploads_max=count, **parts))


async def fill(where, by, *, within):
    """Takes places until there is none; answers how many there were."""
    count = 0
    while True:
        try:
            await within.enter_async_context(where.taken(by, wait_s=0.01))
        except VaultBusy:
            return count
        count += 1


async def test_a_partner_gets_a_quarter_a_tenant_half_and_the_rest_is_others():
    where = places(8)
    async with AsyncExitStack() as held:
        assert await fill(where, PARTNER, within=held) == 2
        assert await fill(where, SIBLING, within=held) == 2
        assert await fill(where, STRANGER, within=held) == 2


async def test_a_tenants_partners_together_get_no_more_than_its_part():
    where = places(8, uploads_partner_part=0.5)
    async with AsyncExitStack() as held:
        assert await fill(where, PARTNER, within=held) == 4
        assert await fill(where, SIBLING, within=held) == 0
        assert await fill(where, STRANGER, within=held) == 4


async def test_all_together_get_no_more_than_there_are():
    where = places(4, uploads_partner_part=1, uploads_tenant_part=1)
    async with AsyncExitStack() as held:
        assert await fill(where, PARTNER, within=held) == 4
        assert await fill(where, STRANGER, within=held) == 0


async def test_everybody_may_have_one_where_there_is_one():
    where = places(1)
    for by in (PARTNER, SIBLING, STRANGER):
        async with AsyncExitStack() as held:
            assert await fill(where, by, within=held) == 1


async def test_who_waits_for_his_share_holds_nothing_of_others():
    where = places(4)
    async with where.taken(PARTNER, wait_s=1):
        waiting = [asyncio.create_task(enter(where, PARTNER)) for _ in range(20)]
        await asyncio.sleep(0)
        async with where.taken(SIBLING, wait_s=1), where.taken(STRANGER, wait_s=1):
            pass
    assert await asyncio.gather(*waiting) == [None] * 20
    assert where._shares == {}


async def enter(where, by):
    async with where.taken(by, wait_s=10):
        pass


@pytest.mark.parametrize("part", [0, -0.5, 1.5])
def test_a_part_is_more_than_nothing_and_no_more_than_all(part):
    with pytest.raises(ValueError, match="uploads_tenant_part"):
        places(4, uploads_tenant_part=part)


async def test_a_partner_with_all_his_places_taken_is_told_and_others_are_served(tmp_path):
    async with standing(
        tmp_path / "i.db", blobs=MemoryBlobStore(), uploads_max=4, upload_queue_s=0.01
    ) as stand:
        await stand.learn()
        key = new_key()
        async with stand.desk.places.taken(PARTNER, wait_s=1):
            refused = await stand.upload(key=key)
            assert refused.status_code == 503
            assert refused.json()["type"].endswith(":busy")
            assert int(refused.headers["retry-after"]) > 0
            for token in ("sibling", "stranger"):
                assert (await stand.upload(token=token)).status_code == 201
        assert (await stand.upload(key=key)).status_code == 201
