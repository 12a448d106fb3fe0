"""Opens a service's embedded store and brings it to this version before anything reads it."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from voicefile.cli.store_plan import StorePlan
from voicefile.docstore.migrations import MIGRATIONS, Step, migrate
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.docstore.sqlite_writer import tell_nobody


async def open_store(
    path: Path, plan: StorePlan, *, on_broken: Callable[[Exception], None] = tell_nobody
) -> tuple[SqliteDocStore, list[Step]]:
    """The store, and the steps it took now. Raises StoreIsNewer if the code is the older one."""
    store = await SqliteDocStore.open(path, (*plan.collections, MIGRATIONS), on_broken=on_broken)
    try:
        ran = await migrate(store, plan.steps, code_version=version("voicefile-cli"))
    except BaseException:
        await store.close()
        raise
    return store, ran
