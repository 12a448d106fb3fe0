"""What is passed is handled or buried; and who is to blame when a handler fails."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from voicefile.docstore.port import StoreUnavailable
from voicefile.eventbus.attempts import Patience, is_outage
from voicefile.eventbus.conformance import TOPIC, Listener, some_events
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.delivery import WAIT_MAX_S, Delivery, Outcome
from voicefile.eventbus.kafka_record import (
    ID_HEADER,
    TRACE_HEADER,
    Place,
    Taken,
    Unreadable,
    event_of,
    outgoing,
    trace_of,
)
from voicefile.eventbus.port import Event, NotNow

HASTY = Patience(batch_max=10, tries_max=3, backoff_s=0.0005)


class Graves:
    """Keeps dead letters, or refuses them while `full`."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.full = False

    async def __call__(self, letter: DeadLetter) -> bool:
        if not self.full:
            self.letters.append(letter)
        return not self.full

    @property
    def ids(self) -> list[str]:
        return [letter.event_id for letter in self.letters]


class Way:
    """A delivery with everything it needs, and what a group would do around it."""

    def __init__(self, fails: Callable[[Sequence[Event]], bool]) -> None:
        self.listener = Listener(fails)
        self.graves = Graves()
        self.leave = asyncio.Event()
        self.delivery = Delivery(
            TOPIC, "group", self.listener, patience=HASTY, bury=self.graves, leave=self.leave
        )

    async def rounds(self, records: Sequence[Taken], count: int) -> int:
        """Brings what is left again, as often as told; answers how much was passed."""
        passed = 0
        for _ in range(count):
            passed += (await self.delivery.deliver(records[passed:])).passed
        return passed


def taken(events: Sequence[Event]) -> list[Taken]:
    return [Taken(Place(TOPIC, 0), at, event) for at, event in enumerate(events)]


@pytest.fixture
def events() -> list[Event]:
    return some_events(25)


async def test_what_is_handled_is_passed(events: list[Event]) -> None:
    way = Way(lambda _: False)
    assert await way.delivery.deliver(taken(events)) == Outcome(25)
    assert way.listener.heard == events


async def test_poison_is_buried_under_its_place_and_the_rest_is_handled(
    events: list[Event],
) -> None:
    way = Way(lambda batch: events[12] in batch)
    assert await way.delivery.deliver(taken(events)) == Outcome(25)
    assert way.listener.first_heard() == events[:12] + events[13:]
    assert way.graves.letters == [
        DeadLetter(TOPIC, "group", events[12].id, events[12].key, 0, 12, "ConnectionError")
    ]


async def test_while_everything_fails_nothing_is_buried_and_the_waits_grow(
    events: list[Event],
) -> None:
    well = False
    way = Way(lambda _: not well)
    records = taken(events)
    outcomes = [await way.delivery.deliver(records) for _ in range(8)]
    assert {outcome.passed for outcome in outcomes} == {0}
    waits = [outcome.wait_s for outcome in outcomes]
    assert waits == sorted(waits)
    assert waits[-1] == WAIT_MAX_S
    assert way.graves.letters == []
    well = True
    assert await way.delivery.deliver(records) == Outcome(25)
    assert way.graves.letters == []


async def test_poison_in_a_row_is_buried_because_another_key_proves_the_group_alive(
    events: list[Event],
) -> None:
    poison = events[5:11]
    way = Way(lambda batch: any(event in poison for event in batch))
    # It holds one of each key, so only the newest of all can tell, in a second round.
    assert await way.rounds(taken(events), 1) == 5
    assert await way.rounds(taken(events)[5:], 2 * len(poison)) == 20
    assert way.graves.ids == [event.id for event in poison]
    assert way.listener.has(events[:5] + events[11:])


async def test_poison_with_nothing_behind_it_waits_for_others_to_come() -> None:
    events = [Event(f"e{at}", TOPIC, f"k{at}", b"") for at in range(7)]
    poison = events[:6]
    way = Way(lambda batch: any(event in poison for event in batch))
    passed = await way.rounds(taken(poison), 8)
    assert passed < len(poison)
    assert len(way.graves.letters) == passed
    assert (await way.delivery.deliver(taken(events)[passed:])).passed == 7 - passed
    assert way.graves.ids == [event.id for event in poison]


async def test_an_event_that_waits_is_overtaken_by_none_of_its_key() -> None:
    events = [Event(f"e{at}", TOPIC, "one-key", b"") for at in range(20)]
    well = False
    way = Way(lambda _: not well)
    assert await way.rounds(taken(events), 5) == 0
    assert way.listener.heard == []
    well = True
    assert await way.rounds(taken(events), 1) == 20
    assert way.listener.heard == events


