"""The dialogue: what a call has come to, what the caller did, and so what happens next.

Nothing here asks, stores or plays. `advance` takes where a call stands and what happened, and
answers where it stands now and the one thing to do: ask auth something, whose answer is what
happens next, or say, play or end. Every call goes the same way until it is let in: whether an
access ID exists changes neither words nor order nor the number of tries.

    ACCESS_ID -> PIN -> (QUESTION) -> (CHOICE) -> PLAYING <-> PAUSED
                                                  PLAYING  -> ENDED, OBJECTION, and back
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from voicefile.playback.telephone import hearing, moves, signing_in
from voicefile.playback.telephone.call_state import Call, Move, Step, over
from voicefile.playback.telephone.moves import End


def advance(call: Call, happened: moves.Happened) -> Move:
    """Where the call stands now, and the one thing to do."""
    if isinstance(happened, moves.HungUp) or call.step is Step.OVER:
        return replace(call, step=Step.OVER), End()
    if isinstance(happened, moves.Full):
        return over(call, "busy")
    if isinstance(happened, moves.Away):
        return over(call, "apology")
    if isinstance(happened, moves.SessionOver):
        return over(call, "session_over")
    return _STEPS[call.step](call, happened)


_STEPS: Final[Mapping[Step, Callable[[Call, moves.Happened], Move]]] = {
    Step.ACCESS_ID: signing_in.at_access_id,
    Step.PIN: signing_in.at_pin,
    Step.QUESTION: signing_in.at_question,
    Step.CHOICE: hearing.at_choice,
    Step.PLAYING: hearing.at_playing,
    Step.PAUSED: hearing.at_paused,
    Step.ENDED: hearing.at_end,
    Step.OBJECTION: hearing.at_objection,
}
