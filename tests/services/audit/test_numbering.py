from hypothesis import given
from hypothesis import strategies as st

from voicefile.audit.numbering import Numbers


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10)), max_size=30))
def test_runs_hold_what_a_set_would(added: list[tuple[int, int]]) -> None:
    numbers, expected = Numbers(), set[int]()
    for first, more in added:
        numbers.add_run(first, first + more)
        expected |= set(range(first, first + more + 1))
    assert {n for n in range(-1, 80) if n in numbers} == expected
    contiguous = next(n for n in range(1, 100) if n not in expected) - 1
    assert numbers.contiguous == contiguous
    assert numbers.missing == max(expected, default=0) - len(expected)
    assert all(a[1] + 1 < b[0] for a, b in zip(numbers.runs, numbers.runs[1:], strict=False))


@given(st.sets(st.integers(1, 40)), st.integers(0, 40))
def test_what_is_missing_was_stored_or_perhaps_never(arrived: set[int], stored: int) -> None:
    numbers = Numbers(((n, n) for n in arrived), stored_through=stored)
    highest = max(arrived, default=0)
    lost = set(range(1, stored + 1)) - arrived
    unfinished = set(range(stored + 1, highest + 1)) - arrived
    for gap, expected in ((numbers.lost, lost), (numbers.unfinished, unfinished)):
        assert gap.count == len(expected)
        assert not expected or gap.first == min(expected)


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_merging_is_the_union(left: set[int], right: set[int]) -> None:
    merged, other = Numbers(), Numbers()
    for n in left:
        merged.add(n)
    for n in right:
        other.add(n)
    merged.merge(other)
    assert {n for n in range(50) if n in merged} == left | right
    assert Numbers(merged.runs).runs == merged.runs


def test_a_series_in_order_is_one_run() -> None:
    numbers = Numbers()
    for n in range(1, 1_001):
        numbers.add(n)
    assert numbers.runs == [(1, 1_000)]
    assert (numbers.contiguous, numbers.missing) == (1_000, 0)
