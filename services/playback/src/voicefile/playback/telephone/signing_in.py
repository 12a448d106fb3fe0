"""Signing in: until somebody is let in, everything is the same for every access ID."""

from dataclasses import replace

from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import (
    OPERATOR,
    PINS_MAX,
    REFUSALS_MAX,
    UNHEARD_MAX,
    Call,
    Move,
    Step,
    over,
    words,
)
from voicefile.playback.telephone.moves import Ask, Said, Transfer, Words


def at_access_id(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Began(announced):
            greeting = "greeting_tenant" if call.line_tenant else "greeting"
            return call, _access_id_asked(call, *words(greeting, *announced))
        case moves.Pressed() | moves.Entered():
            return _at_access_id_keyed(call, happened)
        case moves.LoginBegun(login):
            begun = replace(call, step=Step.PIN, login=login, pins=0, unheard=0)
            return begun, _asked(Step.PIN, "ask_pin")
        case moves.Mistyped():
            return _unheard(call, "mistyped_access_id")
    return _unheard(call, "nothing_entered")


def _at_access_id_keyed(call: Call, happened: moves.Pressed | moves.Entered) -> Move:
    if isinstance(happened, moves.Entered):
        if happened.digits.expose() == OPERATOR:
            return _transferred(call)
        if is_entry(happened):
            return replace(call, keyed=True), moves.BeginLogin(happened.digits)
        return call, _access_id_asked(call)  # given up with a star
    if happened.key == "*" and call.other_language:
        other = replace(call, language=call.other_language, other_language=call.language)
        return other, _access_id_asked(other)
    return _unheard(call, "nothing_entered")


def is_entry(entered: moves.Entered) -> bool:
    """Whether digits were brought, and not given up with a star."""
    return bool(entered.digits.expose()) and entered.closed_by != "*"


def _access_id_asked(call: Call, *before: Said) -> Ask:
    other = call.other_language
    switch = (Words("switch_language", other),) if other else ()
    return Ask((*before, *switch, Words("ask_access_id")), Step.ACCESS_ID)


def _asked(entry: Step, *keys: str) -> Ask:
    return Ask(words(*keys), entry)


def _unheard(call: Call, why: str) -> Move:
    """Nothing usable came: the same question again, a few times."""
    call = replace(call, unheard=call.unheard + 1)
    if call.unheard >= UNHEARD_MAX:
        return over(call, why)
    if call.step is Step.ACCESS_ID:
        return call, _access_id_asked(call, Words(why))
    if call.step is Step.PIN:
        return call, _asked(Step.PIN, why, "ask_pin")
    return call, _asked(Step.QUESTION, why, f"ask_question_{call.question}")


def at_pin(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Entered() if is_entry(happened):
            return call, moves.TryPin(happened.digits)
        case moves.Entered():
            return _anew(call)
        case moves.LetIn() | moves.QuestionAsked():
            return _proved(call, happened)
        case moves.Refused():
            return _refused(call)
    return _unheard(call, "nothing_entered")


def _anew(call: Call) -> Move:
    """The caller would rather begin with the access ID again."""
    anew = replace(call, step=Step.ACCESS_ID, login="", question="", unheard=0)
    return anew, _access_id_asked(anew)


def _refused(call: Call) -> Move:
    call = replace(call, refusals=call.refusals + 1, pins=call.pins + 1, unheard=0)
    if call.refusals >= REFUSALS_MAX:
        return over(call, "not_right", "too_many_tries")
    if call.pins < PINS_MAX:
        return call, _asked(Step.PIN, "not_right", "ask_pin_again")
    # The ID may be the wrong one of the two.
    anew = replace(call, step=Step.ACCESS_ID, login="", pins=0)
    return anew, _access_id_asked(anew, Words("not_right"))


def at_question(call: Call, happened: moves.Happened) -> Move:
    match happened:
        case moves.Entered() if is_entry(happened):
            return call, moves.TryAnswer(happened.digits)
        case moves.Entered():
            return call, _asked(Step.QUESTION, f"ask_question_{call.question}")
        case moves.LetIn():
            return _proved(call, happened)
        case moves.Refused():
            return _answer_refused(call)
    return _unheard(call, "nothing_entered")


def _answer_refused(call: Call) -> Move:
    call = replace(call, refusals=call.refusals + 1, unheard=0)
    if call.refusals >= REFUSALS_MAX:
        return over(call, "answer_not_right", "too_many_tries")
    return call, _asked(Step.QUESTION, "answer_not_right", f"ask_question_{call.question}")


def _proved(call: Call, happened: moves.LetIn | moves.QuestionAsked) -> Move:
    if isinstance(happened, moves.QuestionAsked):
        asked = replace(
            call, step=Step.QUESTION, question=happened.kind, tenant=happened.tenant, unheard=0
        )
        return asked, _asked(Step.QUESTION, f"ask_question_{happened.kind}")
    inside = replace(
        call,
        step=Step.CHOICE,
        session=happened.session,
        tenant=happened.tenant,
        announced=happened.announced,
        login="",
        unheard=0,
    )
    return inside, moves.List()


def _transferred(call: Call) -> Move:
    if not call.operator:
        return call, _access_id_asked(call, Words("no_operator"))
    return replace(call, step=Step.OVER), Transfer(words("operator_transfer"))
