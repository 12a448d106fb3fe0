"""Opens a service's store and brings it to this version before anything reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from voicefile.docstore.migrations import MIGRATIONS, Step, migrate
from voicefile.docstore.port import Collection
from voicefile.docstore.sqlite import SqliteDocStore


@dataclass(frozen=True)
class StorePlan:
    """What a service keeps, and the steps its store has gone through."""

    collections: Sequence[Collection]
    steps: Sequence[Step]


async def open_store(path: Path, plan: StorePlan) -> tuple[SqliteDocStore, list[Step]]:
    """The store, and the steps it took now. Raises StoreIsNewer if the code is the older one."""
    store = await SqliteDocStore.open(path, (*plan.collections, MIGRATIONS))
    try:
        ran = await migrate(store, plan.steps, code_version=version("voicefile-cli"))
    except BaseException:
        await store.close()
        raise
    return store, ran