async def test_a_group_that_recovers_in_the_middle_of_a_search_buries_nothing(
    events: list[Event],
) -> None:
    for recovers_after in range(1, 20):
        calls = 0

        def down_for_a_while(_: Sequence[Event], last: int = recovers_after) -> bool:
            nonlocal calls
            calls += 1
            return calls <= last

        way = Way(down_for_a_while)
        assert await way.rounds(taken(events), 20) == 25
        assert way.graves.letters == []
        for key in {event.key for event in events}:
            of_key = [event for event in way.listener.first_heard() if event.key == key]
            assert of_key == [event for event in events if event.key == key]


@pytest.mark.parametrize("reason", [NotNow, StoreUnavailable])
async def test_an_outage_is_waited_out_however_long(
    events: list[Event], reason: type[Exception]
) -> None:
    calls, well = 0, False

    async def handler(batch: Sequence[Event]) -> None:
        nonlocal calls
        calls += 1
        if not well:
            raise ValueError("words") from reason()

    graves = Graves()
    delivery = Delivery(TOPIC, "group", handler, patience=HASTY, bury=graves, leave=asyncio.Event())
    for _ in range(20):
        assert (await delivery.deliver(taken(events))).passed == 0
    assert calls == 20
    well = True
    assert (await delivery.deliver(taken(events))).passed == 25
    assert graves.letters == []


def test_an_outage_shows_through_whatever_it_is_wrapped_in() -> None:
    group = ExceptionGroup("several", [ValueError(), NotNow()])
    assert is_outage(group)
    wrapped = KeyError()
    wrapped.__context__ = StoreUnavailable()
    assert is_outage(wrapped)
    wrapped.__suppress_context__ = True
    assert not is_outage(wrapped)
    assert not is_outage(None)


async def test_what_cannot_be_read_is_buried_in_its_turn(events: list[Event]) -> None:
    way = Way(lambda batch: events[3] in batch)
    way.listener = Listener()
    records = taken(events[:5])
    records[1:1] = [Taken(Place(TOPIC, 1), 70, None)]
    assert await way.delivery.deliver(records) == Outcome(6)
    unreadable, poison = sorted(way.graves.letters, key=lambda letter: letter.event_id)
    assert (unreadable.event_id, unreadable.partition, unreadable.offset) == ("", 1, 70)
    assert unreadable.reason == "Unreadable"
    assert poison.event_id == events[3].id


async def test_what_is_not_buried_for_good_is_not_passed(events: list[Event]) -> None:
    way = Way(lambda batch: events[4] in batch)
    way.graves.full = True
    records = taken(events[:8])
    outcome = await way.delivery.deliver(records)
    assert outcome.passed == 4
    assert outcome.wait_s > 0
    way.graves.full = False
    assert (await way.delivery.deliver(records[4:])).passed == 4
    assert way.graves.ids == [events[4].id]
    unreadable = [Taken(Place(TOPIC, 0), 0, None)]
    way.graves.full = True
    assert (await way.delivery.deliver(unreadable)).passed == 0


async def test_who_has_to_leave_passes_no_more_than_is_done(events: list[Event]) -> None:
    way = Way(lambda _: False)

    async def handler(batch: Sequence[Event]) -> None:
        await way.listener(batch)
        way.leave.set()

    way.delivery = Delivery(
        TOPIC, "group", handler, patience=HASTY, bury=way.graves, leave=way.leave
    )
    assert (await way.delivery.deliver(taken(events))).passed == HASTY.batch_max
    failing = Way(lambda _: True)
    failing.leave.set()
    assert (await failing.delivery.deliver(taken(events))).passed == 0
    assert failing.graves.letters == []


def test_an_event_comes_out_of_the_log_as_it_went_in() -> None:
    event = Event("id-1", TOPIC, "schlüssel", b"\x00\xff")
    record = outgoing(event, trace=b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    back = event_of(TOPIC, key=record.key, value=record.value, headers=record.headers)
    assert back == event
    assert trace_of(record.headers) == b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, b"v", [(ID_HEADER, b"e")]),
        (b"k", None, [(ID_HEADER, b"e")]),
        (b"k", b"v", []),
        (b"k", b"v", [(ID_HEADER, b"e"), (ID_HEADER, b"f")]),
        (b"k", b"v", [(ID_HEADER, b"")]),
        (b"k", b"v", [(ID_HEADER, b"e" * 257)]),
        (b"k", b"v", [(ID_HEADER, b"\xff")]),
        (b"\xff", b"v", [(ID_HEADER, b"e")]),
    ],
)
def test_foreign_bytes_are_no_event(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    with pytest.raises(Unreadable):
        event_of(TOPIC, key=key, value=value, headers=headers)


@pytest.mark.parametrize("given", [b"", b"00-zz", b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01"])
def test_what_is_no_trace_is_not_followed(given: bytes) -> None:
    assert trace_of([(TRACE_HEADER, given)]) is None
