"""What is kept: all of a day, the last of each day, week and month, and always the newest."""

import datetime as dt

import pytest

from voicefile.backup.manifest import Found, Link, Manifest, Object
from voicefile.backup.retention import to_keep
from voicefile.backup.settings import BackupSettings

NONE = Object("", 0)
NOON = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SETTINGS = BackupSettings()


def found(moments: list[dt.datetime]) -> list[Found]:
    return [
        Found(
            Manifest(
                1, "test", "folder", n, "", [], int(at.timestamp()), NONE, {}, "", Link(0, "")
            ),
            NONE,
        )
        for n, at in enumerate(moments, 1)
    ]


def kept(moments: list[dt.datetime], settings: BackupSettings = SETTINGS) -> list[dt.datetime]:
    numbers = [
        each.manifest.n for each in to_keep(found(moments), settings, now_s=NOON.timestamp())
    ]
    return [moments[n - 1] for n in numbers]


def hourly(days: int) -> list[dt.datetime]:
    """A backup each hour for so long, the last one now."""
    return [NOON - HOUR * n for n in reversed(range(24 * days))]


def test_of_the_last_day_all_are_kept():
    today = [at for at in kept(hourly(30)) if NOON - at < HOUR * 24]
    assert len(today) == 24


def test_of_each_of_seven_days_the_last_is_kept():
    days = {at.date() for at in kept(hourly(30), BackupSettings(weeks=0, months=0))}
    assert days == {NOON.date() - dt.timedelta(days=n) for n in range(7)}
    assert NOON.replace(hour=23) - dt.timedelta(days=3) in kept(hourly(30))


def test_two_years_of_days_leave_about_a_day_a_week_and_a_month_each():
    staying = kept([NOON - dt.timedelta(days=n) for n in reversed(range(730))])
    assert 7 + 3 + 10 <= len(staying) <= 7 + 5 + 13
    assert min(staying) >= NOON - dt.timedelta(days=31 * 12)


@pytest.mark.parametrize("ago", [0, 40, 4_000])
def test_the_newest_is_kept_however_old_it_is(ago: int):
    only = NOON - dt.timedelta(days=ago)
    assert kept([only - HOUR, only])[-1] == only


def test_who_keeps_less_is_told_less():
    moments = [NOON - dt.timedelta(days=n) for n in reversed(range(100))]
    assert len(kept(moments, BackupSettings(days=2, weeks=0, months=0))) == 2
