"""The same seed, the same faults; another seed, others."""

import itertools

from tests.faults.nemesis.schedule import Kind, drawn, each_once

KINDS = (
    Kind("kill", ("auth-1", "auth-2", "kafka"), (0.0, 1.0), weight=5),
    Kind("pause", ("mongo", "ingest-1"), (1.0, 5.0)),
    Kind("partition", ("auth>kafka", "playback>auth"), (2.0, 8.0)),
)


def steps(seed, count):
    return list(itertools.islice(drawn(KINDS, seed, while_=lambda: True), count))


def test_a_seed_repeats_its_steps():
    assert steps("5eed", 50) == steps("5eed", 50)
    assert steps("5eed", 50) != steps("other", 50)


def test_every_kind_comes_before_any_comes_twice():
    assert {step.fault for step in steps("5eed", 3)} == {kind.fault for kind in KINDS}
    assert steps("5eed", 3) == each_once(KINDS, "5eed")


def test_targets_and_times_are_those_of_their_kind():
    kinds = {kind.fault: kind for kind in KINDS}
    for step in steps("5eed", 200):
        kind = kinds[step.fault]
        assert step.target in kind.targets
        assert kind.held_s[0] <= step.held_s <= kind.held_s[1]
    numbers = [step.number for step in steps("5eed", 200)]
    assert numbers == list(range(1, 201))


def test_it_ends_when_it_should():
    left = iter([True] * 7 + [False])
    assert len(list(drawn(KINDS, "5eed", while_=lambda: next(left)))) == 7
