"""Refusals: who is known and is refused something is told to the log before the answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from voicefile.auth.events import Fact
from voicefile.deeds.deed import Deed, Outcome
from voicefile.deeds.series import DeedSeries


@asynccontextmanager
async def refusal_told(
    deeds: DeedSeries[Fact], deed: Deed, *refusals: type[Exception]
) -> AsyncIterator[None]:
    """Records the deed as refused if the block raises one of these; the error goes on."""
    try:
        yield
    except refusals:
        await deeds.record(replace(deed, outcome=Outcome.OUTCOME_REFUSED))
        raise
