from collections import Counter
from itertools import pairwise

import pytest

from voicefile.audit.entry import commitment
from voicefile.audit.errors import LogDamaged, LogMoved
from voicefile.audit.gaps import GapWatch
from voicefile.audit.metrics import deeds_missing, deeds_unfinished
from voicefile.audit.segments import segments_from
from voicefile.audit.store import HEADS, SEGMENTS, UNREADABLE, Head, record_of
from voicefile.audit.tiles import hashes_of, read_tiles
from voicefile.contracts.deed.v1 import Deed, Event
from voicefile.eventbus.port import Event as BusEvent
from voicefile.translog.proofs import consistency_proof, verify_consistency
from voicefile.translog.tiles import hash_reader, tiles_read


async def deeds_in(docs, tenant: str) -> Counter[str]:
    found: Counter[str] = Counter()
    at = 0
    while segments := await segments_from(docs, tenant, at, limit=50):
        for segment in segments:
            found.update(Deed.FromString(entry).deed_id for entry in segment.entries)
            at = segment.stop
    return found


def deeds_of(events: list[BusEvent]) -> Counter[str]:
    return Counter(Event.FromString(event.payload).deed.deed_id for event in events)


async def head_of(docs, tenant: str) -> Head:
    return record_of(await docs.get(HEADS, tenant or "platform"), Head)


async def test_what_is_appended_is_sequenced_and_then_published(
    docs, tenant, instance, keeper_of, check
) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 100)
    await keeper.append(events)
    assert (await check(docs, tenant)).published == 0
    await keeper.publish(tenant)
    report = await check(docs, tenant)
    assert (report.sequenced, report.published) == (100, 100)
    assert await deeds_in(docs, tenant) == deeds_of(events)


@pytest.mark.parametrize("sizes", [[1] * 40, [255, 1, 1], [256], [257, 300], [3, 500, 29]])
async def test_batches_of_any_size_make_one_log(
    docs, tenant, instance, keeper_of, check, sizes
) -> None:
    keeper = keeper_of(docs)
    for size in sizes:
        await keeper.append(instance.does_often(tenant, size))
        await keeper.publish(tenant)
    report = await check(docs, tenant)
    assert (report.sequenced, report.published) == (sum(sizes), sum(sizes))
    assert report.numbers[instance.boot].runs == [(1, sum(sizes))]


async def test_tenants_and_the_platform_have_logs_of_their_own(
    docs, tenant, other_tenant, instance, keeper_of, check
) -> None:
    keeper = keeper_of(docs)
    logs = [tenant, other_tenant, ""]
    events = [instance.does(logs[i % 3]) for i in range(30)]
    await keeper.append(events)
    for i, log in enumerate(logs):
        await keeper.publish(log)
        assert (await check(docs, log)).published == 10
        assert await deeds_in(docs, log) == deeds_of(events[i::3])


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("published", [False, True])
async def test_redelivery_of_everything_changes_nothing(
    docs, tenant, instance, keeper_of, check, restarted, published
) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 60)
    await keeper.append(events[:25])
    if published:
        await keeper.publish(tenant)
    await keeper.append(events[25:])
    before = await docs.scan(SEGMENTS, limit=1000)
    if restarted:
        keeper = keeper_of(docs)
    for again in (events, events[::-1], events[10:40] + events[:20]):
        await keeper.append(again)
    assert await docs.scan(SEGMENTS, limit=1000) == before
    await keeper.publish(tenant)
    assert (await check(docs, tenant)).published == 60
    assert await deeds_in(docs, tenant) == deeds_of(events)


async def test_a_deed_twice_in_one_batch_is_one(docs, tenant, instance, keeper_of) -> None:
    events = instance.does_often(tenant, 3)
    await keeper_of(docs).append([*events, events[1], *events])
    assert await deeds_in(docs, tenant) == deeds_of(events)


async def test_a_deed_without_a_number_is_known_by_its_event(
    docs, tenant, instance, keeper_of
) -> None:
    events = [instance.does(tenant, n=0) for _ in range(3)]
    keeper = keeper_of(docs)
    for _ in range(2):
        await keeper.append(events)
    assert await deeds_in(docs, tenant) == deeds_of(events)


