"""Thousands of random manipulations: each is found, and each message names what was touched.

`VOICEFILE_FAULTS=long` makes them a hundred thousand; VOICEFILE_FAULTS_SEED repeats a run.
"""

import os
import random
import secrets

import pytest
from tests.libs.verify.log_world import opened
from tests.libs.verify.manipulations import ON_BUNDLES, ON_LOGS, Forger, LogForger

from voicefile.verify.bundle import read_bundle
from voicefile.verify.checks import CHECKS, findings
from voicefile.verify.evidence import Trusted, read_case
from voicefile.verify.fsck import LogCheck
from voicefile.verify.judge import judge
from voicefile.verify.refuted import Refuted

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
ALL = 100_000 if LONG else 2_400
ON_BUNDLE_EACH = ALL * 3 // 5 // len(ON_BUNDLES)
ON_LOG_EACH = ALL * 2 // 5 // len(ON_LOGS)
PER_FORGER = 60
LOG_SIZES = (7, 40, 40, 40, 300)
pytestmark = pytest.mark.timeout(4 * 3_600 if LONG else 120)


@pytest.fixture(scope="module")
def seed():
    chosen = os.environ.get("VOICEFILE_FAULTS_SEED") or secrets.token_hex(4)
    print(f"VOICEFILE_FAULTS_SEED={chosen}")
    return chosen


def found_in(raw, forger):
    log = forger.filing.log
    try:
        evidence = read_bundle(opened(raw))
    except Refuted as refuted:
        return [refuted]
    return judge(evidence, Trusted(log.key, (log.witness,))).wrong


@pytest.mark.parametrize("what", ON_BUNDLES)
def test_no_manipulation_of_a_bundle_goes_unseen(what, seed):
    chance = random.Random(f"{seed} {what}")
    done = 0
    while done < ON_BUNDLE_EACH:
        forger = Forger(chance)
        assert found_in(forger.raw, forger) == ()
        for _ in range(min(PER_FORGER, ON_BUNDLE_EACH - done)):
            forged, named = getattr(forger, what)()
            if forged == forger.raw:
                continue  # two equal pieces changed places
            wrong = found_in(forged, forger)
            assert named & {each.file for each in wrong}, [str(each) for each in wrong]
            done += 1


@pytest.mark.parametrize("what", ON_LOGS)
def test_no_manipulation_of_a_log_goes_unseen(what, seed):
    chance = random.Random(f"{seed} {what}")
    done = 0
    while done < ON_LOG_EACH:
        forger = LogForger(chance, chance.choice(LOG_SIZES))
        LogCheck(forger.files.get, forger.log.key, forger.kept).run()
        for _ in range(min(PER_FORGER, ON_LOG_EACH - done)):
            forged, named = getattr(forger, what)()
            if forged == forger.files:
                continue
            with pytest.raises(Refuted) as refuted:
                LogCheck(forged.get, forger.log.key, forger.kept).run()
            assert any(each in str(refuted.value) for each in named), refuted.value
            done += 1


def escapes(checks, chance):
    """Whether any manipulation gets past these checks."""
    for _ in range(20):
        forger = Forger(chance)
        log = forger.filing.log
        for what in ON_BUNDLES:
            raw, _ = getattr(forger, what)()
            try:
                case = read_case(read_bundle(opened(raw)), Trusted(log.key, (log.witness,)))
            except Refuted:
                continue
            if raw != forger.raw and not list(findings(case, checks)):
                return True
    return False


def test_all_checks_together_let_nothing_through(seed):
    assert not escapes(CHECKS, random.Random(seed))


@pytest.mark.parametrize("left_out", CHECKS, ids=lambda check: check.__name__)
def test_a_verifier_that_leaves_one_check_out_is_caught(left_out, seed):
    checks = tuple(check for check in CHECKS if check is not left_out)
    assert escapes(checks, random.Random(seed))


class NoRoots(LogCheck):
    def roots(self, *_):
        pass


class NoTiles(LogCheck):
    def tile(self, *_):
        pass


class NoDeeds(LogCheck):
    def deed(self, *_):
        pass


class NothingKept(LogCheck):
    def kept(self, _):
        return []


@pytest.mark.parametrize("careless", [NoRoots, NoTiles, NoDeeds, NothingKept])
def test_a_recount_that_leaves_something_out_is_caught(careless, seed):
    chance = random.Random(seed)
    for _ in range(30):
        forger = LogForger(chance, 20)
        for what in ON_LOGS:
            forged, _ = getattr(forger, what)()
            try:
                careless(forged.get, forger.log.key, forger.kept).run()
            except Refuted:
                continue
            return
    pytest.fail("nothing got through")
