"""The dialogue: every way through it, and what holds on all of them."""

import datetime as dt
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.crypto.secret import SecretText
from voicefile.playback.telephone import call_state, moves
from voicefile.playback.telephone.call_state import (
    CHUNK_SAMPLES,
    LONG_STEP,
    SAMPLES_PER_S,
    SHORT_STEP,
    Call,
    Step,
)
from voicefile.playback.telephone.dialogue import advance
from voicefile.playback.telephone.moves import (
    Ask,
    Choice,
    End,
    Fingerprint,
    NowPlaying,
    Offer,
    Play,
    Several,
    Transfer,
    Wait,
    Words,
)
from voicefile.playback.telephone.phrases import fragments
from voicefile.playback.telephone.speech import About, packed, spoken, unpacked

RIGHT_ID, RIGHT_PIN, RIGHT_ANSWER = "111111111126", "12345678", "1234"
MINUTES = 3 * 60 * SAMPLES_PER_S
KEYS = "0123456789*#"


CALL = Call(Step.ACCESS_ID, "de", "en", operator="+49301")


@dataclass
class Line:
    """A call in conversation with an auth on paper."""

    known: bool = True
    question: str = ""
    recordings: tuple[str, ...] = ("r0",)
    samples: int = MINUTES
    call: Call = CALL
    away: bool = False
    """Auth does not answer any more."""
    over: bool = False
    """The session was ended elsewhere."""
    told: list = field(default_factory=list)
    replies: list = field(default_factory=list)

    def happens(self, happened):
        self.call, move = advance(self.call, happened)
        while not isinstance(move, moves.Reply):
            self.told.append(move)
            self.call, move = advance(self.call, self._auth(move))
        self.replies.append(move)
        return move

    def _auth(self, move):  # noqa: PLR0911 each is a case of its own
        if self.away:
            return moves.Away()
        inside = isinstance(move, moves.List | moves.Release | moves.Object)
        if inside and self.over:
            return moves.SessionOver()
        match move:
            case moves.BeginLogin(access_id):
                return moves.Mistyped() if len(access_id.expose()) != 12 else moves.LoginBegun("l")
            case moves.TryPin(pin):
                return self._pin(pin.expose())
            case moves.TryAnswer(answer):
                right = answer.expose() == RIGHT_ANSWER
                return moves.LetIn("s", "t") if right else moves.Refused()
            case moves.List():
                return moves.Listed(self.recordings)
            case moves.Release():
                return moves.Released(self.samples)
        return moves.Kept()

    def _pin(self, pin):
        if not self.known or pin != RIGHT_PIN:
            return moves.Refused()
        if self.question:
            return moves.QuestionAsked(self.question, "t")
        return moves.LetIn("s", "t")

    def begins(self):
        return self.happens(moves.Began())

    def enters(self, digits, closed_by="#"):
        return self.happens(moves.Entered(SecretText(digits), closed_by))

    def presses(self, key, offset=0):
        return self.happens(moves.Pressed(key, offset))

    def plays_on(self):
        start, stop = self.call.chunk
        return self.happens(moves.PlayedOn(stop - start))

    def waits(self):
        return self.happens(moves.PlayedOn())


def words(move):
    return [each.key for each in move.said if isinstance(each, Words)]


def inside(**said):
    """A call that is let in and hears its first chunk."""
    line = Line(**said)
    line.begins()
    line.enters(RIGHT_ID)
    line.enters(RIGHT_PIN)
    if line.question:
        line.enters(RIGHT_ANSWER)
    if len(line.recordings) > 1:
        line.presses("1")
    return line


def test_id_and_pin_and_the_recording_plays():
    line = Line()
    assert words(line.begins())[0] == "greeting"
    assert line.enters(RIGHT_ID) == Ask((Words("ask_pin"),), Step.PIN)
    playing = line.enters(RIGHT_PIN)
    assert isinstance(playing, Play)
    assert playing.said == (Words("one_recording"), NowPlaying(0), Words("help_hint"))
    assert line.call.chunk == (0, CHUNK_SAMPLES)
    assert [type(each) for each in line.told] == [
        moves.BeginLogin,
        moves.TryPin,
        moves.List,
        moves.Release,
    ]


