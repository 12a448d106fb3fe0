"""The judge is judged: every kind of wrong a history can show is found, and right is not wrong."""

import copy
import hashlib

import pytest
from tests.faults.history import Found, History, complaints, read

from voicefile.contracts.deed.v1 import Action, Deed, Outcome

SOUNDS = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("k1", "k2", "k3")}
GUESSED = "credential"


def answer(n, **changes):
    usual = {"recording_id": f"r{n}", "access_id": f"a{n}", "pin": f"p{n}"}
    return usual | changes


def deed(action, *, request="", of="", outcome=Outcome.OUTCOME_DONE, at_ms=0):
    return Deed(action=action, request_id=request, object_id=of, outcome=outcome, at_ms=at_ms)


def lived(path):
    """Two uploads were answered, one was not; the first was heard, re-issued and left."""
    history = History(path)
    for n in (1, 2):
        op = history.invoke("upload", key=f"k{n}")
        history.tell(op, "ok", answer=answer(n))
    history.tell(history.invoke("upload", key="k3"), "info")
    op = history.invoke("sign_in", access_id="a1", pin="p1")
    history.tell(op, "ok", request="q1")
    op = history.invoke("listen", key="k1", session="s1")
    history.tell(op, "ok", request="q2", sha256=SOUNDS["k1"])
    history.tell(history.invoke("log_out", session="s1"), "ok", request="q3")
    op = history.invoke("reissue", old="a2/p2")
    history.tell(op, "ok", request="q4")
    history.tell(history.invoke("guess", access_id="a3", pin="x"), "fail")
    return read(path)


def left():
    """A vault that did exactly that."""
    deeds = [
        deed(action, of=f"r{n}")
        for action in (Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED)
        for n in (1, 2, 3)
    ]
    deeds += [
        deed(Action.ACTION_CUSTOMER_SIGNED_IN, request="q1"),
        deed(Action.ACTION_RELEASE_GRANTED, request="q2"),
        deed(Action.ACTION_CUSTOMER_SIGNED_OUT, request="q3"),
        deed(Action.ACTION_CREDENTIAL_REISSUED, request="q4"),
    ]
    answers = {f"k{n}": answer(n) for n in (1, 2, 3)}
    return Found(answers, dict(SOUNDS), {"r1", "r2", "r3"}, deeds)


def guesses(*at_s):
    return [
        deed(
            Action.ACTION_CUSTOMER_SIGNED_IN,
            of=GUESSED,
            outcome=Outcome.OUTCOME_REFUSED,
            at_ms=int(at * 1000),
        )
        for at in at_s
    ]


def test_what_a_good_vault_does_is_no_reason_to_complain(tmp_path):
    found = left()
    found.deeds += guesses(1, 2, 3, 34, 155, 756)
    assert complaints(lived(tmp_path / "h"), SOUNDS, found, guessed=GUESSED) == []


def lose(found):
    del found.answers["k1"]


def lose_quietly(found):
    found.recordings.remove("r3")


def exchange(found):
    found.opened["k1"], found.opened["k2"] = found.opened["k2"], found.opened["k1"]


def store_twice(found):
    found.answers["k1"] = answer(9)
    found.recordings.add("r9")


def change_the_pin(found):
    found.answers["k1"] = answer(1, pin="other")


def invent(found):
    found.recordings.add("r9")


def give_one_id_twice(found):
    found.answers["k2"]["access_id"] = "a1"


def forget_a_deed(found):
    del found.deeds[0]


def forget_a_release(found):
    found.deeds = [each for each in found.deeds if each.action != Action.ACTION_RELEASE_GRANTED]


def tell_a_deed_twice(found):
    found.deeds.append(deed(Action.ACTION_CUSTOMER_SIGNED_OUT, request="q3"))


def do_what_nobody_asked(found):
    found.deeds.append(deed(Action.ACTION_CREDENTIAL_REISSUED, request="?"))


def let_guess_fast(found):
    found.deeds += guesses(1, 2, 3, 4)


def let_guess_often(found):
    found.deeds += guesses(*(5_000 * n for n in range(16)))