async def test_no_deed_is_lost_because_another_has_its_number(
    docs, tenant, instance, keeper_of
) -> None:
    keeper = keeper_of(docs)
    events = [instance.does(tenant, n=1), instance.does(tenant, n=1)]
    for _ in range(2):
        await keeper.append(events[:1])
        await keeper.append(events)
    assert await deeds_in(docs, tenant) == deeds_of(events)


async def test_every_leaf_has_a_salt_of_its_own(docs, tenant, instance, keeper_of) -> None:
    await keeper_of(docs).append(instance.does_often(tenant, 30))
    segments = await segments_from(docs, tenant, 0, limit=50)
    salts = [s.salt(at) for s in segments for at in range(len(s.entries))]
    assert len(set(salts)) == 30
    for segment in segments:
        for at, entry in enumerate(segment.entries):
            assert segment.leaf(at) == commitment(segment.salt(at), entry)


async def test_what_cannot_be_read_is_put_aside_and_holds_nobody_up(
    docs, tenant, instance, keeper_of
) -> None:
    bad_tenant = Event(event_id="x", deed=Deed(tenant="not an id")).SerializeToString()
    huge = Event(event_id="y", deed=Deed(tenant=tenant, actor="a" * 20_000)).SerializeToString()
    unreadable = [
        BusEvent(f"{i:032x}", "voicefile.auth.v1", "", payload)
        for i, payload in enumerate([b"\xff\xff", bad_tenant, huge])
    ]
    fact_alone = BusEvent(
        "f" * 32, "voicefile.auth.v1", "", Event(event_id="f").SerializeToString()
    )
    keeper = keeper_of(docs)
    await keeper.sequencer.handle([*unreadable, fact_alone])
    await keeper.sequencer.handle(unreadable)
    assert [d.id for d in await docs.scan(UNREADABLE)] == [event.id for event in unreadable]
    assert await docs.scan(SEGMENTS) == []


async def test_fields_of_a_later_contract_stay_in_the_entry(
    docs, tenant, instance, keeper_of
) -> None:
    event = instance.does(tenant)
    deed = Event.FromString(event.payload).deed.SerializeToString() + b"\xf2\x07\x03new"
    payload = b"\x12" + bytes([len(deed) & 0x7F | 0x80, len(deed) >> 7]) + deed
    await keeper_of(docs).append([BusEvent(event.id, event.topic, event.key, payload)])
    (segment,) = await segments_from(docs, tenant, 0, limit=1)
    assert segment.entries[0].endswith(b"\xf2\x07\x03new")


async def test_each_checkpoint_continues_the_one_before(
    docs, tenant, instance, keeper_of, check
) -> None:
    keeper, heads = keeper_of(docs), []
    for size in (1, 5, 50, 199, 1, 77, 300):
        await keeper.append(instance.does_often(tenant, size))
        await keeper.publisher.publish(tenant)
        heads.append(await head_of(docs, tenant))
    await keeper.publish(tenant)
    heads.append(await head_of(docs, tenant))
    for old, new in pairwise(heads):
        wanted = tiles_read(lambda read, o=old, n=new: consistency_proof(o.size, n.size, read))
        reader = hash_reader(hashes_of(await read_tiles(docs, tenant, wanted)))
        verify_consistency(
            old_size=old.size,
            old_root=old.root,
            size=new.size,
            root=new.root,
            proof=consistency_proof(old.size, new.size, reader),
        )


async def test_of_two_sequencers_one_gets_the_place_and_no_deed_doubles(
    docs, tenant, instance, keeper_of, check
) -> None:
    one, other = keeper_of(docs), keeper_of(docs)
    await one.sequencer.recover()
    await other.sequencer.recover()
    events = instance.does_often(tenant, 90)
    for begin in range(0, 90, 10):
        batch = events[begin : begin + 10]
        await one.append(batch)
        with pytest.raises(LogMoved):
            await other.append([*batch, events[0]])
        await other.append([*batch, events[0]])
        await one.publish(tenant)
        one, other = other, one
    assert (await check(docs, tenant)).published == 90
    assert await deeds_in(docs, tenant) == deeds_of(events)


