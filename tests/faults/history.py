"""What clients asked for and were told, line by line, and whether a vault may have done that.

A client writes `invoke` before it asks, and then `ok`, `fail` (surely not done) or `info` (nobody
knows) when it was told. The file is only ever appended to, so it outlives whoever writes it.
`complaints` compares it with the vault as it is found at the end.
"""

import itertools
import json
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from voicefile.auth.throttling.throttle_policy import Limits, Tries, Wait, charge
from voicefile.contracts.deed.v1 import Action, Outcome

SLACK_S = 5
ACCESS_ENDS_S = 60
"""After logging out access ends within a minute."""


class History:
    """The file, as it is written."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._numbers = itertools.count(1)
        self.life = 0
        """Which start of the vault this is."""

    def invoke(self, what, **value):
        op = next(self._numbers)
        self._write(op=op, type="invoke", what=what, **value)
        return op

    def tell(self, op, kind, **value):
        self._write(op=op, type=kind, **value)

    def _write(self, **event):
        event |= {"at": time.time(), "life": self.life}
        os.write(self._file, json.dumps(event).encode() + b"\n")


@dataclass
class Op:
    """One thing a client did: how it was asked, and how it ended."""

    what: str
    asked: dict
    told: dict = field(default_factory=dict)

    @property
    def type(self):
        return self.told.get("type", "info")

    @property
    def ok(self):
        return self.type == "ok"

    @property
    def began(self):
        return self.asked["at"]

    @property
    def ended(self):
        return self.told.get("at", float("inf"))


def read(path):
    ops = {}
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "invoke":
            ops[event["op"]] = Op(event["what"], event)
        else:
            ops[event["op"]].told = event
    return list(ops.values())


@dataclass
class Found:
    """The vault at the end, when everything unknown was tried once more."""

    answers: dict
    """By Idempotency-Key: the answer, as retried last."""
    opened: dict
    """By Idempotency-Key: SHA-256 of what its ID and newest PIN opened; None: nothing."""
    recordings: set
    """Ids of all recordings there are."""
    deeds: list


def complaints(ops, sounds, found, *, guessed=None, limits=None, slack_s=SLACK_S):
    """Everything this vault has done that it must not have, in words.

    `sounds`: SHA-256 of each key's audio; `guessed`: the credential that strangers guessed at;
    `slack_s`: how late a deed may have been written down.
    """
    return [
        *of_uploads(ops, sounds, found),
        *_of_listening(ops, sounds),
        *_of_pins(ops),
        *_of_deeds(ops, found),
        *_of_guesses(found, guessed, limits or Limits(), slack_s),
        *(f"unexpected: {op.asked} {op.told}" for op in ops if op.told.get("unexpected")),
    ]


def of_uploads(ops, sounds, found):
    keys_of = defaultdict(set)
    for op in ops:
        if op.what != "upload" or not op.ok:
            continue
        key, answer = op.asked["key"], op.told["answer"]
        keys_of[answer["recording_id"]].add(key)
        kept = found.answers.get(key)
        if kept is None:
            yield f"lost: {key}"
        elif kept["recording_id"] != answer["recording_id"]:
            yield f"double: {key} is {answer['recording_id']} and {kept['recording_id']}"
        elif kept != answer:
            yield f"another answer: {key}"
    for recording, keys in keys_of.items():
        if len(keys) > 1:
            yield f"mispaired: {recording} is of {sorted(keys)}"
    for key, answer in found.answers.items():
        if answer["recording_id"] not in found.recordings:
            yield f"lost: {key}, of which there is an answer"
        if found.opened.get(key) != sounds[key]:
            yield f"lost or mispaired: ID and PIN of {key} open {found.opened.get(key)}"
    access_ids = Counter(answer["access_id"] for answer in found.answers.values())
    yield from (f"double: access ID {each}" for each, n in access_ids.items() if n > 1)
    asked = {op.asked["key"] for op in ops if op.what == "upload"}
    answered = {answer["recording_id"] for answer in found.answers.values()}
    yield from (f"phantom: {each}" for each in sorted(found.recordings - answered))
    yield from (f"phantom: {key}" for key in sorted(found.answers.keys() - asked))


def _of_listening(ops, sounds):
    left = {op.asked["session"]: op for op in ops if op.what == "log_out" and op.ok}
    for op in ops:
        if op.what != "listen" or not op.ok:
            continue
        if op.told["sha256"] != sounds[op.asked["key"]]:
            yield f"mispaired: {op.asked['key']} sounded like another, op {op.asked['op']}"
        if _too_late(op, left.get(op.asked["session"])):
            yield f"heard after logging out, op {op.asked['op']}"


def _too_late(op, left):
    """A lease goes on for a while, in the memory of the process that holds it, and no other."""
    if left is None:
        return False
    return op.asked["life"] > left.told["life"] or op.began > left.ended + ACCESS_ENDS_S


def _of_pins(ops):
    replaced = {op.asked["old"]: op.ended for op in ops if op.what == "reissue" and op.ok}
    for op in ops:
        if op.what == "sign_in" and op.ok and op.began > replaced.get(_pin(op), float("inf")):
            yield f"a replaced PIN let somebody in, op {op.asked['op']}"
        if op.what == "guess" and op.ok:
            yield f"a wrong PIN let somebody in, op {op.asked['op']}"


def _pin(op):
    return f"{op.asked['access_id']}/{op.asked['pin']}"


_DEEDS = {
    "sign_in": Action.ACTION_CUSTOMER_SIGNED_IN,
    "log_out": Action.ACTION_CUSTOMER_SIGNED_OUT,
    "reissue": Action.ACTION_CREDENTIAL_REISSUED,
}
_RELEASED = (Action.ACTION_RELEASE_GRANTED, Action.ACTION_RELEASE_JOINED)


def _of_deeds(ops, found):
    done = [deed for deed in found.deeds if deed.outcome == Outcome.OUTCOME_DONE]
    requests = Counter((deed.action, deed.request_id) for deed in done)
    objects = Counter((deed.action, deed.object_id) for deed in done)
    total = Counter(deed.action for deed in done)
    for answer in found.answers.values():
        for action in (Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED):
            if (n := objects[action, answer["recording_id"]]) != 1:
                yield f"{n} deeds {Action.Name(action)} of {answer['recording_id']}"
    for what, action in _DEEDS.items():
        mine = [op for op in ops if op.what == what]
        for op in mine:
            if op.ok and (n := requests[action, op.told["request"]]) != 1:
                yield f"{n} deeds of {what}, op {op.asked['op']}"
        possible = sum(op.type != "fail" for op in mine)
        if total[action] > possible:
            yield f"{total[action]} deeds of {what}, and at most {possible} were done"
    yield from _of_releases(ops, requests)


def _of_releases(ops, requests):
    """What was heard in one life of the vault was released in it, to that session.

    Where the answer to somebody was lost on the way, that may have been whom it was released to.
    """
    released = {
        (op.asked["session"], op.asked["life"])
        for op in ops
        if op.what == "listen"
        if _told_to_nobody(op)
        or any(requests[action, op.told.get("request")] for action in _RELEASED)
    }
    for op in ops:
        if op.what != "listen" or not op.ok:
            continue
        if (op.asked["session"], op.asked["life"]) not in released:
            yield f"heard without a release in the log, op {op.asked['op']}"


def _told_to_nobody(op):
    return op.type == "info" and "request" not in op.told


def _of_guesses(found, guessed, limits, slack_s):
    """Guesses that were checked are refused sign-ins in the log; no more than the rules allow.

    A try is charged just before it is checked and recorded just after. So the times in the log
    are a little late, each by another bit, and a process that was stopped by more: `slack_s`.
    """
    times = guesses(found.deeds, guessed)
    tries = Tries()
    for at, at_ms in enumerate(times):
        charged = charge(
            tries,
            now_ms=at_ms + int(slack_s * 1000),
            most=limits.stranger_tries_per_day,
            window_ms=86_400_000,
            waits_s=limits.stranger_waits_s,
        )
        if isinstance(charged, Wait):
            yield f"guess {at + 1} of {len(times)} was checked too early"
            return
        tries = Tries((*tries.at_ms, at_ms))


def guesses(deeds, credential):
    """When somebody was refused at this credential after its PIN was looked at, in order."""
    return sorted(
        deed.at_ms
        for deed in deeds
        if deed.object_id == credential
        and deed.action == Action.ACTION_CUSTOMER_SIGNED_IN
        and deed.outcome == Outcome.OUTCOME_REFUSED
    )
