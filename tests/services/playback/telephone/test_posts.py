"""Posts: what an edge tells, what of it counts, and what is refused without saying it back."""

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import CHUNK_SAMPLES, Call, Step
from voicefile.playback.telephone.documents import FIELDS
from voicefile.playback.telephone.posts import NotAPost, happened, post_of

CALL_ID = "0a1b2c3d-0000-4000-8000-0123456789ab"


def post(**fields):
    return post_of(urlencode({"session_id": CALL_ID, **fields}).encode())


def told(step, **fields):
    return happened(post(**fields), Call(step, "de"))


def entered(step, value):
    found = told(step, **{FIELDS[step]: value})
    if isinstance(found, moves.Entered):
        return found.digits.expose(), found.closed_by
    return found


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("123456789012", ("123456789012", "")),
        ("1234#", ("1234", "#")),
        ("1234*", ("1234", "*")),
        ("#12345678#", ("12345678", "#")),
        ("*", moves.Pressed("*")),
        ("", moves.PlayedOn()),
        ("invalid", moves.PlayedOn()),
        ("12a4", moves.PlayedOn()),
        ("1" * 25, moves.PlayedOn()),
        ("١٢٣٤", moves.PlayedOn()),
    ],
)
def test_an_entry_is_digits_and_the_key_that_closed_it(value, means):
    assert entered(Step.PIN, value) == means


def test_only_the_field_that_was_asked_for_counts():
    assert told(Step.ACCESS_ID, pin="12345678#", key="5") == moves.PlayedOn()
    assert told(Step.PLAYING, pin="12345678#") == moves.PlayedOn()


@pytest.mark.parametrize("step", list(Step))
def test_whatever_comes_with_a_farewell_is_no_entry(step):
    fields = {"pin": "12345678#", "id": "123456789012", "key": "1", "exiting": "true"}
    assert told(step, **fields) == moves.HungUp()


@pytest.mark.parametrize(
    ("offset", "samples"),
    [("12320", 12_320), ("", 0), ("-5", 0), ("1e9", 0), ("9" * 12, 0), ("99999999", CHUNK_SAMPLES)],
)
def test_a_position_is_within_the_chunk(offset, samples):
    found = told(Step.PLAYING, key="6", playback_last_offset_pos=offset)
    assert found == moves.Pressed("6", samples)


@pytest.mark.parametrize(
    ("number", "believed"),
    [("+493012345", "+493012345"), ("anonymous", ""), ("sip:a@b", ""), ("", ""), ("1" * 40, "")],
)
def test_a_calling_number_is_a_number_or_withheld(number, believed):
    assert post(**{"Caller-Caller-ID-Number": number}).caller == believed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"session_id=1",
        b"session_id=" + CALL_ID.upper().encode(),
        f"session_id={CALL_ID}&session_id={CALL_ID}".encode(),
        f"session_id={CALL_ID}&pin={'1' * 600}".encode(),
        f"session_id={CALL_ID}&".encode() + b"&".join(b"a%d=1" % n for n in range(300)),
        b"\xff\xfe",
        f"session_id={CALL_ID}&broken".encode(),
    ],
)
def test_what_no_edge_sends_is_refused(body):
    with pytest.raises(NotAPost) as refused:
        post_of(body)
    assert CALL_ID not in str(refused.value)


@given(st.binary(max_size=400))
def test_no_body_at_all_does_harm(body):
    with suppress(NotAPost):
        post_of(body)


def test_nothing_keyed_is_shown_by_accident():
    shown = repr(post(pin="98765432#", **{"Caller-Caller-ID-Number": "+493055555"}))
    assert "98765432" not in shown
    assert "3055555" not in shown
    assert "98765432" not in repr(told(Step.PIN, pin="98765432#"))
    assert CALL_ID in shown  # the control: something is shown
