"""Whole calls at random, against real auth and playback: what must never happen in any of them.

Hypothesis has callers key, wait, hang up and vanish, instances die and take turns, and auth away.
Whatever it comes to: nobody hears a recording who has not proved ID, PIN and answer in that call;
each run of a recording leaves once, for its call, after its release; all that was keyed is a deed,
or counted where it is nobody's; and the next call is like any other.
"""

import os
import re
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.services.playback.telephone.pretended import prompts
from tests.telephony.call import Call, End
from tests.telephony.exchange import (
    EDGE,
    Exchange,
    Served,
    Trouble,
    an_exchange,
    keyed,
    let_in,
    reached,
)
from tests.telephony.sounds import samples

from voicefile.auth.listening.access_metrics import turned_away
from voicefile.deeds.deed import Outcome
from voicefile.playback.telephone.calls import call_object
from voicefile.playback.telephone.phrases import Text

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
pytestmark = pytest.mark.timeout(3_600 if LONG else 120)
ASKED = 1
"""The place of the letter that has a question."""
PATIENCE_S = 12.0
MISTYPED = "123456789012"
UNKNOWN = "111111111126"
WRONG_PIN = "00000000"
TOKEN = re.compile(r"/sounds/([^/]+)/([A-Za-z0-9_-]{32})\.wav")

CALLER = st.one_of(
    st.tuples(st.just("let_in"), st.integers(0, 1)),
    st.tuples(st.just("enter_id"), st.sampled_from(["0", "1", "unknown", "mistyped", "", "*"])),
    st.tuples(st.just("enter_pin"), st.sampled_from(["0", "1", "wrong", "", "*"])),
    st.tuples(st.just("enter_answer"), st.sampled_from(["right", "wrong", "*"])),
    st.tuples(st.just("press"), st.text("0123456789*#", min_size=1, max_size=4)),
    st.tuples(st.just("wait"), st.integers(1, 35)),
    st.tuples(st.just("hang_up"), st.booleans()),
)
FAULT = st.one_of(
    st.tuples(st.just("trouble"), st.sampled_from(Trouble)),
    st.tuples(st.just("die"), st.booleans()),
    st.tuples(st.just("alternate"), st.booleans()),
    st.tuples(st.just("down"), st.booleans()),
    st.tuples(st.just("steal"), st.none()),
)
SCRIPT = st.lists(st.one_of(CALLER, CALLER, FAULT), min_size=3, max_size=14)


@dataclass
class Day:
    """Calls, one after the other, and what was done to whom."""

    exchange: Exchange
    client: object
    letters: list
    calls: list[Call] = field(default_factory=list)
    crippled: set[str] = field(default_factory=set)
    """Calls during which an instance or auth was away: a sound that can't be fetched because of it
    is the edge's own apology, any other sentence of regret the dialogue's."""
    stolen: list[bytes] = field(default_factory=list)
    """What thieves heard."""

    @property
    def call(self) -> Call:
        return self.calls[-1]

    async def play(self, script):
        async with AsyncExitStack() as open_calls:
            for name, how in script:
                if not self.calls or self.call.ended is not None:
                    number = f"+4930{len(self.calls):06d}"
                    made = self.exchange.call(self.client, caller=number)
                    self.calls.append(made)
                    await open_calls.enter_async_context(made)
                self.note_trouble()
                await getattr(self, name)(how)
                self.note_trouble()

    def note_trouble(self):
        if self.exchange.down or self.exchange.auth.trouble is not Trouble.NONE:
            self.crippled.add(self.call.session_id)

    async def let_in(self, which):
        await let_in(self.call, self.letters[which])

    async def enter_id(self, which):
        ids = {"unknown": UNKNOWN, "mistyped": MISTYPED}
        digits = self.letters[int(which)].access_id if which.isdigit() else ids.get(which, which)
        await keyed(self.call, "id", digits, within_s=PATIENCE_S)

    async def enter_pin(self, which):
        digits = self.letters[int(which)].pin if which.isdigit() else which
        await keyed(
            self.call, "pin", WRONG_PIN if which == "wrong" else digits, within_s=PATIENCE_S
        )

    async def enter_answer(self, which):
        answers = {"right": self.letters[1].answer, "wrong": "0000"}
        await keyed(self.call, "answer", answers.get(which, which), within_s=PATIENCE_S)

    async def press(self, keys):
        await self.call.press(keys)

    async def wait(self, seconds):
        await self.call.wait(seconds)

    async def hang_up(self, politely):
        await (self.call.hang_up() if politely else self.call.vanish())

    async def trouble(self, trouble):
        self.exchange.auth.trouble = trouble

    async def die(self, told_before):
        if told_before:
            await self.exchange.stop()
        else:
            self.exchange.restart()

    async def alternate(self, how):
        self.exchange.alternately = how

    async def down(self, how):
        self.exchange.down = how

    async def steal(self, _):
        """What was fetched, once more; and what was not, as another call's."""
        there = [each.session_id for each in self.calls if each is not self.call]
        fetched = self.exchange.given[-6:]
        now = TOKEN.findall(self.call.documents[-1]) if self.call.documents else []
        again = fetched + [(call, token) for call in there[-2:] for _, token in fetched + now]
        again += [(self.call.session_id, token) for call, token in fetched if call in there]
        for call, token in again:
            path = f"{EDGE}/playback/v1/telephone/sounds/{call}/{token}.wav"
            with suppress(httpx.TransportError):  # nobody there to steal from
                self.stolen.append(samples((await self.client.get(path)).content))


