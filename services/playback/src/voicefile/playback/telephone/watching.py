"""Watching: what of a call is counted, as the dialogue moves on; nothing here decides anything."""

import time
from collections.abc import Callable
from typing import Final

from voicefile.playback.telephone import call_metrics as metrics
from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import Call, Step

FETCHED_WITHIN_S: Final = 60.0
"""An edge fetches what it is told to play at once, or never."""
_ENTRIES: Final = frozenset({Step.ACCESS_ID, Step.PIN, Step.QUESTION})
_OUTCOMES: Final[dict[type[moves.Happened], str]] = {
    moves.LoginBegun: "taken",
    moves.QuestionAsked: "taken",
    moves.LetIn: "taken",
    moves.Mistyped: "mistyped",
    moves.Refused: "refused",
    moves.Away: "away",
    moves.PlayedOn: "empty",
}
_ENDS: Final[dict[type[moves.Happened], str]] = {
    moves.Away: "apology",
    moves.SessionOver: "session-over",
    moves.Full: "busy",
}


def entry_counted(call: Call, happened: moves.Happened) -> None:
    """What an entry came to, where one was asked for."""
    outcome = _OUTCOMES.get(type(happened))
    if call.step in _ENTRIES and outcome is not None:
        metrics.entries().labels(entry=call.step.value, outcome=outcome).inc()


def chunk_counted(before: Call, after: Call) -> None:
    """That the edge played a stump."""
    if after.broken > before.broken:
        metrics.chunks_broken().inc()


def end_counted(call: Call, happened: moves.Happened, reply: moves.Reply) -> None:
    """How the call ended, if it did by this reply; what is said further to it counts no more."""
    if isinstance(reply, moves.Transfer):
        how = "operator"
    elif isinstance(reply, moves.End):
        how = _ENDS.get(type(happened), "service" if call.session else "not-let-in")
    else:
        return
    ended(how)


def ended(how: str) -> None:
    """Also `caller`: hung up in the middle; and `lost`: nothing was heard of it any more."""
    metrics.calls_ended().labels(how=how).inc()


class FirstSound:
    """How long callers wait between the last digit and the first sound, at this instance."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._since_s: dict[str, float] = {}

    def let_in(self, call_id: str, *, since_s: float) -> None:
        """The post that let them in came then, and has been answered."""
        oldest_s = self._now_s() - FETCHED_WITHIN_S
        self._since_s = {each: at_s for each, at_s in self._since_s.items() if at_s > oldest_s}
        self._since_s[call_id] = since_s

    def fetched(self, call_id: str) -> None:
        """A sound of the call is about to leave."""
        since_s = self._since_s.pop(call_id, None)
        if since_s is not None:
            metrics.first_sound_seconds().observe(self._now_s() - since_s)
