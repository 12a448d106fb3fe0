"""A listening holds one leased key, renews it while it plays, and ends with an outcome."""

import asyncio
import dataclasses
from dataclasses import dataclass, field

import pytest

from voicefile.contracts.playback.v1 import PlaybackEvent
from voicefile.crypto.secret import DataKey
from voicefile.deeds.deed import Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import StoreUnavailable
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.identity.principal import Role
from voicefile.playback.app import COLLECTIONS
from voicefile.playback.ask_auth import Release
from voicefile.playback.errors import AuthUnavailable, ReleaseOver, TooManyListenings
from voicefile.playback.events import TOPIC, wrap
from voicefile.playback.listener import Caller
from voicefile.playback.listenings import GIVES_WAY_AFTER_S, Listenings
from voicefile.playback.outcomes import Outcomes
from voicefile.playback.settings import PlaybackSettings

RECORDING = "ab" * 16
CUSTOMER = Caller(role=Role.CUSTOMER, bearer="vs_one")


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@dataclass
class FakeAuth:
    """Auth as playback sees it: gives releases, renews them until told not to."""

    renewable: bool = True
    reachable: bool = True
    granted: list[str] = field(default_factory=list)
    renewals: int = 0
    renewed_by: list[str | None] = field(default_factory=list)
    ended: list[tuple[str, int, str]] = field(default_factory=list)

    async def release(self, caller, recording_id, *, listening, request_id):
        await asyncio.sleep(0)
        if not self.reachable:
            raise AuthUnavailable
        self.granted.append(listening)
        return Release(
            id=f"{len(self.granted):032x}",
            recording=recording_id,
            tenant="cd" * 16,
            lease_s=45.0,
            key=DataKey.random(),
            blobs={},
            true_bytes={},
            media_type="audio/wav",
        )

    async def renew(self, release_id, *, bearer=None):
        if not self.reachable:
            raise AuthUnavailable
        if not self.renewable:
            raise ReleaseOver
        self.renewals += 1
        self.renewed_by.append(bearer)
        return 45.0

    async def end(self, release_id, *, bytes_sent, end):
        await asyncio.sleep(0)
        if not self.reachable:
            raise AuthUnavailable
        self.ended.append((release_id, bytes_sent, end))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def auth():
    return FakeAuth()


@pytest.fixture
async def store(tmp_path):
    opened = await SqliteDocStore.open(tmp_path / "playback.db", COLLECTIONS)
    yield opened
    await opened.close()


@pytest.fixture
def outcomes(store, clock):
    series = DeedSeries(store, topic=TOPIC, wrap=wrap, now_s=clock)
    return Outcomes(store, series, now_s=clock)


@pytest.fixture
def listenings(auth, clock, outcomes):
    settings = PlaybackSettings(listenings_max=3)
    return Listenings(auth=auth, settings=settings, outcomes=outcomes, now=clock)


@pytest.fixture
def recorded(store):
    async def read():
        events = [
            PlaybackEvent.FromString(event.payload)
            for _, document in await store.pending()
            for event in document.pending
        ]
        return [
            (each.deed.object_id, each.listening_ended.bytes_sent, each.deed.outcome)
            for each in events
        ]

    return read


async def test_requests_of_one_session_for_one_recording_are_one_listening(listenings, auth):
    async with asyncio.TaskGroup() as together:
        for _ in range(5):
            together.create_task(listenings.of(CUSTOMER, RECORDING, request_id="r"))
    assert len(auth.granted) == 1


async def test_another_session_is_another_listening(listenings, auth):
    await listenings.of(CUSTOMER, RECORDING, request_id="r")
    await listenings.of(Caller(Role.CUSTOMER, "vs_two"), RECORDING, request_id="r")
    assert len(set(auth.granted)) == 2


async def test_another_purpose_is_another_listening(listenings, auth):
    agent = {"role": Role.CARE, "bearer": "t", "principal": "aa" * 16}
    await listenings.of(Caller(**agent, purpose="complaint"), RECORDING, request_id="r")
    await listenings.of(Caller(**agent, purpose="quality"), RECORDING, request_id="r")
    assert len(set(auth.granted)) == 2


async def test_a_new_token_of_the_same_agent_is_the_same_listening(listenings, auth):
    for token in ("first", "second"):
        agent = Caller(Role.CARE, token, principal="aa" * 16, purpose="quality")
        await listenings.of(agent, RECORDING, request_id="r")
    assert len(auth.granted) == 1