def test_chunk_follows_chunk_to_the_end_and_then_somebody_asks_what_now():
    line = inside(samples=2 * CHUNK_SAMPLES + 500)
    assert line.plays_on() == Play()
    assert line.call.chunk == (CHUNK_SAMPLES, 2 * CHUNK_SAMPLES)
    line.plays_on()
    assert line.call.chunk == (2 * CHUNK_SAMPLES, 2 * CHUNK_SAMPLES + 500)
    assert line.plays_on() == Offer((Words("end_of_recording"),))


def test_a_question_comes_before_the_session():
    line = Line(question="birth_date")
    line.begins()
    line.enters(RIGHT_ID)
    assert line.enters(RIGHT_PIN) == Ask((Words("ask_question_birth_date"),), Step.QUESTION)
    assert words(line.enters("9999"))[0] == "answer_not_right"
    assert isinstance(line.enters(RIGHT_ANSWER), Play)


def test_several_recordings_are_offered_and_one_is_chosen():
    line = Line(recordings=("r0", "r1", "r2"))
    line.begins()
    line.enters(RIGHT_ID)
    offered = line.enters(RIGHT_PIN)
    assert isinstance(offered, Offer)
    assert offered.said == (Several(3), Choice(1, 0), Choice(2, 1), Choice(3, 2))
    assert line.presses("4") == offered
    assert isinstance(line.presses("3"), Play)
    assert line.call.recording == "r2"


@pytest.mark.parametrize(
    ("key", "moved"),
    [("4", -SHORT_STEP), ("6", SHORT_STEP), ("1", -LONG_STEP), ("3", LONG_STEP), ("2", None)],
)
def test_keys_move_from_exactly_where_they_were_pressed(key, moved):
    line = inside()
    for _ in range(7):
        line.plays_on()
    assert line.presses(key, offset=12_320) == Play()
    before = 7 * CHUNK_SAMPLES + 12_320
    assert line.call.position == (0 if moved is None else before + moved)


def test_a_pause_ends_where_it_began():
    line = inside()
    assert line.presses("5", offset=4_000) == Wait((Words("paused"),))
    assert line.waits() == Wait((Words("still_there"),))
    assert line.presses("5") == Play()
    assert line.call.position == 4_000


def test_a_pause_that_nobody_ends_ends_the_call():
    line = inside()
    line.presses("5")
    waited = [line.waits() for _ in range(call_state.PAUSES_MAX)]
    assert all(isinstance(each, Wait) for each in waited[:-1])
    assert words(waited[-1])[0] == "session_over"


def test_seeking_stays_within_the_recording():
    line = inside()
    line.presses("1")
    assert line.call.position == 0
    for _ in range(3):
        line.presses("3")
    assert line.call.step is Step.ENDED
    assert line.presses("4") == Play()
    assert line.call.position == MINUTES - SHORT_STEP


def test_a_key_without_a_meaning_loses_nothing():
    line = inside(recordings=("r0", "r1"))
    line.call = replace(line.call, step=Step.OBJECTION, position=1_000)
    line.presses("3")
    assert line.call.position == 1_000


def test_the_fingerprint_is_spoken_and_the_recording_goes_on():
    line = inside()
    assert line.presses("7", offset=160) == Play((Words("fingerprint_is"), Fingerprint(0)))
    assert line.call.position == 160


def test_not_my_contract_is_asked_once_more_and_then_kept():
    line = inside()
    assert line.presses("9", offset=800) == Offer((Words("not_my_contract_ask"),))
    assert words(line.presses("1")) == ["not_my_contract_done"]
    assert isinstance(line.told[-1], moves.Object)
    assert line.call.position == 800
    line.presses("9")
    told = len(line.told)
    assert words(line.presses("5")) == ["not_my_contract_kept"]
    assert len(line.told) == told


