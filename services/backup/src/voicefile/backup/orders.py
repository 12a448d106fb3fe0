"""Orders: a backup now, by an operator's command, from the instance that leads.

They go by backup's own store: whoever may write there may order, and nobody calls backup.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from voicefile.backup.store import ORDERS, at
from voicefile.docstore.port import DocStore, Document, VersionConflict
from voicefile.identity.ids import new_id

LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Outcome:
    """What an ordered backup came to."""

    said: str
    """`manifest 7`, or why it failed in a word."""
    good: bool


class Orders:
    """Of one target."""

    def __init__(self, docs: DocStore, target: str) -> None:
        self._docs = docs
        self._target = target

    async def give(self) -> Outcome:
        """Orders one, and waits until it was taken or has failed. Cancelled, the order is void."""
        order = at(self._target, new_id())
        body = {"waiting": self._target, "outcome": "", "good": False}
        await self._docs.insert(ORDERS, Document(order, "", body))
        try:
            while True:
                found = await self._docs.get(ORDERS, order)
                assert found is not None, "whoever orders takes it away"
                if found.body["waiting"] is None:
                    return Outcome(str(found.body["outcome"]), bool(found.body["good"]))
                await asyncio.sleep(LOOK_S)
        finally:
            if (found := await self._docs.get(ORDERS, order)) is not None:
                with suppress(VersionConflict):
                    await self._docs.delete(ORDERS, found)

    async def waiting(self) -> Document | None:
        """One that was given and not carried out."""
        found = await self._docs.find(ORDERS, "waiting", self._target, limit=1)
        return found[0] if found else None

    async def done(self, order: Document, outcome: Outcome) -> None:
        """Tells whoever waits, if they still do."""
        body = {"waiting": None, "outcome": outcome.said, "good": outcome.good}
        with suppress(VersionConflict):
            await self._docs.replace(ORDERS, replace(order, body=body))