async def test_no_token_is_kept_and_what_plays_is_renewed_without(listenings, auth, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert CUSTOMER.bearer not in str(dataclasses.asdict(listening.listener))
    async with listenings.playing(listening):
        for _ in range(3):
            clock.now_s += 31
            await listenings.look_after()
    assert auth.renewed_by == [None] * 3
    assert listenings.usable(listening)


async def test_who_goes_on_asking_is_vouched_for_once_a_minute(listenings, auth, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    async with listenings.playing(listening):
        for _ in range(9):
            clock.now_s += 10
            await listenings.look_after()
            await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert [by for by in auth.renewed_by if by] == [CUSTOMER.bearer]


async def test_a_renewal_is_asked_for_with_the_newest_token(listenings, auth, clock):
    for token in ("expires soon", "fresh"):
        agent = Caller(Role.CARE, token, principal="aa" * 16, purpose="quality")
        await listenings.of(agent, RECORDING, request_id="r")
        clock.now_s += 60
    await listenings.of(agent, RECORDING, request_id="r")
    assert auth.renewed_by == ["fresh", "fresh"]


async def test_a_lapsed_lease_is_renewed_on_the_same_release(listenings, auth, clock):
    first = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    clock.now_s += 60
    assert not listenings.usable(first)
    again = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert again is first
    assert listenings.usable(again)
    assert (len(auth.granted), auth.renewals) == (1, 1)


async def test_while_it_plays_the_lease_is_renewed(listenings, auth, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    async with listenings.playing(listening):
        for _ in range(10):
            clock.now_s += 31
            await listenings.look_after()
            assert listenings.usable(listening)
    assert auth.renewals == 10


async def test_after_sign_out_a_playing_stream_is_cut_within_its_lease(
    listenings, auth, clock, recorded
):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    async with listenings.playing(listening):
        auth.renewable = False
        clock.now_s += 31
        await listenings.look_after()
        assert not listenings.usable(listening)
    await listenings.look_after()
    assert await recorded() == [(listening.release.id, 0, Outcome.OUTCOME_DONE)]


async def test_with_auth_away_the_lease_runs_out_and_no_key_outlives_it(listenings, auth, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    auth.reachable = False
    async with listenings.playing(listening):
        clock.now_s += 31
        await listenings.look_after()
        assert listenings.usable(listening)
        clock.now_s += 15
        assert not listenings.usable(listening)


async def test_a_listening_ends_when_no_byte_was_asked_for_long(listenings, auth, clock, recorded):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    listening.bytes_sent = 77
    clock.now_s += 299
    await listenings.look_after()
    assert await recorded() == []
    clock.now_s += 2
    await listenings.look_after()
    assert await recorded() == [(listening.release.id, 77, Outcome.OUTCOME_DONE)]
    assert auth.ended == [(listening.release.id, 77, "idle")]
    await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert len(auth.granted) == 2


async def test_an_instance_holds_no_more_keys_than_it_may(listenings):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    with pytest.raises(TooManyListenings):
        await listenings.of(Caller(Role.CUSTOMER, "vs_more"), RECORDING, request_id="r")


async def test_where_there_is_no_room_whoever_left_longest_ago_gives_way(
    listenings, auth, clock, recorded
):
    held = []
    for n in range(3):
        clock.now_s += GIVES_WAY_AFTER_S
        caller = Caller(Role.CUSTOMER, f"vs_{n}")
        held.append(await listenings.of(caller, RECORDING, request_id="r"))
    held[1].bytes_sent = 77
    async with listenings.playing(held[0]):
        await listenings.of(Caller(Role.CUSTOMER, "vs_more"), RECORDING, request_id="r")
        with pytest.raises(TooManyListenings):
            await listenings.of(Caller(Role.CUSTOMER, "vs_late"), RECORDING, request_id="r")
    assert await recorded() == [(held[1].release.id, 77, Outcome.OUTCOME_DONE)]
    assert auth.ended == [(held[1].release.id, 77, "gave-way")]
    assert [listenings.usable(each) for each in held] == [True, False, True]


async def test_who_gave_way_hears_on_by_a_new_release(listenings, auth, clock):
    first = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    clock.now_s += GIVES_WAY_AFTER_S
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    clock.now_s += GIVES_WAY_AFTER_S
    again = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert again.release.id != first.release.id
    assert listenings.usable(again)
    assert not listenings.usable(first)


async def test_nobody_gives_way_to_somebody_who_may_not_hear_it(listenings, auth, clock):
    held = [
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
        for n in range(3)
    ]
    clock.now_s += GIVES_WAY_AFTER_S
    auth.reachable = False
    with pytest.raises(AuthUnavailable):
        await listenings.of(Caller(Role.CUSTOMER, "vs_stranger"), RECORDING, request_id="r")
    assert auth.ended == []
    assert all(listenings.usable(each) for each in held)


async def test_who_came_back_in_time_does_not_give_way(listenings, auth, clock):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    clock.now_s += GIVES_WAY_AFTER_S
    async with asyncio.TaskGroup() as together:
        back = [
            together.create_task(
                listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
            )
            for n in range(2)
        ]
        late = together.create_task(
            listenings.of(Caller(Role.CUSTOMER, "vs_late"), RECORDING, request_id="r")
        )
    assert all(listenings.usable(each.result()) for each in [*back, late])
    assert [release for release, _, _ in auth.ended] == [f"{3:032x}"]


async def test_places_are_given_away_once_and_who_gets_none_gives_the_release_back(
    listenings, auth, clock, recorded
):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    clock.now_s += GIVES_WAY_AFTER_S
    late = [Caller(Role.CUSTOMER, f"vs_late_{n}") for n in range(5)]
    begun = await asyncio.gather(
        *(listenings.of(each, RECORDING, request_id="r") for each in late), return_exceptions=True
    )
    refused = [each for each in begun if isinstance(each, TooManyListenings)]
    assert len(refused) == 2
    assert sorted(end for _, _, end in auth.ended) == ["gave-way"] * 3 + ["stopped"] * 2
    assert len({release for release, _, _ in await recorded()}) == 3


async def test_one_listener_does_not_take_all_places(auth, clock, outcomes):
    settings = PlaybackSettings(listenings_max=10, listenings_per_listener_max=2)
    listenings = Listenings(auth=auth, settings=settings, outcomes=outcomes, now=clock)
    for n in range(2):
        await listenings.of(CUSTOMER, f"{n:032x}", request_id="r")
    with pytest.raises(TooManyListenings):
        await listenings.of(CUSTOMER, RECORDING, request_id="r")
    await listenings.of(Caller(Role.CUSTOMER, "vs_two"), RECORDING, request_id="r")


async def test_who_has_all_the_places_of_one_gives_way_to_themselves_alone(auth, clock, outcomes):
    settings = PlaybackSettings(listenings_max=10, listenings_per_listener_max=2)
    listenings = Listenings(auth=auth, settings=settings, outcomes=outcomes, now=clock)
    another = await listenings.of(Caller(Role.CUSTOMER, "vs_two"), RECORDING, request_id="r")
    theirs = [await listenings.of(CUSTOMER, f"{n:032x}", request_id="r") for n in range(2)]
    clock.now_s += GIVES_WAY_AFTER_S
    await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert auth.ended == [(theirs[0].release.id, 0, "idle")]
    assert listenings.usable(another)


async def test_what_is_over_gets_its_outcome_before_the_next_one_begins(
    listenings, auth, clock, recorded
):
    first = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    first.bytes_sent = 77
    clock.now_s += 60
    auth.renewable = False
    with pytest.raises(ReleaseOver):
        await listenings.of(CUSTOMER, RECORDING, request_id="r")
    auth.renewable = True
    second = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert second is not first
    assert await recorded() == [(first.release.id, 77, Outcome.OUTCOME_DONE)]


async def test_who_comes_back_while_an_idle_listening_ends_gets_a_living_one(
    listenings, clock, recorded
):
    first = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    clock.now_s += 301
    async with asyncio.TaskGroup() as together:
        together.create_task(listenings.look_after())
        again = together.create_task(listenings.of(CUSTOMER, RECORDING, request_id="r"))
    assert listenings.usable(again.result())
    ended = [release for release, _, _ in await recorded()]
    assert ended == ([] if again.result() is first else [first.release.id])


async def test_no_byte_leaves_while_the_outcome_is_written(listenings, store, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    usable_meanwhile = []
    write = store.replace

    async def replacing(collection, document):
        usable_meanwhile.append(listenings.usable(listening))
        return await write(collection, document)

    store.replace = replacing
    await listenings.end_all()
    assert usable_meanwhile == [False]


async def test_stopping_records_every_outcome_though_auth_is_away(listenings, auth, recorded):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    auth.reachable = False
    await listenings.end_all()
    assert len(await recorded()) == 3


async def test_stopping_gives_every_listening_its_outcome(listenings, recorded):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    await listenings.end_all()
    assert len(await recorded()) == 3


async def test_a_listening_of_a_process_that_died_is_recorded_as_failed(
    listenings, outcomes, clock, recorded
):
    lost = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    clock.now_s += 10_000
    assert await outcomes.sweep(older_than_s=420) == 1
    assert await outcomes.sweep(older_than_s=420) == 0
    assert await recorded() == [(lost.release.id, 0, Outcome.OUTCOME_FAILED)]


async def test_a_listening_that_is_renewed_is_never_swept(listenings, outcomes, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    async with listenings.playing(listening):
        for _ in range(40):
            clock.now_s += 31
            await listenings.look_after()
        assert await outcomes.sweep(older_than_s=420) == 0


async def test_a_listening_ended_elsewhere_is_over_here_too(listenings, outcomes, clock):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    document = listening.document
    await outcomes.ended(document, bytes_sent=0, outcome=Outcome.OUTCOME_FAILED)
    clock.now_s += 60
    with pytest.raises(ReleaseOver):
        await listenings.of(CUSTOMER, RECORDING, request_id="r")


class Away:
    """A store that is out of reach for these operations."""

    def __init__(self, store, *names):
        self.store, self.names = store, set(names)

    def __getattr__(self, name):
        if name not in self.names:
            return getattr(self.store, name)

        async def refuse(*_args, **_kwargs):
            raise StoreUnavailable

        return refuse


async def test_what_plays_goes_on_while_the_store_is_away(listenings, auth, clock, outcomes, store):
    listening = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    async with listenings.playing(listening):
        outcomes._store = Away(store, "replace")
        for _ in range(3):
            clock.now_s += 31
            await listenings.look_after()
        assert listenings.usable(listening)
        outcomes._store = store
        clock.now_s += 31
        await listenings.look_after()
        assert await outcomes.sweep(older_than_s=420) == 0
    assert auth.renewals == 4


async def test_an_outcome_that_waits_for_the_store_holds_up_no_lease(auth, clock, store):
    waiting, go_on = asyncio.Event(), asyncio.Event()

    class Held(Outcomes):
        async def ended(self, *args, **kwargs):
            waiting.set()
            await go_on.wait()
            await super().ended(*args, **kwargs)

    series = DeedSeries(store, topic=TOPIC, wrap=wrap, now_s=clock)
    listenings = Listenings(
        auth=auth,
        settings=PlaybackSettings(housekeeping_s=0.005),
        outcomes=Held(store, series, now_s=clock),
        now=clock,
    )
    idle = await listenings.of(CUSTOMER, RECORDING, request_id="r")
    playing = await listenings.of(Caller(Role.CUSTOMER, "vs_two"), RECORDING, request_id="r")
    async with listenings.playing(playing), asyncio.timeout(20):
        keeping = asyncio.create_task(listenings.keep())
        clock.now_s += 301
        await waiting.wait()
        assert idle.over
        for _ in range(3):
            renewals = auth.renewals
            clock.now_s += 31
            while auth.renewals == renewals:
                await asyncio.sleep(0.005)
        assert listenings.usable(playing)
        keeping.cancel()
        await asyncio.wait({keeping})
    go_on.set()


async def test_one_outcome_that_cannot_be_recorded_keeps_no_other_from_it(
    listenings, outcomes, recorded, store
):
    for n in range(3):
        await listenings.of(Caller(Role.CUSTOMER, f"vs_{n}"), RECORDING, request_id="r")
    refused = []
    replace = store.replace

    async def once(collection, document):
        if not refused:
            refused.append(document)
            raise StoreUnavailable
        return await replace(collection, document)

    store.replace = once
    await listenings.end_all()
    # The one of which nothing was recorded is swept as lost, one day, by whoever leads.
    assert len([release for release, _, _ in await recorded() if release]) == 2


async def test_a_release_that_cannot_be_written_down_is_given_back(
    listenings, auth, outcomes, store
):
    outcomes._store = Away(store, "insert")
    with pytest.raises(StoreUnavailable):
        await listenings.of(CUSTOMER, RECORDING, request_id="r")
    assert auth.ended == [(f"{1:032x}", 0, "stopped")]
    outcomes._store = store
    await listenings.of(CUSTOMER, RECORDING, request_id="r")


def test_a_listener_never_shows_its_bearer():
    assert "vs_one" not in repr(CUSTOMER)
    assert "vs_one" not in repr(CUSTOMER.listener)
    assert "vs_one" not in CUSTOMER.listener.listening_key(RECORDING)
