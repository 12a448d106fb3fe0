"""Brings a store that several instances share to this version: one of them, at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from voicefile.cli.store_plan import StorePlan
from voicefile.docstore.lease import Lease
from voicefile.docstore.migrations import Step, migrate, outstanding
from voicefile.docstore.port import DocStore

LEASE: Final = "migrations"


async def migrated(store: DocStore, plan: StorePlan) -> list[Step]:
    """The steps this instance took. Raises StoreIsNewer, MigrationsDisagree."""
    if not await outstanding(store, plan.steps):
        return []
    ran: list[Step] = []
    done = asyncio.Event()

    @asynccontextmanager
    async def work() -> AsyncIterator[None]:
        # Whoever waited for the lease finds nothing left to do.
        ran.extend(await migrate(store, plan.steps, code_version=version("voicefile-cli")))
        done.set()
        yield

    async with asyncio.TaskGroup() as tasks:
        leading = tasks.create_task(Lease(store, LEASE).while_leading(work))
        await done.wait()
        leading.cancel()
    return ran
