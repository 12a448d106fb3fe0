"""Which fault comes when: drawn from a seed, the same again for the same seed."""

import os
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

SEED = "VOICEFILE_FAULTS_SEED"
QUIET_S = (0.3, 1.2)
"""How long everybody works undisturbed between two faults."""


@dataclass(frozen=True)
class Step:
    """One fault: what is struck, and for how long."""

    number: int
    fault: str
    target: str
    quiet_s: float
    held_s: float

    def __str__(self) -> str:
        return f"{self.number:3} {self.fault} {self.target}, {self.held_s:.1f} s"


@dataclass(frozen=True)
class Kind:
    """A fault that can be drawn: at which targets, and how long it may hold."""

    fault: str
    targets: Sequence[str]
    held_s: tuple[float, float]
    weight: int = 1


def chosen_seed() -> str:
    """That of the environment, or a new one. It is printed with everything that fails."""
    return os.environ.get(SEED) or secrets.token_hex(4)


def each_once(kinds: Sequence[Kind], seed: str) -> list[Step]:
    """Every kind at one of its targets, in an order of chance: the short form."""
    chance = random.Random(f"once {seed}")
    order = list(kinds)
    chance.shuffle(order)
    return [_step(number, kind, chance) for number, kind in enumerate(order, 1)]


def drawn(kinds: Sequence[Kind], seed: str, *, while_: Callable[[], bool]) -> Iterator[Step]:
    """By weight, as long as wanted: the long form. Every kind comes once before any is drawn."""
    number = 0
    for step in each_once(kinds, seed):
        if not while_():
            return
        number = step.number
        yield step
    chance = random.Random(f"drawn {seed}")
    weights = [kind.weight for kind in kinds]
    while while_():
        number += 1
        [kind] = chance.choices(kinds, weights)
        yield _step(number, kind, chance)


def _step(number: int, kind: Kind, chance: random.Random) -> Step:
    return Step(
        number=number,
        fault=kind.fault,
        target=chance.choice(list(kind.targets)),
        quiet_s=chance.uniform(*QUIET_S),
        held_s=chance.uniform(*kind.held_s),
    )
