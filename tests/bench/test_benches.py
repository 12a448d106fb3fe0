"""The benches are there, and their figures say what they should; nothing is timed here."""

import importlib

import pytest
from tests.bench.__main__ import BENCHES, main
from tests.bench.figures import Row, quantile, told


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_says_what_it_measures(name):
    bench = importlib.import_module(f"tests.bench.{name}")
    assert callable(bench.measure)
    assert len(bench.__doc__.splitlines()[0]) > 20


def test_an_unknown_bench_is_named(capsys):
    assert main(["sek"]) == 2
    assert "no such bench: sek" in capsys.readouterr().out


def test_a_row_tells_median_spread_ratio_and_promise():
    row = Row("seek", [1.0, 3.0, 2.0], "ms", 4.0, "plain", promise="<= 1 ms", kept=False)
    said = " ".join(str(row).split())
    assert said == "seek 2 ms (1 to 3) x 0.50 of plain promised <= 1 ms: NOT KEPT"


def test_one_sample_has_no_spread():
    assert "to" not in str(Row("bytes", [5], "bytes"))


def test_three_digits_are_told():
    assert [told(each) for each in (0.012345, 1.2345, 98.76, 123.4, 12345.6)] == [
        "0.0123",
        "1.23",
        "98.8",
        "123",
        "12,346",
    ]


def test_a_quantile_is_one_of_the_samples():
    samples = [float(n) for n in range(100)]
    assert quantile(samples, 0.99) == 99.0
    assert quantile(samples, 0.5) == 50.0
    assert quantile([7.0], 0.99) == 7.0
