"""Authorisation switched off: what is sealed for one tenant still opens for no other."""

import base64

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.isolation.permissive import Gift, names_of, permissive, player_over
from tests.isolation.who import Who
from tests.isolation.world import PURPOSE, Home, world

from voicefile.auth.credentials.search_customers import Search, search_customers
from voicefile.auth.store import Slip
from voicefile.cli.partner import sample
from voicefile.crypto.errors import CryptoError
from voicefile.deeds.deed import Purpose
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal, Role

pytestmark = pytest.mark.asyncio(loop_scope="session")
PARTS = ("audio", "audio?rendition=telephone", "peaks")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(tmp_path_factory):
    """Its own: what is done without checks stands in its log."""
    async with world(tmp_path_factory.mktemp("unchecked")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def unchecked(vault, tmp_path):
    async with permissive(vault, tmp_path) as running:
        yield running


def bearer(home: Home, who: Who) -> dict[str, str]:
    return PURPOSE | {"Authorization": f"Bearer {home.bearers[who]}"}


async def heard(unchecked, home: Home, who: Who, recording_id: str):
    """Every rendition of it, asked for by this tenant's listener."""
    return [
        await unchecked.client.get(
            f"/playback/v1/recordings/{recording_id}/{part}", headers=bearer(home, who)
        )
        for part in PARTS
    ]


async def listed(unchecked, home: Home, who: Who):
    return await unchecked.client.get(
        "/playback/v1/recordings",
        params={"credential": home.main.credential},
        headers=bearer(home, who),
    )


async def released(unchecked, home: Home, who: Who, recording_id: str):
    body = {
        "recording_id": recording_id,
        "instance_key": base64.b64encode(home.instance.public).decode(),
        "listening": new_id(),
        "purpose": "complaint",
    }
    return await unchecked.auth.post(
        "/auth/internal/v1/releases", json=body, headers=bearer(home, who)
    )


@pytest.mark.parametrize("who", [Who.CUSTOMER, Who.CARE])
async def test_without_checks_a_neighbour_of_the_same_tenant_is_heard(vault, unchecked, who):
    # The control: the checks are off indeed, and everything else works.
    home = vault.homes[0]
    unchecked.lies.slipped_in = home.neighbour.recordings
    unchecked.lies.handed_over = home.neighbour.stored if who is Who.CARE else None
    answers = await heard(unchecked, home, who, home.neighbour.recording)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].content == sample()
    shown = await listed(unchecked, home, who)
    assert home.neighbour.reference in shown.text


def lies_about(foreign, own, own_epoch: str):
    """The foreign recording as it is, and bent in every way towards what a tenant has itself."""
    return {
        "as it is": foreign,
        "its slip under our epoch": replace(foreign, slip=Slip(own_epoch, foreign.slip.sealed)),
        "with our slip": replace(foreign, slip=own.slip),
        "as our recording": replace(foreign, id=own.id),
        "its blobs as ours": replace(own, blobs=foreign.blobs),
        "its slip and blobs as ours": replace(own, slip=foreign.slip, blobs=foreign.blobs),
        "its details as ours": replace(own, details=foreign.details),
    }


@pytest.mark.parametrize("who", [Who.CUSTOMER, Who.CARE])
async def test_without_checks_nothing_of_another_tenant_is_heard_or_shown(vault, unchecked, who):
    ours = vault.homes[0]
    own = ours.main.recordings[0]
    own_epoch = (await unchecked.ports.custody.epoch(ours.id)).id
    for theirs in vault.others(ours):
        foreign = theirs.main.recordings[0]
        for lie, told in lies_about(foreign, own, own_epoch).items():
            unchecked.lies.slipped_in = (told,)
            if who is Who.CARE:
                whole = replace(theirs.main.stored.record, recordings=(told,))
                document = theirs.main.stored.document
                unchecked.lies.handed_over = type(theirs.main.stored)(whole, document)
            key = await released(unchecked, ours, who, told.id)
            if key.is_success:
                # Our own key: it must not open their blobs.
                assert told.slip == own.slip
                assert told.id == own.id
            for answer in await heard(unchecked, ours, who, told.id):
                assert answer.status_code >= 500, lie
                assert len(answer.content) < 1_000
            shown = await listed(unchecked, ours, who)
            assert not any(mark in shown.text for mark in theirs.main.marks - {foreign.id}), lie


async def test_without_checks_a_search_opens_no_foreign_customer(vault, unchecked):
    ours, theirs, _ = vault.homes
    care = Principal(new_id(), ours.id, Role.CARE)
    search = Search("phone", "+49 30 1234567", Purpose.PURPOSE_COMPLAINT, "")
    unchecked.lies.handed_over = ours.neighbour.stored
    [hit] = await search_customers(search, by=care, ports=unchecked.ports)
    assert hit.customer.fields["name"] == ours.neighbour.name
    unchecked.lies.handed_over = theirs.main.stored
    with pytest.raises(CryptoError):
        await search_customers(search, by=care, ports=unchecked.ports)
    record = theirs.main.stored.record
    subject = replace(record.subject, key=ours.main.stored.record.subject.key)
    bent = type(theirs.main.stored)(replace(record, subject=subject), theirs.main.stored.document)
    unchecked.lies.handed_over = bent
    with pytest.raises(CryptoError):
        await search_customers(search, by=care, ports=unchecked.ports)


async def test_even_the_right_key_opens_nothing_under_another_tenants_name(vault, tmp_path):
    ours, theirs, _ = vault.homes
    custody = vault.stand.ports.custody
    foreign, own = theirs.main.recordings[0], ours.main.recordings[0]
    their_key = await custody.slip_key(theirs.id, foreign.id, foreign.slip)
    our_key = await custody.slip_key(ours.id, own.id, own.slip)
    [their_blobs, our_blobs] = names_of((foreign, own))
    gifts = {
        "theirs, rightly named": (200, Gift(theirs.id, their_key, their_blobs, 1_000)),
        "their key under our name": (500, Gift(ours.id, their_key, their_blobs, 1_000)),
        "our key for their blobs": (500, Gift(theirs.id, our_key, their_blobs, 1_000)),
        "our key and name, their blobs": (500, Gift(ours.id, our_key, their_blobs, 1_000)),
        "their key and name, our blobs": (500, Gift(theirs.id, their_key, our_blobs, 1_000)),
    }
    for number, (what, (status, gift)) in enumerate(gifts.items()):
        async with player_over(vault, gift, tmp_path / f"{number}.db") as client:
            for part in PARTS:
                path = f"/playback/v1/recordings/{foreign.id}/{part}"
                answer = await client.get(path, headers=bearer(ours, Who.CUSTOMER))
                assert answer.status_code == status, what
                if part == "audio" and status == 200:
                    assert answer.content == sample()[:1_000]
                if status != 200:
                    assert sample()[:44] not in answer.content