async def test_what_contradicts_itself_is_not_signed(docs, tenant, instance, keeper_of) -> None:
    keeper = keeper_of(docs)
    await keeper.append(instance.does_often(tenant, 10))
    await keeper.publish(tenant)
    await keeper.append(instance.does_often(tenant, 10))
    segment = (await docs.scan(SEGMENTS, limit=10))[-1]
    await docs.delete(SEGMENTS, segment)
    await keeper.append(instance.does_often(tenant, 10))
    with pytest.raises(LogDamaged):
        await keeper.publish(tenant)
    assert (await head_of(docs, tenant)).size < 20


async def test_instances_are_followed_to_the_last_number_without_a_gap(
    docs, tenant, instance, keeper_of
) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 20)
    await keeper.append(events[:5] + events[7:])
    assert (await keeper.sequencer.boots.of(instance.boot)).contiguous == 5
    await keeper.publish(tenant)
    restarted = keeper_of(docs)
    await restarted.sequencer.recover()
    assert restarted.sequencer.boots.known()[instance.boot].contiguous == 5
    await restarted.append(events[5:7])
    assert restarted.sequencer.boots.known()[instance.boot].contiguous == 20


class Watched:
    """A watch for gaps, and the clock it looks at."""

    def __init__(self, keeper) -> None:
        self.now_s = 0.0
        boots = keeper.sequencer.boots
        self.watch = GapWatch(boots, gap_after_s=60, monotonic=lambda: self.now_s)

    def look(self, at_s: float) -> dict[str, int]:
        self.now_s = at_s
        return self.watch.look()


async def test_a_gap_is_reported_when_it_is_no_disorder_any_more(
    docs, tenant, instance, keeper_of
) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 10)
    watched = Watched(keeper)
    await keeper.append(events[:3] + events[5:])
    assert watched.look(0) == watched.look(59) == {}
    assert watched.look(61) == {instance.boot: 2}
    await keeper.append(events[3:5])
    assert watched.look(62) == {}


async def test_a_gap_that_grows_grows_no_younger(docs, tenant, instance, keeper_of) -> None:
    keeper, events = keeper_of(docs), instance.does_often(tenant, 10)
    watched = Watched(keeper)
    await keeper.append([events[0], events[2]])
    assert watched.look(0) == {}
    await keeper.append(events[5:])
    assert watched.look(61) == {instance.boot: 3}


async def test_what_was_under_way_when_an_instance_died_is_no_loss(
    docs, tenant, instance, keeper_of, capsys
) -> None:
    """Two writes begun after the third deed never arrived; two others of that moment did."""
    keeper, events = keeper_of(docs), instance.does_often(tenant, 3)
    dying = [instance.does(tenant, n=n, stored_through=3) for n in (5, 7)]
    watched = Watched(keeper)
    await keeper.append(events + dying)
    assert watched.look(0) == watched.look(61) == watched.look(120) == {}
    assert capsys.readouterr().out.count("deeds_unfinished") == 1
    assert deeds_unfinished()._value.get() == 2
    assert deeds_missing()._value.get() == 0


async def test_whoever_leads_next_knows_what_was_stored(docs, tenant, instance, keeper_of) -> None:
    """The control to the test before: the sixth deed says that the fifth was stored."""
    keeper, events = keeper_of(docs), instance.does_often(tenant, 6)
    await keeper.append([*events[:3], events[5]])
    await keeper.publish(tenant)
    restarted = keeper_of(docs)
    await restarted.sequencer.recover()
    watched = Watched(restarted)
    assert watched.look(0) == {}
    assert watched.look(61) == {instance.boot: 2}


async def test_nobody_vouches_for_numbers_still_to_come(docs, tenant, instance, keeper_of) -> None:
    keeper = keeper_of(docs)
    await keeper.append([instance.does(tenant, n=1, stored_through=2**63)])
    assert (await keeper.sequencer.boots.of(instance.boot)).lost.count == 0
