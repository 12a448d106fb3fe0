"""Calls: what the store has opens nothing, a sound is fetched once, an end is told once."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from voicefile.contracts.deed.v1 import Action
from voicefile.contracts.playback.v1 import PlaybackEvent
from voicefile.deeds.deed import Outcome
from voicefile.deeds.series import DEEDS, DeedSeries
from voicefile.docstore.port import VersionConflict
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.playback.events import TOPIC, wrap
from voicefile.playback.telephone.call_state import Call, Step
from voicefile.playback.telephone.calls import (
    CALLS,
    CallOver,
    Calls,
    Standing,
    call_object,
    to_play,
    to_say,
)

CALL_ID = "0a1b2c3d-0000-4000-8000-0123456789ab"
OTHER_ID = "0a1b2c3d-0000-4000-8000-0123456789ac"
IDLE_S = 600
CALL = Call(Step.PLAYING, "de", tenant="ee" * 16, session="5e" * 16, recordings=("ab" * 16,))


class Desk:
    def __init__(self, store):
        self.store = store
        self.now_s = 1_800_000_000
        self.calls = self.another()

    def another(self):
        """Another instance over the same store."""
        series = DeedSeries(self.store, topic=TOPIC, wrap=wrap)
        return Calls(self.store, series, idle_s=IDLE_S, now_s=lambda: self.now_s)

    async def told(self):
        return [
            PlaybackEvent.FromString(event.payload).deed
            for _, document in await self.store.pending()
            for event in document.pending
        ]

    async def put(self, *cues, call=CALL):
        standing = await self.calls.get(CALL_ID) or Standing(call)
        await self.calls.put(CALL_ID, replace(standing, call=call, cues=cues))
        return await self.calls.get(CALL_ID)


@pytest.fixture
async def desk(tmp_path):
    store = await SqliteDocStore.open(tmp_path / "calls.db", (DEEDS, CALLS))
    yield Desk(store)
    await store.close()


async def test_another_instance_goes_on_where_one_stopped(desk):
    await desk.put()
    assert (await desk.another().get(CALL_ID)).call == CALL
    assert await desk.another().get(OTHER_ID) is None


async def test_of_two_posts_at_once_one_moves_the_call(desk):
    standing = await desk.put()
    await desk.calls.put(CALL_ID, standing)
    with pytest.raises(VersionConflict):
        await desk.another().put(CALL_ID, standing)


async def test_a_sound_is_fetched_once_and_by_its_own_call_alone(desk):
    token, cue = to_play(80_000, 160_000)
    await desk.put(cue)
    assert await desk.calls.take(OTHER_ID, token) is None
    assert await desk.calls.take(CALL_ID, token[:-1] + "_") is None
    taken = await desk.calls.take(CALL_ID, token)
    assert (taken.start, taken.stop, taken.call) == (80_000, 160_000, CALL)
    assert await desk.calls.take(CALL_ID, token) is None
    assert await desk.another().take(CALL_ID, token) is None


async def test_of_many_who_fetch_at_once_one_gets_it(desk):
    token, cue = to_say(b"words")
    await desk.put(cue)
    taken = await asyncio.gather(*(desk.another().take(CALL_ID, token) for _ in range(8)))
    assert [each.said for each in taken if each] == [b"words"]


async def test_a_sound_of_a_step_before_is_gone(desk):
    token, cue = to_play(0, 80_000)
    await desk.put(cue)
    await desk.put(to_play(80_000, 160_000)[1])
    assert await desk.calls.take(CALL_ID, token) is None


async def test_what_the_store_has_says_nothing_and_opens_nothing(desk):
    token, cue = to_say(b'{"date": "1950-02-01", "digits": "471108"}')
    await desk.put(cue)
    [(_, document)] = [(CALLS, await desk.store.get(CALLS, call_object(CALL_ID)))]
    stored = msgspec.msgpack.encode([document.id, dict(document.body)])
    for secret in (token, CALL_ID, CALL_ID.replace("-", ""), "1950", "471108"):
        assert secret.encode() not in stored
    assert CALL.session.encode() in stored  # the control: this would have been seen


async def test_a_call_has_a_deed_of_its_beginning_and_one_of_its_end(desk):
    standing = await desk.put()
    await desk.put(to_play(0, 1)[1])
    standing = await desk.calls.get(CALL_ID)
    await asyncio.gather(*(desk.another().end(standing.document, how="caller") for _ in range(4)))
    told = [deed for deed in await desk.told() if deed.action != Action.ACTION_VOID]
    assert [deed.action for deed in told] == [
        Action.ACTION_CALL_ANSWERED,
        Action.ACTION_CALL_ENDED,
    ]
    assert {deed.object_id for deed in told} == {call_object(CALL_ID)}
    with pytest.raises(CallOver):
        await desk.calls.get(CALL_ID)


async def test_a_call_that_nobody_ended_is_ended_by_the_sweep(desk):
    token, cue = to_play(0, 80_000)
    await desk.put(cue)
    desk.now_s += IDLE_S - 1
    await desk.calls.sweep()
    assert await desk.calls.get(CALL_ID) is not None
    desk.now_s += 1
    with pytest.raises(CallOver):
        await desk.calls.get(CALL_ID)
    assert await desk.calls.take(CALL_ID, token) is None
    await desk.calls.sweep()
    await desk.calls.sweep()
    told = [deed.action for deed in await desk.told()]
    assert told.count(Action.ACTION_CALL_ENDED) == 1


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (Call(Step.ACCESS_ID, "de"), Outcome.OUTCOME_DONE),
        (Call(Step.PIN, "de", keyed=True, login="ab" * 16), Outcome.OUTCOME_REFUSED),
        (Call(Step.OVER, "de", keyed=True), Outcome.OUTCOME_REFUSED),
        (Call(Step.PLAYING, "de", keyed=True, session="5e" * 16), Outcome.OUTCOME_DONE),
    ],
)
async def test_the_end_of_a_call_says_whether_somebody_keyed_an_id_and_was_not_let_in(
    desk, call, outcome
):
    standing = await desk.put(call=call)
    await desk.calls.end(standing.document, how="caller")
    [ended] = [each for each in await desk.told() if each.action == Action.ACTION_CALL_ENDED]
    assert ended.outcome == outcome


async def test_a_call_kept_before_there_was_such_a_thing_is_still_read(desk):
    standing = await desk.put()
    kept = dict(standing.document.body["call"])
    del kept["keyed"]
    body = {**standing.document.body, "call": kept}
    await desk.store.replace(CALLS, replace(standing.document, body=body))
    assert (await desk.calls.get(CALL_ID)).call == CALL
