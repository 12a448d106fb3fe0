"""A partner's change feed: every change once, numbered without a gap, nobody else's in it."""

import asyncio

import pytest
from tests.services.ingest.stand import PARTNER, SIBLING, STRANGER, TENANT, standing

from voicefile.blobstore.memory import MemoryBlobStore
from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.contracts.deed.v1 import Action
from voicefile.crypto.secret import SecretText
from voicefile.eventbus.port import Event
from voicefile.identity.ids import new_id
from voicefile.ingest.changes import AuthFacts, Feed
from voicefile.ingest.erase import Erasing
from voicefile.ingest.events import AUTH_TOPIC, RecordingMoved
from voicefile.ingest.reservations import reservation_id
from voicefile.ingest.settings import IngestSettings


def issued(recording, *, by=PARTNER, event=None, state=1):
    message = AuthEvent(event_id=event or new_id())
    message.deed.at_ms = 1_800_000_000_123
    fact = message.recording_issued
    fact.tenant, fact.partner, fact.recording_id, fact.state = by.tenant, by.id, recording, state
    return message


def changed(recording, *, state, letter=0, by=PARTNER):
    message = AuthEvent(event_id=new_id())
    message.deed.at_ms = 1_800_000_001_000
    fact = message.recording_changed
    fact.tenant, fact.partner, fact.recording_id = by.tenant, by.id, recording
    fact.state, fact.letter = state, letter
    return message


async def hear(stand, *messages):
    heard = [Event(m.event_id, AUTH_TOPIC, new_id(), m.SerializeToString()) for m in messages]
    await facts_of(stand).hear(heard)


def facts_of(stand):
    return AuthFacts(feed=stand.service.public.state.feed, erasing=erasing_of(stand))


def erasing_of(stand):
    return Erasing(stand.store, stand.blobs, stand.desk.marking.reservations, stand.desk.tenants)


