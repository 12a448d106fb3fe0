"""Access IDs: one slip of a finger never makes another valid ID."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.auth.issuing.access_id import (
    is_valid,
    new_access_id,
    normalised,
    spaced,
    with_check_digits,
)

DIGITS = st.text("0123456789", min_size=10, max_size=10)


def test_a_new_id_is_valid_and_twelve_digits_long():
    for _ in range(200):
        access_id = new_access_id()
        assert len(access_id) == 12
        assert is_valid(access_id)


def test_check_digits_agree_with_the_standard():
    # ISO 7064 MOD 97-10: the whole number leaves 1 when divided by 97.
    for digits in ("0000000000", "1234567890", "9999999999"):
        assert int(with_check_digits(digits)) % 97 == 1


@given(DIGITS, st.integers(0, 11), st.integers(1, 9))
def test_every_wrong_digit_is_noticed(digits, place, shift):
    access_id = with_check_digits(digits)
    wrong = str((int(access_id[place]) + shift) % 10)
    assert not is_valid(access_id[:place] + wrong + access_id[place + 1 :])


@given(DIGITS, st.integers(0, 10))
def test_every_swap_of_neighbours_is_noticed(digits, place):
    access_id = with_check_digits(digits)
    one, other = access_id[place], access_id[place + 1]
    swapped = access_id[:place] + other + one + access_id[place + 2 :]
    assert (one == other) or not is_valid(swapped)


@given(DIGITS)
def test_an_id_is_understood_however_it_is_grouped(digits):
    access_id = with_check_digits(digits)
    for typed in (
        access_id,
        spaced(access_id),
        spaced(access_id).replace(" ", "-"),
        f" {access_id}",
    ):
        assert normalised(typed) == access_id


@pytest.mark.parametrize(
    "typed",
    ["", "1", "0" * 12, "٠" * 12, "1" * 13, "12345678901x", "0" * 1000, "000000000000", "１" * 12],
)
def test_what_is_no_id_is_none(typed):
    assert normalised(typed) is None


def test_of_all_check_digits_one_pair_fits():
    assert sum(is_valid(f"0000000000{check:02d}") for check in range(100)) == 1
