"""A dead letter: an event that a group keeps failing on, named and not quoted."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class DeadLetter:
    """Ids only: the payload stays where it is, with its publisher or in its topic."""

    topic: str
    group: str
    event_id: str
    """Empty where the record could not be read at all."""
    key: str
    partition: int = -1
    """Where it lies in a broker's log; -1 on a bus that keeps none."""
    offset: int = -1
    reason: str = ""
    """The class of what the handler raised: a name from our own code or a library's."""


OnDeadLetter = Callable[[DeadLetter], None]


def ring_nobody(letter: DeadLetter) -> None:
    """No alarm: for tests, and for whoever reads the list instead."""
