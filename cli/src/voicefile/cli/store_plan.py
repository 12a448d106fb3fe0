"""What a service's store has to be, whichever engine keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass

from voicefile.docstore.migrations import Step
from voicefile.docstore.port import Collection


@dataclass(frozen=True)
class StorePlan:
    """What a service keeps, and the steps its store has gone through."""

    collections: Sequence[Collection]
    steps: Sequence[Step]
