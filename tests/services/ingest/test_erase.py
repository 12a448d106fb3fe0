"""What auth has erased goes from ingest, too: blobs, reservation; of a tenant, everything."""

import pytest
from tests.services.ingest.stand import OTHER_TENANT, PARTNER, STRANGER, TENANT, new_key
from tests.services.ingest.test_feed import changed, erasing_of, hear, issued, page

from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.docstore.port import VersionConflict
from voicefile.identity.ids import new_id
from voicefile.ingest.erase import erase_recording
from voicefile.ingest.store import FEED, MANIFESTS, RESERVATIONS, TENANTS
from voicefile.ingest.sweep import Swept

DAY_S = 86_400
ERASED = 5


async def uploaded(stand, *, token="partner"):
    return (await stand.upload(key=new_key(), token=token)).json()["recording_id"]


def erased_in_auth(stand, recording):
    """Auth answers as it does once it has erased it."""
    stand.auth.issued[recording] |= {"state": "erased", "blobs": {}}


async def test_blobs_and_reservation_go_and_the_feed_says_so(stand):
    gone, kept = await uploaded(stand), await uploaded(stand)
    erased_in_auth(stand, gone)
    await hear(stand, issued(gone), changed(gone, state=ERASED))
    assert await stand.names() == stand.auth.owned()
    assert len(await stand.names()) == 3
    (left,) = await stand.store.scan(RESERVATIONS)
    assert left.body["recording"] == kept
    assert [each["state"] for each in (await page(stand))["changes"]] == ["playable", "erased"]


async def test_heard_twice_and_in_any_order_it_stays_erased(stand):
    gone = await uploaded(stand)
    erased_in_auth(stand, gone)
    told = changed(gone, state=ERASED)
    for _ in range(2):
        await hear(stand, told, issued(gone))
    assert await stand.names() == set()
    assert [each["state"] for each in (await page(stand))["changes"]] == ["erased"]


async def test_killed_half_way_it_comes_again(stand):
    gone = await uploaded(stand)
    delete, left = stand.blobs.delete, [1]

    async def dying(name):
        if not left[0]:
            raise MemoryError
        left[0] -= 1
        await delete(name)

    stand.blobs.delete = dying
    with pytest.raises(MemoryError):
        await hear(stand, changed(gone, state=ERASED))
    stand.blobs.delete = delete
    assert len(await stand.names()) == 2
    await hear(stand, changed(gone, state=ERASED))
    assert await stand.names() == set()
    assert await stand.store.scan(RESERVATIONS) == []


async def test_an_event_that_was_lost_is_made_up_for_by_the_sweeper(stand):
    gone = await uploaded(stand)
    kept = await uploaded(stand)
    erased_in_auth(stand, gone)
    assert await stand.sweeper.sweep() == Swept()
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(erased=1)
    assert await stand.names() == stand.auth.owned()
    (left,) = await stand.store.scan(RESERVATIONS)
    assert left.body["recording"] == kept
    assert await stand.sweeper.sweep() == Swept()


async def test_nothing_goes_that_auth_merely_does_not_know(stand):
    await uploaded(stand)
    stand.auth.issued.clear()
    stand.clock.now_s += DAY_S + 1
    assert await stand.sweeper.sweep() == Swept(halted=True)
    assert len(await stand.names()) == 3


def tenant_erased(tenant):
    message = AuthEvent(event_id=new_id())
    message.tenant_erased.tenant = tenant
    return message


async def test_of_an_erased_tenant_nothing_is_left_and_nothing_comes_back(stand):
    await stand.learn()
    gone = [await uploaded(stand) for _ in range(2)]
    kept = await uploaded(stand, token="stranger")
    await hear(stand, *(issued(each) for each in gone), issued(kept, by=STRANGER))
    for each in gone:
        erased_in_auth(stand, each)
    await hear(stand, tenant_erased(TENANT))
    late = changed(gone[0], state=1)
    await hear(stand, late, tenant_erased(TENANT), issued(gone[1], by=PARTNER))
    await stand.desk.tenants.learn(stand.auth.published(TENANT, version=99))
    assert await stand.names() == stand.auth.owned()
    for collection in (RESERVATIONS, FEED, MANIFESTS):
        left = await stand.store.scan(collection)
        assert {document.tenant for document in left} <= {OTHER_TENANT}, collection.name
    left = {each.id: dict(each.body) for each in await stand.store.scan(TENANTS)}
    assert left[TENANT] == {"erased": True}
    refused = await stand.upload(key=new_key())
    assert refused.status_code >= 400


async def test_a_reservation_that_changes_meanwhile_is_tried_again(stand):
    gone = await uploaded(stand)
    erasing = erasing_of(stand)
    forget = erasing.reservations.forget
    conflicts = [VersionConflict("meanwhile")]

    async def racing(*args, **how):
        if conflicts:
            raise conflicts.pop()
        await forget(*args, **how)

    erasing.reservations.forget = racing
    with pytest.raises(VersionConflict):
        await erase_recording(gone, tenant=TENANT, at=erasing)
    erasing.reservations.forget = forget
    await erase_recording(gone, tenant=TENANT, at=erasing)
    assert await stand.store.scan(RESERVATIONS) == []