def proved(served: Served, letter, *, question: bool) -> bool:
    """Whether ID, then PIN, then answer were posted for the call before it left."""
    wanted = [("id", letter.access_id), ("pin", letter.pin)]
    wanted += [("answer", letter.answer)] if question else []
    for form in served.keyed:
        if wanted and form.get(wanted[0][0], "").strip("#") == wanted[0][1]:
            wanted.pop(0)
    return not wanted


def counted() -> float:
    """Sign-ins that were turned away unchecked."""
    [family] = turned_away().collect()
    return sum(each.value for each in family.samples if each.name.endswith("_total"))


async def holds(day: Day, turned_before: float) -> None:
    exchange = day.exchange
    owners = {each: letter for letter in day.letters for each in letter.recordings}
    for served in exchange.served:
        letter = owners[served.recording]
        question = letter is day.letters[ASKED]
        assert proved(served, letter, question=question), "audio before it was proved"
        assert served.released, "audio before its release"
    fetched = Counter(token for _, token in exchange.given)
    assert not [each for each, times in fetched.items() if times > 1], "fetched twice"
    assert not any(day.stolen), "heard by a thief"
    for call in day.calls:
        assert call.apology is None or call.session_id in day.crippled, call.apology
    await entries_told(day, turned_before)
    await calls_told(day)


async def entries_told(day: Day, turned_before: float) -> None:
    world, asked = day.exchange.world, Counter(day.exchange.auth.asked)
    signed = Counter(deed.outcome for deed in await world.told("CUSTOMER_SIGNED_IN"))
    put = len(await world.told("QUESTION_ASKED"))
    answered = Counter(deed.outcome for deed in await world.told("QUESTION_ANSWERED"))
    assert asked["pin", 201] + asked["answer", 201] == signed[Outcome.OUTCOME_DONE] + put
    assert asked["answer", 201] == answered[Outcome.OUTCOME_DONE]
    refused = sum(
        times
        for (what, status), times in asked.items()
        if what in {"pin", "answer"} and status in {401, 429, 503}
    )
    told = signed[Outcome.OUTCOME_REFUSED] + answered[Outcome.OUTCOME_REFUSED]
    assert refused == told + counted() - turned_before + day.exchange.auth.over


