"""Appendable: whether a deed written now would reach its log; auth gives no release without."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from voicefile.audit.append import Sequencer
from voicefile.audit.settings import AuditSettings
from voicefile.docstore.port import DocStore


@dataclass(frozen=True)
class Verdict:
    """The answer to auth."""

    appendable: bool
    sequenced: dict[str, int]
    """By instance: all its deeds up to this number are in their logs."""


class Appendable:
    """Says yes only on the strength of a durable write not older than the settings allow."""

    def __init__(
        self,
        docs: DocStore,
        sequencer: Sequencer,
        *,
        settings: AuditSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docs = docs
        self._sequencer = sequencer
        self._settings = settings
        self._monotonic = monotonic
        self._probed_at_s = float("-inf")
        self._probing = asyncio.Lock()

    async def verdict(self) -> Verdict:
        """Asked four times a second by each instance of auth."""
        appendable = self._sequencer.alive and await self._durable()
        known = self._sequencer.boots.known().items()
        return Verdict(appendable, {boot: numbers.contiguous for boot, numbers in known})

    async def _durable(self) -> bool:
        async with self._probing:  # who waits here profits from the probe before
            if self._recently():
                return True
            begun_s = self._monotonic()
            try:
                async with asyncio.timeout(self._settings.ready_within_s):
                    ready = await self._docs.ready()
            except TimeoutError:
                return False
            if ready:
                self._probed_at_s = begun_s
            return ready

    def _recently(self) -> bool:
        appended_at_s = self._sequencer.durable_at_s
        latest_s = max(self._probed_at_s, float("-inf") if appended_at_s is None else appended_at_s)
        return self._monotonic() - latest_s <= self._settings.durable_within_s
