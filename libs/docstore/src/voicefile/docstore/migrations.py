"""Migrations: numbered steps that bring a store to what the code expects, each run to its end once.

A step is a function over the store, safe to repeat: killed in the middle, it starts again, and
two instances may run it side by side. A step that was released is never changed or removed.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from voicefile.docstore.port import (
    Collection,
    DocStore,
    DocStoreError,
    Document,
    DocumentExists,
    StoreIsNewer,
    StoreIsShut,
    Value,
)

MIGRATIONS = Collection("migrations", silent=True)
"""Which steps this store has behind it. To be declared by every service that has steps."""

SHUT: Final = "shut"
"""The id of the record that shuts a store."""
_STEPS_MAX = 10_000


class MigrationsDisagree(DocStoreError):
    """The store went another way than this code's steps: one was changed, removed or renamed."""


@dataclass(frozen=True)
class Step:
    """One change of what is stored. Numbers run from 1 without a gap."""

    number: int
    name: str
    run: Callable[[DocStore], Awaitable[None]]


def shutting(about: Mapping[str, Value]) -> Document:
    """A record that shuts a store to all code while it is there, and what else it is to say.

    Its number is above every step's: code that knows of no shut stores takes it for newer.
    """
    return Document(SHUT, "", {"number": _STEPS_MAX, "name": SHUT, **about})


async def outstanding(store: DocStore, steps: Sequence[Step]) -> list[Step]:
    """The steps still to be run, in order. Raises StoreIsNewer, StoreIsShut, MigrationsDisagree."""
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise MigrationsDisagree("steps are numbered from 1 without a gap")
    done = {
        document.body["number"]: document.body["name"]
        for document in await store.scan(MIGRATIONS, limit=_STEPS_MAX)
    }
    if done.get(_STEPS_MAX) == SHUT:
        raise StoreIsShut("it is being made")
    newer = [number for number in done if isinstance(number, int) and number > len(steps)]
    if newer:
        raise StoreIsNewer(f"step {max(newer)} is done, this code knows {len(steps)}")
    for step in steps:
        if done.get(step.number, step.name) != step.name:
            raise MigrationsDisagree(f"step {step.number} was {done[step.number]}")
    left = [step for step in steps if step.number not in done]
    if left and left[0].number <= len(done):
        raise MigrationsDisagree(f"step {left[0].number} was left out")
    return left


async def migrate(
    store: DocStore,
    steps: Sequence[Step],
    *,
    code_version: str,
    now_s: Callable[[], float] = time.time,
) -> list[Step]:
    """Runs what is outstanding; answers the steps it ran. An error leaves the rest undone."""
    ran = []
    for step in await outstanding(store, steps):
        await step.run(store)
        # Recorded after the work: a crash between the two repeats the step, never skips it.
        record = Document(
            f"{step.number:06d}",
            "",
            {
                "number": step.number,
                "name": step.name,
                "code_version": code_version,
                "done_at_s": int(now_s()),
            },
        )
        with suppress(DocumentExists):  # another instance ran it side by side
            await store.insert(MIGRATIONS, record)
        ran.append(step)
    return ran