async def calls_told(day: Day) -> None:
    await day.exchange.swept()
    answered = await day.exchange.deeds("CALL_ANSWERED")
    ended = {deed.object_id: deed for deed in await day.exchange.deeds("CALL_ENDED")}
    assert {deed.object_id for deed in answered} == set(ended)
    assert len(answered) == len(ended) == len(await day.exchange.deeds("CALL_ENDED"))
    by_call = {call_object(call.session_id): call for call in day.calls}
    for name, deed in ended.items():
        call = by_call[name]
        posts = day.exchange.told.get(call.session_id, [])
        heard = any(each.call == call.session_id for each in day.exchange.served)
        tried = any(re.fullmatch(r"[0-9]{12}#?", form.get("id", "")) for form in posts)
        if heard or not any(form.get("id", "").strip("#*0") for form in posts):
            assert deed.outcome == Outcome.OUTCOME_DONE
        elif tried and not any(form.get("pin") for form in posts):
            assert deed.outcome == Outcome.OUTCOME_REFUSED
    releases = {deed.object_id for deed in await day.exchange.world.told("RELEASE_GRANTED")}
    assert {each.recording for each in day.exchange.served} <= releases


def words(*keys: str) -> bytes:
    """What a caller hears of these texts, in German."""
    return samples(prompts().say([Text(key) for key in keys], "de"))


async def next_call_is_fine(day: Day) -> None:
    """Whatever happened before: with everything there again a customer hears all of it."""
    exchange = day.exchange
    exchange.down, exchange.auth.trouble = False, Trouble.NONE
    letter = await exchange.letter(seconds=12)
    async with exchange.call(day.client, caller="+49409999999") as call:
        await let_in(call, letter)
        await call.wait(30)
        await call.press("#")
        await reached(call, lambda: call.ended is not None)
    assert (call.ended, call.apology) == (End.SERVICE, None)
    assert exchange.sound[letter.recordings[0]] in call.pcm


@given(script=SCRIPT)
@example(script=[("down", True), ("hang_up", True), ("down", False), ("alternate", True)])
@settings(
    max_examples=200 if LONG else 12,
    deadline=None,
    # A script is short already, and making it shorter takes longer than a test may.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_whatever_happens_in_calls_nothing_of_it_may_not(tmp_path_factory, script):
    turned_before = counted()
    async with an_exchange(tmp_path_factory.mktemp("calls"), instances=2) as exchange:
        letters = [
            await exchange.letter(seconds=25, count=2),
            await exchange.letter(seconds=25, question=True),
        ]
        async with exchange.client() as client:
            day = Day(exchange, client, letters)
            await day.play(script)
            await holds(day, turned_before)
            await next_call_is_fine(day)


@pytest.mark.parametrize("trouble", [each for each in Trouble if each is not Trouble.NONE])
@pytest.mark.parametrize("at", ["id", "pin", "key"])
async def test_an_outage_at_any_step_is_an_apology_and_no_audio(tmp_path, trouble, at):
    async with an_exchange(tmp_path) as exchange:
        letter = await exchange.letter(seconds=25)
        async with exchange.client() as client, exchange.call(client) as call:
            digits = {"id": letter.access_id, "pin": letter.pin}
            for asked in ("id", "pin", "key"):
                await reached(call, lambda asked=asked: call.asks == asked)
                if asked == at:
                    break
                await call.press(f"{digits[asked]}#")
            exchange.auth.trouble = trouble
            exchange.restart()
            served = len(exchange.served)
            if at in digits:
                await call.press(f"{digits[at]}#")
            await reached(call, lambda: call.ended is not None, within_s=90)
            assert (call.ended, call.apology) == (End.SERVICE, None)
            # Without auth a new start has no key: of what comes after, nothing was heard.
            assert len(exchange.served) == served
            assert call.pcm.endswith(words("apology", "goodbye"))


async def test_the_control_an_invariant_that_is_broken_is_found(tmp_path):
    async with an_exchange(tmp_path) as exchange:
        letters = [await exchange.letter(seconds=12), await exchange.letter(question=True)]
        async with exchange.client() as client:
            day = Day(exchange, client, letters)
            await day.play([("let_in", 0), ("wait", 20)])
            assert exchange.served
            for broken in (
                {"keyed": ()},
                {"released": False},
                {"recording": letters[1].recordings[0]},
            ):
                kept = exchange.served[0]
                exchange.served[0] = replace(kept, **broken)
                with pytest.raises(AssertionError):
                    await holds(day, counted())
                exchange.served[0] = kept
            exchange.given.append(exchange.given[-1])
            with pytest.raises(AssertionError, match="twice"):
                await holds(day, counted())