def test_the_next_recording_needs_its_own_key():
    line = inside(recordings=("r0", "r1"))
    line.presses("8")
    assert line.call.recording == "r1"
    assert isinstance(line.told[-1], moves.Release)
    assert words(line.presses("8")) == ["no_more_recordings"]


def test_a_stump_is_never_taken_for_the_whole():
    line = inside()
    assert line.happens(moves.PlayedOn(30_000)) == Play(after_ms=1_000)
    assert line.call.position == 30_000
    assert line.happens(moves.PlayedOn(0)) == Play(after_ms=4_000)
    assert words(line.happens(moves.PlayedOn(0)))[0] == "apology"


def test_a_stump_within_one_packet_is_the_end():
    line = inside()
    line.happens(moves.PlayedOn(CHUNK_SAMPLES - call_state.PACKET_SAMPLES))
    assert line.call.position == CHUNK_SAMPLES


def test_another_language_is_one_key_away():
    line = Line()
    line.begins()
    line.presses("*")
    assert (line.call.language, line.call.other_language) == ("en", "de")
    line.presses("*")
    assert line.call.language == "de"


@pytest.mark.parametrize("where", ["before", "inside"])
def test_people_take_over_where_there_are_any(where):
    line = inside() if where == "inside" else Line()
    ask = (lambda: line.presses("*")) if where == "inside" else (lambda: line.enters("0"))
    assert words(ask()) == ["operator_transfer"]
    assert isinstance(line.replies[-1], Transfer)
    other = inside() if where == "inside" else Line()
    other.call = replace(other.call, operator="")
    reply = other.presses("*") if where == "inside" else other.enters("0")
    assert words(reply)[0] == "no_operator"


def test_what_a_number_announces_comes_before_anything_is_asked():
    line = Line()
    assert words(line.happens(moves.Began(("incident", "off_hours"))))[1:3] == [
        "incident",
        "off_hours",
    ]


def test_a_tenants_announcement_on_a_shared_number_waits_until_its_customer_is_let_in():
    line = inside()
    line.call = replace(line.call, announced=("incident",), step=Step.CHOICE)
    assert words(line.happens(moves.Listed(("r0",))))[0] == "incident"
    assert line.call.announced == ()


ENTRIES = st.one_of(
    st.builds(
        moves.Entered,
        st.sampled_from([RIGHT_ID, RIGHT_PIN, RIGHT_ANSWER, "", "0", "123", "999999999999"]).map(
            SecretText
        ),
        st.sampled_from(["#", "*", ""]),
    ),
    st.builds(moves.Pressed, st.sampled_from(list(KEYS)), st.integers(0, CHUNK_SAMPLES)),
    st.builds(moves.PlayedOn, st.integers(0, CHUNK_SAMPLES)),
    st.just(moves.PlayedOn(CHUNK_SAMPLES)),
)


@st.composite
def lines(draw):
    return Line(
        known=draw(st.booleans()),
        question=draw(st.sampled_from(["", "birth_date", "digits"])),
        recordings=tuple(f"r{n}" for n in range(draw(st.integers(0, 12)))),
        samples=draw(st.sampled_from([0, 1, CHUNK_SAMPLES, MINUTES])),
    )


@st.composite
def calls(draw):
    """A call, perhaps past its login, and what happens in it."""
    line = draw(lines())
    line.begins()
    if draw(st.booleans()):
        line.enters(RIGHT_ID)
        line.enters(RIGHT_PIN)
        if line.question:
            line.enters(RIGHT_ANSWER)
    return line, draw(st.lists(ENTRIES, max_size=60))


@given(calls())
def test_nothing_is_played_before_the_login_and_nothing_without_its_key(called):
    line, happenings = called
    for happened in happenings:
        reply = line.happens(happened)
        kinds = [type(each) for each in line.told]
        if line.call.session or isinstance(reply, Play | Wait):
            assert line.known
            assert moves.TryPin in kinds
            assert not line.question or moves.TryAnswer in kinds
        if isinstance(reply, Play):
            assert 0 <= line.call.chunk[0] <= line.call.chunk[1] <= line.samples
            assert moves.Release in kinds


