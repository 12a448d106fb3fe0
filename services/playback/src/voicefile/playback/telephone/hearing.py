"""Hearing: what the keys do for somebody who was let in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import (
    BROKEN_WAITS_MS,
    CHOICES_MAX,
    LONG_STEP,
    PACKET_SAMPLES,
    PAUSES_MAX,
    SHORT_STEP,
    UNHEARD_MAX,
    Call,
    Move,
    Step,
    over,
    words,
)
from voicefile.playback.telephone.moves import (
    Choice,
    Fingerprint,
    Help,
    NowPlaying,
    Offer,
    Play,
    Said,
    Several,
    Transfer,
    Wait,
    Words,
)


def at_choice(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Listed(recordings):
            return _listed(replace(call, recordings=recordings))
        case moves.Released(samples):
            one = ("one_recording",) if len(call.recordings) == 1 else ()
            said = (*words(*call.announced, *one), NowPlaying(call.chosen), Words("help_hint"))
            return _playing(replace(call, samples=samples, announced=()), *said)
        case moves.Pressed(key):
            return _at_choice_key(call, key)
        case moves.Kept() | moves.LetIn() | moves.Refused():
            return over(call, "apology")  # nobody asked for that here
    call = replace(call, unheard=call.unheard + 1)
    if call.unheard >= UNHEARD_MAX:
        return over(call, "nothing_entered")
    return call, _choice(call)


def _listed(call: Call) -> Move:
    if not call.recordings:
        return over(call, "no_recordings")
    if len(call.recordings) == 1:
        return _begun(call, 0)
    choice = _choice(call)
    return replace(call, announced=()), choice


def _at_choice_key(call: Call, key: str) -> Move:
    if key == "#":
        return over(call)
    if key == "*":
        return _transferred(call)
    if key.isdecimal() and 1 <= int(key) <= _choices(call):
        return _begun(call, int(key) - 1)
    return call, _choice(call)


def _choices(call: Call) -> int:
    return min(len(call.recordings), CHOICES_MAX)


def _choice(call: Call) -> Offer:
    choices = (Choice(place + 1, place) for place in range(_choices(call)))
    return Offer((*words(*call.announced), Several(len(call.recordings)), *choices))


def _begun(call: Call, place: int) -> Move:
    """From the start of a recording, once its key is released."""
    at_start = replace(
        call, step=Step.CHOICE, chosen=place, position=0, unheard=0, pauses=0, broken=0
    )
    return at_start, moves.Release()


def _playing(call: Call, *said: Said) -> Move:
    return replace(call, step=Step.PLAYING, pauses=0, unheard=0), Play(said)


def at_playing(call: Call, happened: moves.Happened) -> Move:
    start, stop = call.chunk
    match happened:
        case moves.Pressed(key, offset):
            reached = min(start + offset, stop)
            return _key(replace(call, position=reached, broken=0), key)
        case moves.PlayedOn(offset) if start + offset + PACKET_SAMPLES < stop:
            return _broken_off(replace(call, position=start + offset))
        case moves.PlayedOn() if stop >= call.samples:
            ended = replace(call, step=Step.ENDED, position=stop, broken=0)
            return ended, Offer(words("end_of_recording"))
        case moves.PlayedOn():
            return _playing(replace(call, position=stop, broken=0))
    return over(call, "apology")


def _broken_off(call: Call) -> Move:
    """The edge played a stump, or nothing, and took it for the whole: on from there."""
    if call.broken >= len(BROKEN_WAITS_MS):
        return over(call, "apology")
    after_ms = BROKEN_WAITS_MS[call.broken]
    return replace(call, broken=call.broken + 1), Play(after_ms=after_ms)


def _key(call: Call, key: str) -> Move:
    """A key while a recording plays, stands still or has ended."""
    if key in _STEPS_OF_KEYS:
        return _sought(call, call.position + _STEPS_OF_KEYS[key])
    return _KEYS[key](call) if key in _KEYS else _playing(call)


def _sought(call: Call, position: int) -> Move:
    position = max(0, position)
    if position >= call.samples:
        ended = replace(call, step=Step.ENDED, position=call.samples)
        return ended, Offer(words("end_of_recording"))
    return _playing(replace(call, position=position))


def _paused(call: Call) -> Move:
    return replace(call, step=Step.PAUSED, pauses=1), Wait(words("paused"))


def _next(call: Call) -> Move:
    if call.chosen + 1 < len(call.recordings):
        return _begun(call, call.chosen + 1)
    return _said(call, Words("no_more_recordings"))


def _said(call: Call, *said: Said) -> Move:
    """Says something and goes on where it was."""
    if call.position >= call.samples:
        return replace(call, step=Step.ENDED), Offer((*said, Words("end_of_recording")))
    return _playing(call, *said)


def _help(call: Call) -> Help:
    return Help(next_one=call.chosen + 1 < len(call.recordings), operator=bool(call.operator))


def _objecting(call: Call) -> Move:
    return replace(call, step=Step.OBJECTION), Offer(words("not_my_contract_ask"))


def _transferred(call: Call) -> Move:
    if call.operator:
        return replace(call, step=Step.OVER), Transfer(words("operator_transfer"))
    if call.step is Step.CHOICE:
        return call, Offer((Words("no_operator"), *_choice(call).said))
    return _said(call, Words("no_operator"))


_STEPS_OF_KEYS: Final[Mapping[str, int]] = {
    "1": -LONG_STEP,
    "3": LONG_STEP,
    "4": -SHORT_STEP,
    "6": SHORT_STEP,
}
_KEYS: Final[Mapping[str, Callable[[Call], Move]]] = {
    "2": lambda call: _playing(replace(call, position=0)),
    "5": _paused,
    "7": lambda call: _said(call, Words("fingerprint_is"), Fingerprint(call.chosen)),
    "8": _next,
    "9": _objecting,
    "0": lambda call: _said(call, _help(call)),
    "*": _transferred,
    "#": over,
}


def at_paused(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Pressed("5"):
            return _said(call)
        case moves.Pressed(key):
            return _key(call, key)
        case _ if call.pauses < PAUSES_MAX:
            return replace(call, pauses=call.pauses + 1), Wait(words("still_there"))
    return over(call, "session_over")


def at_end(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Pressed("5"):
            return _playing(replace(call, position=0))
        case moves.Pressed(key):
            return _key(call, key)
    call = replace(call, unheard=call.unheard + 1)
    if call.unheard >= UNHEARD_MAX:
        return over(call)
    return call, Offer(words("end_of_recording"))


def at_objection(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Pressed("1"):
            return call, moves.Object()
        case moves.Kept():
            return _said(call, Words("not_my_contract_done"))
    return _said(call, Words("not_my_contract_kept"))
