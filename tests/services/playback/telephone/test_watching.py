"""Watching: each entry, end and first sound is counted once, under a word that is in the book."""

import pytest

from voicefile.playback.telephone import call_metrics, moves, watching
from voicefile.playback.telephone.call_state import Call, Step

INSIDE = Call(Step.PLAYING, "de", session="5e" * 16)
OUTSIDE = Call(Step.PIN, "de")


def value(metric, **labels):
    [family] = metric().collect()
    return sum(
        each.value
        for each in family.samples
        if each.labels == labels and each.name.endswith(("_total", "_count"))
    )


def ends_as(call, happened, reply, how):
    before = value(call_metrics.calls_ended, how=how)
    watching.end_counted(call, happened, reply)
    return value(call_metrics.calls_ended, how=how) - before


@pytest.mark.parametrize(
    ("call", "happened", "reply", "how"),
    [
        (INSIDE, moves.Pressed("#"), moves.End(), "service"),
        (OUTSIDE, moves.Refused(), moves.End(), "not-let-in"),
        (INSIDE, moves.Away(), moves.End(), "apology"),
        (OUTSIDE, moves.Away(), moves.End(), "apology"),
        (INSIDE, moves.SessionOver(), moves.End(), "session-over"),
        (OUTSIDE, moves.Full(), moves.End(), "busy"),
        (INSIDE, moves.Pressed("*"), moves.Transfer(()), "operator"),
    ],
)
def test_each_end_has_its_word(call, happened, reply, how):
    assert ends_as(call, happened, reply, how) == 1


def test_what_goes_on_has_not_ended():
    assert ends_as(INSIDE, moves.PlayedOn(), moves.Play(), "service") == 0


@pytest.mark.parametrize(
    ("step", "happened", "entry", "outcome"),
    [
        (Step.ACCESS_ID, moves.Mistyped(), "access-id", "mistyped"),
        (Step.ACCESS_ID, moves.LoginBegun("l"), "access-id", "taken"),
        (Step.ACCESS_ID, moves.PlayedOn(), "access-id", "empty"),
        (Step.PIN, moves.Refused(), "pin", "refused"),
        (Step.PIN, moves.LetIn("s", "t"), "pin", "taken"),
        (Step.QUESTION, moves.Refused(), "question", "refused"),
        (Step.QUESTION, moves.Away(), "question", "away"),
    ],
)
def test_each_entry_is_counted_by_what_came_of_it(step, happened, entry, outcome):
    labels = {"entry": entry, "outcome": outcome}
    before = value(call_metrics.entries, **labels)
    watching.entry_counted(Call(step, "de"), happened)
    assert value(call_metrics.entries, **labels) == before + 1


def test_the_first_sound_is_timed_once_and_the_wait_for_it_is_not_kept_for_ever():
    now = [100.0]
    first = watching.FirstSound(now_s=lambda: now[0])
    before = value(call_metrics.first_sound_seconds)
    first.let_in("call", since_s=100.0)
    now[0] += 0.2
    first.fetched("call")
    first.fetched("call")
    first.fetched("another")
    assert value(call_metrics.first_sound_seconds) == before + 1
    first.let_in("never fetched", since_s=now[0])
    now[0] += watching.FETCHED_WITHIN_S + 1
    first.let_in("call", since_s=now[0])
    assert set(first._since_s) == {"call"}
