"""A Range header means what RFC 9110 says, or the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.playback.byte_range import RangeNotSatisfiable, requested


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-1000", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-", (99, 100)),
    ],
)
def test_a_single_range_is_taken_at_its_word(header, span):
    found = requested(header, 100)
    assert (found.start, found.stop) == span


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-99", "bytes=0-1000", "bytes=-100"])
def test_the_whole_asked_for_as_a_range_is_answered_as_one(header):
    assert requested(header, 100).partial


@pytest.mark.parametrize(
    "header",
    ["bytes=-", "bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,5-6", "", "bytes=٣-٤"],
)
def test_what_is_not_one_range_asks_for_the_whole(header):
    assert not requested(header, 100).partial


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_can_not_be_satisfied(header):
    with pytest.raises(RangeNotSatisfiable):
        requested(header, 100)


@given(st.text(max_size=40), st.integers(1, 10**9))
def test_no_header_reaches_outside_the_recording(header, total):
    try:
        found = requested(header, total)
    except RangeNotSatisfiable:
        return
    assert 0 <= found.start < found.stop <= total


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 1000))
def test_every_valid_range_is_what_slicing_says(first, last, total):
    plain = bytes(i % 251 for i in range(total))
    header = f"bytes={first}-{last}"
    if first >= total and first <= last:
        with pytest.raises(RangeNotSatisfiable):
            requested(header, total)
        return
    found = requested(header, total)
    wanted = plain[first : last + 1] if first <= last else plain
    assert plain[found.start : found.stop] == wanted
