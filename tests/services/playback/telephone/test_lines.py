"""Lines: what a number is, what it announces, and which file of them is refused."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.playback.telephone.lines import DAYS, Hours, Lines, LinesInvalid

TENANT, OTHER = "ab" * 16, "cd" * 16
FILE = f"""
[shared]
operator = "+4930100"

[[line]]
number = "+49301111"
languages = ["en", "de"]

[[line]]
number = "49302222"
tenant = "{TENANT}"
languages = ["de"]

[[tenant]]
id = "{TENANT}"
operator = "+4930200"
incident = true
hours = {{ zone = "Europe/Berlin", days = "mon-fri", from = "08:00", until = "18:00" }}
"""


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.toml"
    path.write_text(FILE)
    return Lines.read(path)


def test_a_number_is_known_with_or_without_its_plus(lines):
    assert lines.line("49301111").languages == lines.line("+49301111").languages == ("en", "de")
    assert lines.line("+49302222").tenant == lines.line("49302222").tenant == TENANT


def test_a_number_that_nobody_entered_is_everybodys(lines):
    assert lines.line("+49309999").tenant is None
    assert lines.line("").tenant is None


def test_what_a_tenant_has_is_the_tenants_alone(lines):
    assert lines.announced(TENANT).operator == "+4930200"
    assert lines.announced(OTHER).operator == lines.announced("").operator == "+4930100"


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-03-27T08:00:00+01:00", True),
        ("2026-03-27T07:59:59+01:00", False),
        ("2026-03-27T18:00:00+01:00", False),
        ("2026-03-28T12:00:00+01:00", False),
        ("2026-03-30T06:00:00+00:00", True),  # summer time by then
    ],
)
def test_hours_are_those_of_the_place(lines, at, open_):
    assert lines.announced(TENANT).hours.holds(dt.datetime.fromisoformat(at)) is open_


@given(st.sampled_from(DAYS), st.sampled_from(DAYS))
def test_days_go_round_the_week(first, last):
    hours = Hours.model_validate(
        {"zone": "UTC", "days": f"{first}-{last}", "from": "00:00", "until": "23:59"}
    )
    monday = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    held = [day for n, day in enumerate(DAYS) if hours.holds(monday + dt.timedelta(days=n))]
    start = DAYS.index(first)
    length = (DAYS.index(last) - start) % 7 + 1
    assert held == sorted((DAYS[(start + n) % 7] for n in range(length)), key=DAYS.index)


@pytest.mark.parametrize(
    "wrong",
    [
        "not toml",
        '[[line]]\nnumber = "abc"',
        '[[line]]\nnumber = "+491"\n[[line]]\nnumber = "491"',
        '[[line]]\nnumber = "+4911"\nlanguages = ["fr"]',
        '[[line]]\nnumber = "+4911"\nlanguages = ["de", "de"]',
        '[[line]]\nnumber = "+4911"\ntenant = "x"',
        '[[tenant]]\nid = "' + "ab" * 16 + '"\nhours = { zone = "Nowhere/Atall", from = "08:00", '
        'until = "09:00" }',
        "[shared]\nunknown = 1",
    ],
)
def test_a_file_that_is_wrong_is_refused_and_says_where(tmp_path, wrong):
    path = tmp_path / "lines.toml"
    path.write_text(wrong)
    with pytest.raises(LinesInvalid):
        Lines.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LinesInvalid):
        Lines.read(tmp_path / "none.toml")
