"""A cluster is struck by everything that can go wrong with it, while everybody goes on using it.

Processes are killed and stopped, wires cut, slowed and made deaf, disks filled, the broker thrown
away. Clients write down what they asked for and were told; when all is healed the cluster is
compared with that. The short form strikes by each kind of fault once, for as long as its time
lasts; `make faults` goes on for twenty minutes and more.

VOICEFILE_FAULTS_SEED repeats a run's choices (not its timing: that is the machine's).
"""

import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile

import pytest
import pytest_asyncio
from tests.cluster.asked_for import asked_for
from tests.cluster.cluster import Cluster
from tests.cluster.inside import inside
from tests.faults.nemesis import faults
from tests.faults.nemesis.engines import engines_behind_proxies
from tests.faults.nemesis.run import Run, prepared
from tests.faults.nemesis.schedule import Kind, chosen_seed, drawn, each_once
from tests.faults.nemesis.verdict import Verdict, judged, second_opinion
from tests.faults.rehearsal import ROOT

pytestmark = [
    asked_for,
    pytest.mark.faults,
    pytest.mark.timeout(3 * 3_600),
    pytest.mark.asyncio(loop_scope="module"),
    # Drivers of engines forget sockets whose handshake a proxy cut: the collector closes those.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LONG = os.environ.get("VOICEFILE_FAULTS") == "long"
LASTS_S = float(os.environ.get("VOICEFILE_FAULTS_S", "1200" if LONG else "120"))
"""No fault is begun after this. Before it all is started, and after it all is judged."""
LONGEST_S = 20.0 if LONG else 3.0
BROKER_AWAY_S = 600.0 if LONG else 8.0
COMPLAINTS_SHOWN = 30
SLACK_S = 5.0


@dataclass
class Outcome:
    """What a run has come to."""

    seed: str
    run: Run
    verdict: Verdict
    said_aloud: list[str]

    def failed(self, lines):
        """Words for a failure, with the seed to repeat it and the history kept."""
        kept = ROOT / "var" / "faults" / f"nemesis-{self.seed}.jsonl"
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(self.run.path, kept)
        told = "\n".join(lines[:COMPLAINTS_SHOWN])
        return f"seed {self.seed}, history in {kept}, {len(lines)} complaints:\n{told}"


def steps(seed):
    kinds = faults.kinds(longest_s=LONGEST_S)
    away = Kind("killed", ("kafka",), (BROKER_AWAY_S, BROKER_AWAY_S))
    until_s = time.monotonic() + LASTS_S
    if LONG:
        return drawn([away, *kinds], seed, while_=lambda: time.monotonic() < until_s)
    return takewhile(lambda _: time.monotonic() < until_s, each_once([*kinds, away], seed))


def not_reached(run):
    wanted = {kind.fault for kind in faults.kinds(longest_s=LONGEST_S)}
    left = sorted(wanted - {struck.step.fault for struck in run.struck})
    return f"no time for: {', '.join(left)}" if left else "every kind of fault came"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(tmp_path_factory):
    folder, seed = tmp_path_factory.mktemp("nemesis"), chosen_seed()
    aloud = [reason] if (reason := faults.strace_works()) else []
    with faults.small_disks(folder / "engines") as why_not:
        aloud += [why_not] if why_not else []
        cluster = Cluster(folder, wired=True, backed_up=False, engines=engines_behind_proxies)
        try:
            cluster.start()
            async with inside(cluster) as seen:
                run = await prepared(cluster, seen, folder, seed)
                await run.suffer(steps(seed))
                aloud += [not_reached(run)]
                slack_s = run.longest_pause_s + SLACK_S
                verdict = await judged(
                    seen, run.outside, run.crowd, run.ops, guessed=run.guessed, slack_s=slack_s
                )
                yield Outcome(seed, run, verdict, aloud)
        finally:
            cluster.stop()


async def test_whatever_fails_nothing_acknowledged_is_lost(outcome, capsys):
    with capsys.disabled():
        print("\n" + figures(outcome))
    if outcome.verdict.wrong:
        pytest.fail(outcome.failed(outcome.verdict.wrong))
    assert outcome.verdict.recordings > 10


async def test_everybody_is_served_again_in_time(outcome):
    late = [struck.late for struck in outcome.run.struck if struck.late]
    if late:
        pytest.fail(outcome.failed(late))


async def test_every_wire_was_in_use(outcome):
    """A proxy that nobody goes through would make every fault of a wire a success."""
    carried = outcome.run.cluster.wires.carried()
    unused = [
        pair
        for pair in faults.PAIRS
        if not any(
            door.startswith(pair.split(">")[1]) and who.startswith(pair.split(">")[0])
            for door, who in carried
        )
    ]
    assert unused == []


async def test_what_was_killed_was_started_again(outcome):
    services = {"everything", *faults.SERVICES, *faults.REPLICAS}
    kills = [struck.step for struck in outcome.run.struck if "killed" in struck.step.fault]
    if not any(step.target in services for step in kills):
        pytest.skip("; ".join(["no service was killed", *outcome.said_aloud]))
    restarts = {each.name: each.restarts for each in outcome.run.cluster.everybody}
    assert sum(restarts.values()) > 0, restarts


async def test_an_fsync_that_was_to_fail_did(outcome):
    targets = {each.step.target for each in outcome.run.struck if each.step.fault == "fsync fails"}
    if not targets:
        pytest.skip("; ".join(outcome.said_aloud))
    engines = outcome.run.cluster.engines.all
    failed = {name: faults.syncs_failed(engines[name]) for name in targets}
    print(failed)
    assert sum(failed.values()) > 0, failed


async def test_a_planted_loss_is_found(outcome):
    """The control: one recording is taken away behind everybody's back, as a bad store would."""
    heard = await second_opinion(outcome.run)
    assert heard["before"] == []
    assert any("lost" in each for each in heard["a recording"]), heard
    assert any("lost" in each for each in heard["a blob"]), heard
    assert heard["a deed"], heard


def figures(outcome):
    run, verdict = outcome.run, outcome.verdict
    counted = Counter((op.what, op.type) for op in run.ops)
    lines = [f"seed {outcome.seed}: {len(run.struck)} faults in {run.lasted_s:.0f} s"]
    lines += [f"  {struck}" for struck in run.struck]
    lines += [f"  {said}" for said in outcome.said_aloud]
    lines += [f"{what:8} {kind:4} {n}" for (what, kind), n in sorted(counted.items())]
    restarts = {each.name: each.restarts for each in run.cluster.everybody if each.restarts}
    lines.append(f"started again: {restarts}")
    lines.append(
        f"{verdict.recordings} recordings, {len(verdict.logs.deeds)} deeds in the logs; numbers "
        f"given and not stored: {verdict.logs.holes}; guesses checked: {verdict.guessed}"
    )
    return "\n".join(lines)