@pytest.mark.parametrize(
    ("harm", "cry"),
    [
        (lose, "lost: k1"),
        (lose_quietly, "of which there is an answer"),
        (exchange, "lost or mispaired"),
        (store_twice, "double: k1"),
        (change_the_pin, "another answer"),
        (invent, "phantom: r9"),
        (give_one_id_twice, "double: access ID a1"),
        (forget_a_deed, "0 deeds ACTION_ACCESS_ISSUED"),
        (forget_a_release, "without a release"),
        (tell_a_deed_twice, "2 deeds of log_out"),
        (do_what_nobody_asked, "2 deeds of reissue, and at most 1"),
        (let_guess_fast, "guess 4 of 4"),
        (let_guess_often, "guess 16 of 16"),
    ],
)
def test_what_a_bad_vault_did_is_found(tmp_path, harm, cry):
    found = copy.deepcopy(left())
    harm(found)
    heard = complaints(lived(tmp_path / "h"), SOUNDS, found, guessed=GUESSED)
    assert any(cry in each for each in heard), heard


@pytest.mark.parametrize(
    ("what", "asked", "told", "cry"),
    [
        ("listen", {"key": "k1", "session": "s1"}, {"sha256": SOUNDS["k1"]}, "after logging out"),
        ("listen", {"key": "k1", "session": "s2"}, {"sha256": SOUNDS["k2"]}, "sounded like"),
        ("sign_in", {"access_id": "a2", "pin": "p2"}, {}, "replaced PIN"),
        ("guess", {"access_id": "a3", "pin": "y"}, {}, "a wrong PIN"),
        ("upload", {"key": "k3"}, {"answer": answer(1)}, "mispaired: r1"),
    ],
)
def test_what_clients_were_told_wrongly_is_found(tmp_path, what, asked, told, cry):
    lived(tmp_path / "h")
    history = History(tmp_path / "h")
    history._numbers, history.life = iter([99]), 1
    history.tell(history.invoke(what, **asked), "ok", request="q99", **told)
    heard = complaints(read(tmp_path / "h"), SOUNDS, left(), guessed=GUESSED)
    assert any(cry in each for each in heard), heard


def test_what_was_answered_and_lost_on_the_way_may_have_been_done(tmp_path):
    lived(tmp_path / "h")
    history = History(tmp_path / "h")
    history._numbers = iter([99])
    history.invoke("reissue", old="a1/p1")
    found = left()
    found.deeds.append(deed(Action.ACTION_CREDENTIAL_REISSUED, request="?"))
    assert complaints(read(tmp_path / "h"), SOUNDS, found, guessed=GUESSED) == []


def test_a_release_that_was_told_to_nobody_is_a_release_all_the_same(tmp_path):
    lived(tmp_path / "h")
    history = History(tmp_path / "h")
    history._numbers = iter([98, 99])
    history.tell(history.invoke("listen", key="k2", session="s2"), "info", why="ReadTimeout")
    op = history.invoke("listen", key="k2", session="s2")
    history.tell(op, "ok", request="q99", sha256=SOUNDS["k2"])
    assert complaints(read(tmp_path / "h"), SOUNDS, left(), guessed=GUESSED) == []


def test_a_refusal_is_no_release(tmp_path):
    lived(tmp_path / "h")
    history = History(tmp_path / "h")
    history._numbers = iter([98, 99])
    refused = {"status": 503, "request": "q98"}
    history.tell(history.invoke("listen", key="k2", session="s2"), "info", **refused)
    op = history.invoke("listen", key="k2", session="s2")
    history.tell(op, "ok", request="q99", sha256=SOUNDS["k2"])
    heard = complaints(read(tmp_path / "h"), SOUNDS, left(), guessed=GUESSED)
    assert any("without a release" in each for each in heard), heard


def test_guesses_a_stopped_process_recorded_late_are_forgiven_by_so_much_and_no_more(tmp_path):
    ops, found = lived(tmp_path / "h"), left()
    found.deeds += guesses(1, 2, 9, 32)
    assert complaints(ops, SOUNDS, found, guessed=GUESSED)
    assert complaints(ops, SOUNDS, found, guessed=GUESSED, slack_s=12) == []
    assert complaints(ops, SOUNDS, found, guessed=GUESSED, slack_s=6)
