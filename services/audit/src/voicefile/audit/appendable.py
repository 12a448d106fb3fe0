"""Appendable: whether a deed written now would reach its log; auth gives no release without.

Whichever instance is asked says the same: the leading one from what it does, every other from
what the leading one leaves in the store.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from voicefile.audit.boots import Boots
from voicefile.audit.lead import Lead
from voicefile.audit.settings import AuditSettings
from voicefile.docstore.lease import ALONE, Leadership
from voicefile.docstore.port import DocStore, DocStoreError

BOOTS_LAST_S = 1.0
"""How old the numbers may be that another instance tells; the log itself takes as long."""


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
        lead: Lead,
        *,
        settings: AuditSettings,
        leadership: Leadership = ALONE,
        now_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docs = docs
        self._sequencer = lead.sequencer
        self._pulse = lead.pulse
        self._settings = settings
        self._leadership = leadership
        self._now_s = now_s
        self._monotonic = monotonic
        self._probed_at_s = float("-inf")
        self._probing = asyncio.Lock()
        self._stored: dict[str, int] = {}
        self._read_at_s = float("-inf")

    async def verdict(self) -> Verdict:
        """Asked four times a second by each instance of auth."""
        if self._pulse is None or (self._leadership.leading and self._sequencer.alive):
            appendable = self._sequencer.alive and await self._durable()
            known = self._sequencer.boots.known().items()
            return Verdict(appendable, {boot: numbers.contiguous for boot, numbers in known})
        try:
            beats = await self._pulse.beats()
            await self._read()
        except DocStoreError:
            return Verdict(False, self._stored)
        return Verdict(beats and await self._durable(), self._stored)

    async def _read(self) -> None:
        """What is published of the instances' numbers, newly read now and then."""
        now_s = self._monotonic()
        if now_s - self._read_at_s < BOOTS_LAST_S:
            return
        self._read_at_s = now_s
        boots = Boots(self._docs)
        await boots.load(seen_since_s=int(self._now_s()) - self._settings.boots_kept_s)
        self._stored = {boot: numbers.contiguous for boot, numbers in boots.known().items()}

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
