"""A whole vault is killed between every two steps; started again, it is as if nothing had been.

Each kill is a SIGKILL that the process gives itself at one call of a port. What is left on the
disk is started again without a fuse, the request is tried again, and everything is compared:
what was acknowledged, documents with blobs, documents with the log, the log with itself.
"""

import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from queue import SimpleQueue

import pytest
from tests.faults.rehearsal import LEASE_S, rehearsal

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
AT_ONCE = 3


@pytest.fixture(scope="module")
def troupe(tmp_path_factory):
    """Processes that rehearse side by side; each waits for none but itself."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as running:
        free = SimpleQueue()
        for at in range(AT_ONCE):
            (folder / str(at)).mkdir()
            free.put(running.enter_context(rehearsal(folder / str(at))))
        yield free


@pytest.fixture(scope="module")
def vault(troupe, tmp_path_factory):
    """A vault with two companies and two recordings, stopped in order."""
    data = tmp_path_factory.mktemp("vault") / "var"
    rehearsing = troupe.get()
    rehearsing.play(data, "prepare", killed=False)
    troupe.put(rehearsing)
    return data


@pytest.fixture(scope="module")
def seen():
    """Pairs of steps of an upload, whatever kind of upload it was."""
    return set()


def in_turn(troupe, takes):
    """Runs every take, as many at once as there are processes; the first failure counts."""

    def with_a_free_one(take):
        rehearsing = troupe.get()
        try:
            return take(rehearsing)
        finally:
            troupe.put(rehearsing)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for taken in [pool.submit(with_a_free_one, take) for take in takes]:
            taken.result()


def kills(steps, seen):
    """At which steps to kill: in the long run at all, else once for each pair of neighbours."""
    chosen = []
    for at, pair in enumerate(pairwise(["", *steps]), start=1):
        if LONG or pair not in seen:
            chosen.append(at)
        seen.add(pair)
    # After the last: the answer was given, and that was all.
    return [*chosen, len(steps) + 1]


def killed_at_each_step(troupe, data, scene, mend, *, seen=None, **job):
    """Counts the steps; then for each: kill, start again, mend, check. Answers the steps.

    `seen`: pairs of neighbours between which this work was killed before.
    """
    # What loops read is a matter of time, not of what is done.
    job["reads"] = LONG and job.get("acting", True) is True
    rehearsing = troupe.get()
    steps = rehearsing.steps(data, scene, **job)
    troupe.put(rehearsing)

    def take(at, rehearsing):
        copy = rehearsing.copied(data)
        ended = rehearsing.play(copy, scene, killed=True, at=at, **job)
        try:
            mend(rehearsing, copy, ended)
        except BaseException as failed:
            # Steps of several tasks may change places, so the name says more than the number.
            failed.add_note(f"{scene} killed before step {at}, about {[*steps, 'the end'][at - 1]}")
            raise
        rehearsing.drop(copy)

    in_turn(troupe, [partial(take, at) for at in kills(steps, set() if seen is None else seen)])
    return steps


def mended_upload(rehearsing, copy, ended, **order):
    answered = ended.of("answered")
    order["told"] = answered and answered["answer"]
    rehearsing.play(copy, "uploaded", killed=False, ahead_s=LEASE_S, args=order)


def known(vault):
    return json.loads(vault.with_suffix(".json").read_text())


def an_order(**more):
    return {"key": secrets.token_hex(16), "seed": secrets.token_hex(4), **more}


def test_an_upload_killed_anywhere_is_one_recording(troupe, vault, seen):
    order = an_order()
    mend = partial(mended_upload, **order)
    steps = killed_at_each_step(troupe, vault, "upload", mend, seen=seen, args=order)
    assert {
        "ingest insert reservations",
        "ingest put blob",
        "ingest chunk blob",
        "auth insert directory",
        "auth insert access",
        "ingest hears /auth/internal/v1/issues",
        "ingest replace reservations",
    } <= set(steps)


def test_a_join_killed_anywhere_is_one_recording_more(troupe, vault, seen):
    first = known(vault)["filed"][0]["answer"]
    order = an_order(join=first["access_id"])
    mend = partial(mended_upload, **order, pin=first["pin"])
    steps = killed_at_each_step(troupe, vault, "upload", mend, seen=seen, args=order)
    assert "auth replace access" in steps
    assert "auth insert directory" not in steps


def test_what_an_upload_sets_going_arrives_once_wherever_it_is_killed(troupe, vault):
    order = an_order()
    mend = partial(mended_upload, **order)
    job = {"acting": False, "args": {**order, "onward": True}}
    steps = killed_at_each_step(troupe, vault, "upload", mend, **job)
    assert {
        "auth publishes",
        "audit insert_many segments",
        "audit replace heads",
        "ingest insert feed",
        "auth settle access",
    } <= set(steps)


def test_no_key_leaves_without_a_record_wherever_a_listening_is_killed(troupe, vault):
    def mend(rehearsing, copy, ended):
        told = [each for each in ended.told if each["kind"] != "steps"]
        rehearsing.play(copy, "listened", killed=False, args={"told": told})

    steps = killed_at_each_step(troupe, vault, "listen", mend)
    granted = steps.index("auth insert releases")
    assert granted < steps.index("playback hears /auth/internal/v1/releases")


def test_no_guess_is_free_wherever_it_is_killed(troupe, vault):
    def mend(rehearsing, copy, ended):
        args = {"refused": ended.of("refused") is not None}
        rehearsing.play(copy, "guessed", killed=False, ahead_s=LEASE_S, args=args)

    steps = killed_at_each_step(troupe, vault, "guess", mend)
    assert steps[-1] == "auth insert_many deeds", "charged first, told last"


def test_a_new_pin_is_told_or_can_be_had_again_wherever_it_is_killed(troupe, vault):
    def mend(rehearsing, copy, ended):
        done = ended.of("reissued")
        args = {"credential": ended.of("credential")["credential"], "pin": done and done["pin"]}
        rehearsing.play(copy, "reissued", killed=False, ahead_s=LEASE_S, args=args)

    killed_at_each_step(troupe, vault, "reissue", mend)


def test_sweepers_killed_anywhere_end_in_the_next_round(troupe, vault):
    def mend(rehearsing, copy, _ended):
        rehearsing.play(copy, "swept", killed=False)

    rehearsing = troupe.get()
    orphaned = rehearsing.copied(vault)
    steps = rehearsing.steps(vault, "upload", args=(order := an_order()))
    at = steps.index("auth insert access") + 1
    rehearsing.play(orphaned, "upload", killed=True, args=order, at=at)
    troupe.put(rehearsing)
    swept = killed_at_each_step(troupe, orphaned, "sweep", mend, acting=None)
    assert {"ingest delete blob", "ingest delete reservations", "auth delete directory"} <= set(
        swept
    )


def test_a_first_start_killed_anywhere_is_none(troupe, tmp_path):
    def mend(rehearsing, copy, _ended):
        rehearsing.play(copy, "started", killed=False)

    job = {"from_the_start": True, "acting": None}
    steps = killed_at_each_step(troupe, tmp_path / "none" / "var", "start", mend, **job)
    assert {"auth insert deployment", "audit insert log_keys", "auth insert tenants"} <= set(steps)