async def page(stand, *, after=0, limit=100, token="partner"):
    answer = await stand.get(f"/v1/changes?after={after}&limit={limit}", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_auth_tells_stands_in_the_feed(stand):
    recording = new_id()
    await hear(stand, issued(recording), changed(recording, state=1, letter=3))
    said = await page(stand)
    assert said["next"] == 2
    assert said["changes"] == [
        {
            "sequence": 1,
            "recording_id": recording,
            "state": "playable",
            "letter": None,
            "at": "2027-01-15T08:00:00.123Z",
        },
        {
            "sequence": 2,
            "recording_id": recording,
            "state": "playable",
            "letter": "sent",
            "at": "2027-01-15T08:00:01.000Z",
        },
    ]


async def test_an_event_that_comes_again_changes_nothing(stand):
    messages = [issued(new_id()) for _ in range(5)]
    await hear(stand, *messages)
    await hear(stand, *messages, *messages[::-1])
    said = await page(stand)
    assert [change["sequence"] for change in said["changes"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("limit", [1, 7, 40, 500])
async def test_pages_follow_each_other_without_a_gap_or_a_repeat(stand, limit):
    recordings = [new_id() for _ in range(140)]
    for start, end in ((0, 1), (1, 3), (3, 20), (20, 21), (21, 140)):  # the last: more than a run
        await hear(stand, *(issued(recording) for recording in recordings[start:end]))
    seen, after = [], 0
    while (said := await page(stand, after=after, limit=limit))["changes"]:
        assert len(said["changes"]) <= limit
        seen += said["changes"]
        after = said["next"]
    assert [change["sequence"] for change in seen] == list(range(1, 141))
    assert [change["recording_id"] for change in seen] == recordings
    assert after == 140


async def test_a_batch_costs_the_store_one_write_for_each_feed(stand):
    written = []
    whole = stand.store.insert

    class Counted:
        """The store, and what is inserted into it."""

        def __getattr__(self, name):
            return getattr(stand.store, name)

        async def insert(self, collection, document):
            written.append(collection.name)
            return await whole(collection, document)

    feed = Feed(Counted(), settings=IngestSettings())
    moved = [
        RecordingMoved(new_id(), by.tenant, by.id, new_id(), "playable", None, 1)
        for by in (PARTNER, STRANGER)
        for _ in range(50)
    ]
    await feed.add(*moved)
    assert written == ["feed", "feed"]
    await feed.add(*moved)
    assert written == ["feed", "feed"], "said twice, kept once"


async def test_what_came_before_in_the_same_batch_counts(stand):
    recording, event = new_id(), new_id()
    await hear(
        stand,
        issued(recording, event=event),
        issued(recording, event=event),
        changed(recording, state=5),
        changed(recording, state=1),
    )
    states = [change["state"] for change in (await page(stand))["changes"]]
    assert states == ["playable", "erased"]


async def test_a_cursor_beyond_the_end_waits_there(stand):
    await hear(stand, issued(new_id()))
    assert await page(stand, after=17) == {"changes": [], "next": 17}


async def test_feeds_are_apart(stand):
    ours, theirs, foreign = new_id(), new_id(), new_id()
    await hear(stand, issued(ours), issued(theirs, by=SIBLING), issued(foreign, by=STRANGER))
    for token, recording in (("partner", ours), ("sibling", theirs), ("stranger", foreign)):
        (change,) = (await page(stand, token=token))["changes"]
        assert (change["sequence"], change["recording_id"]) == (1, recording)


async def test_many_instances_number_without_a_gap(tmp_path, stand):
    async with standing(
        tmp_path / "other.db",
        blobs=MemoryBlobStore(),
        auth=stand.auth,
        wrapped=lambda own: stand.store,
    ) as other:
        messages = [issued(new_id()) for _ in range(40)]
        await asyncio.gather(
            *(hear(each, message) for message in messages for each in (stand, other))
        )
    said = await page(stand)
    assert [change["sequence"] for change in said["changes"]] == list(range(1, 41))


async def test_erased_stays_erased_in_whatever_order_facts_come(stand):
    recording = new_id()
    late = changed(recording, state=2)
    await hear(stand, issued(recording), changed(recording, state=5), late)
    said = await page(stand)
    assert [change["state"] for change in said["changes"]] == ["playable", "erased"]


async def test_a_reservation_lives_as_long_as_its_recording(stand):
    key = "c0ffee00-9414-41ec-b3c8-9f6bdeced846"
    recording = (await stand.upload(key=key)).json()["recording_id"]
    reservation = reservation_id(PARTNER.id, SecretText(key))
    reservations = stand.desk.marking.reservations
    assert await reservations.find(reservation, tenant=TENANT) is not None
    erased = changed(recording, state=5)
    await hear(stand, erased)
    await hear(stand, erased)
    assert await reservations.find(reservation, tenant=TENANT) is None
    # Its deed was not published yet, and goes on its way all the same.
    assert len(await stand.deeds(Action.ACTION_RECORDING_STORED)) == 1


async def test_a_fact_of_a_newer_auth_is_passed_over(stand):
    newer = AuthEvent(event_id=new_id())
    await hear(stand, newer, changed(new_id(), state=77))
    assert (await page(stand))["changes"] == []


async def test_reading_the_feed_is_a_deed(stand):
    await page(stand)
    assert len(await stand.deeds(Action.ACTION_CHANGES_READ)) == 1


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=501", "after=1e99"])
async def test_a_wrong_cursor_is_refused(stand, query):
    answer = await stand.get(f"/v1/changes?{query}")
    assert answer.status_code == 422


async def test_an_older_fact_about_a_tenant_is_ignored(stand):
    await stand.learn(TENANT, version=7, open=False)
    await stand.learn(TENANT, version=6, open=True)
    assert not (await stand.desk.tenants.known(TENANT)).open


async def test_a_tenants_fact_comes_through_the_bus(stand):
    facts = stand.auth.published(TENANT, version=9, recording_allowed=False)
    message = AuthEvent(event_id=new_id())
    told = message.tenant_published
    told.tenant, told.version, told.open = facts.tenant, 9, True
    told.epoch, told.sealing_key = facts.sealing_key.epoch, facts.sealing_key.public
    told.sealing_key_signature = facts.sealing_key.signature
    told.retention_classes.append("contract")
    told.scopes.add(department="sales", project="", recording_allowed=True)
    told.scopes.add(department="closed", project="", recording_allowed=False)
    await hear(stand, message)
    assert await stand.desk.tenants.known(TENANT) == facts


async def test_only_who_brought_a_recording_reads_its_state(stand):
    recording = (await stand.upload()).json()["recording_id"]
    mine = await stand.get(f"/v1/recordings/{recording}")
    assert mine.status_code == 200
    assert mine.json()["state"] == "playable"
    assert mine.json()["recording_id"] == recording
    refused = [
        await stand.get(f"/v1/recordings/{recording}", token="sibling"),
        await stand.get(f"/v1/recordings/{recording}", token="stranger"),
        await stand.get(f"/v1/recordings/{new_id()}"),
        await stand.get("/v1/recordings/..%2f..%2fetc"),
        await stand.get("/v1/recordings/123456789012"),
    ]
    assert {answer.status_code for answer in refused} == {404}
    assert len({answer.content for answer in refused}) == 1


async def test_reading_a_state_is_a_deed_and_so_is_trying_to(stand):
    recording = (await stand.upload()).json()["recording_id"]
    await stand.get(f"/v1/recordings/{recording}")
    await stand.get(f"/v1/recordings/{recording}", token="stranger")
    deeds = await stand.deeds(Action.ACTION_RECORDING_READ)
    assert [(deed.tenant, deed.outcome) for deed in deeds] == [
        (PARTNER.tenant, 1),
        (STRANGER.tenant, 2),
    ]