@given(calls())
def test_a_call_that_is_over_stays_over(called):
    line, happenings = called
    over = False
    for happened in happenings:
        reply = line.happens(happened)
        assert not over or reply == End()
        over = over or line.call.step is Step.OVER
        assert (line.call.step is Step.OVER) == isinstance(reply, End | Transfer)


@given(lines(), st.lists(ENTRIES, max_size=40))
def test_an_unknown_id_sounds_like_a_wrong_pin_to_the_end(line, happenings):
    """Of two callers with the same keys one has an ID that exists; neither has its PIN."""
    unknown, known = replace(line, known=False), replace(line, known=True)
    for each in (unknown, known):
        each.told, each.replies = [], []
    entries = [
        each
        for each in happenings
        if not (isinstance(each, moves.Entered) and each.digits.expose() == RIGHT_PIN)
    ]
    for happened in [moves.Began(), *entries]:
        assert unknown.happens(happened) == known.happens(happened)
        assert [type(each) for each in unknown.told] == [type(each) for each in known.told]


@given(calls())
def test_who_does_nothing_is_not_listened_to_for_ever(called):
    line, happenings = called
    for happened in happenings:
        line.happens(happened)
    chunks = line.samples // CHUNK_SAMPLES + 1
    for _ in range(chunks + 2 * call_state.PAUSES_MAX + 2 * call_state.UNHEARD_MAX + 4):
        if line.call.step is Step.OVER:
            return
        playing = isinstance(line.replies[-1], Play)
        start, stop = line.call.chunk
        line.happens(moves.PlayedOn(stop - start if playing else 0))
    assert line.call.step is Step.OVER


@given(calls(), st.sampled_from(["away", "over", "hung up"]))
def test_whatever_breaks_the_call_ends_with_words(called, what):
    line, happenings = called
    for happened in happenings:
        line.happens(happened)
    if line.call.step is Step.OVER:
        return
    happened = {"away": moves.Away(), "over": moves.SessionOver(), "hung up": moves.HungUp()}[what]
    reply = line.happens(happened)
    assert isinstance(reply, End)
    assert (words(reply)[:1] if reply.said else []) == {
        "away": ["apology"],
        "over": ["session_over"],
        "hung up": [],
    }[what]


def test_wrong_pins_are_counted_over_all_ids_of_a_call():
    line = Line()
    line.begins()
    reply = None
    for _ in range(call_state.REFUSALS_MAX):
        if line.call.step is Step.ACCESS_ID:
            line.enters(RIGHT_ID)
        reply = line.enters("00000000")
    assert words(reply) == ["not_right", "too_many_tries", "goodbye"]


ABOUT = [About("Strom", dt.date(2026, 3, 12), "471108")] * 12


@given(calls())
def test_whatever_is_said_can_be_spoken_in_both_languages(called):
    line, happenings = called
    for happened in happenings:
        line.happens(happened)
    for reply in line.replies:
        for language in ("de", "en"):
            for phrase in spoken(reply.said, ABOUT):
                assert fragments(phrase, language)


@pytest.mark.parametrize("announced", ["incident", "off_hours"])
@pytest.mark.parametrize("kind", ["iban_last4", "birth_date", "postcode", "digits"])
def test_every_question_and_announcement_has_words(kind, announced):
    line = Line(question=kind)
    line.happens(moves.Began((announced,)))
    line.enters(RIGHT_ID)
    line.enters(RIGHT_PIN)
    for reply in line.replies:
        for phrase in spoken(reply.said, ()):
            assert fragments(phrase, "de")
            assert fragments(phrase, "en")


def test_what_is_to_be_spoken_survives_its_way():
    said = (Several(3), Choice(1, 0), Fingerprint(0), Words("switch_language", "en"))
    phrases = spoken(said, ABOUT)
    assert unpacked(packed(phrases, "de")) == ("de", phrases)
