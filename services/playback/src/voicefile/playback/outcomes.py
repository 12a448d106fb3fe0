"""How each listening ended, recorded even when the process that served it did not live to see it.

A listening has a document from before its first byte until its outcome is published. One that was
not touched for long belongs to a process that died; whoever finds it records the outcome: failed.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from voicefile.contracts.playback.v1 import ListeningEnded
from voicefile.deeds.deed import Action, Actor, Deed, Outcome, Purpose, Role
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    Index,
    PendingEvent,
    VersionConflict,
)
from voicefile.identity.ids import new_id
from voicefile.playback.listener import Listener
from voicefile.playback.metrics import integrity_failures

log = structlog.get_logger(__name__)

LISTENINGS = Collection("listenings", indexes=(Index("touched", "touched_at_s"),), ephemeral=True)
"""Body: release, role, principal, purpose, touched_at_s. Gone when its outcome is published."""
SWEEP_BATCH = 100

PURPOSES = {
    "customer-request": Purpose.PURPOSE_CUSTOMER_REQUEST,
    "complaint": Purpose.PURPOSE_COMPLAINT,
    "dispute": Purpose.PURPOSE_DISPUTE,
    "quality": Purpose.PURPOSE_QUALITY,
    "legal": Purpose.PURPOSE_LEGAL,
    "authority": Purpose.PURPOSE_AUTHORITY,
}
"""The codes of the Purpose header."""
_ROLES = {"customer": Role.ROLE_CUSTOMER, "care": Role.ROLE_CARE}


def actor_of(listener: Listener) -> Actor:
    """The listener as a deed names them; who a customer is, auth's release deed knows."""
    return Actor(listener.principal, _ROLES[listener.role])


class Outcomes:
    """Playback's record of its listenings."""

    def __init__(
        self,
        store: DocStore,
        series: DeedSeries[ListeningEnded],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._series = series
        self._now_s = now_s

    async def begun(self, listener: Listener, *, tenant: str, release: str) -> Document:
        """Durable before the first byte: from here on the listening will have an outcome."""
        body = {
            "release": release,
            "role": listener.role.value,
            "principal": listener.principal,
            "purpose": listener.purpose,
            "touched_at_s": int(self._now_s()),
        }
        return await self._store.insert(LISTENINGS, Document(new_id(), tenant, body))

    async def touched(self, document: Document) -> Document:
        """Says that somebody still looks after it."""
        body = {**document.body, "touched_at_s": int(self._now_s())}
        return await self._store.replace(LISTENINGS, replace(document, body=body))

    async def ended(self, document: Document, *, bytes_sent: int, outcome: Outcome) -> None:
        """Records the outcome, once: a listening somebody else has ended stays as it is."""
        body = document.body
        deed = Deed(
            actor=Actor(str(body["principal"]), _ROLES[str(body["role"])]),
            action=Action.ACTION_LISTENING_ENDED,
            tenant=document.tenant,
            object_id=str(body["release"]),
            purpose=PURPOSES.get(str(body["purpose"]), Purpose.PURPOSE_UNSPECIFIED),
            outcome=outcome,
            bytes_sent=bytes_sent,
        )
        fact = ListeningEnded(
            tenant=document.tenant, release_id=str(body["release"]), bytes_sent=bytes_sent
        )

        async def write(event: PendingEvent) -> Document:
            # No time any more, so that the sweep never sees it again while it waits to be settled.
            ended = replace(document, body={**body, "touched_at_s": None}, pending=(event,))
            return await self._store.replace(LISTENINGS, ended)

        try:
            await self._series.write(deed, write, fact)
        except VersionConflict:
            log.warning("listening_ended_elsewhere")

    async def sweep(self, *, older_than_s: float) -> int:
        """Ends what nobody touched for that long; answers how many."""
        until = int(self._now_s() - older_than_s)
        lost = await self._store.due(LISTENINGS, "touched", until, limit=SWEEP_BATCH)
        for document in lost:
            await self.ended(document, bytes_sent=0, outcome=Outcome.OUTCOME_FAILED)
        return len(lost)

    async def downloaded(
        self, listener: Listener, *, tenant: str, recording: str, request_id: str
    ) -> None:
        """A file that leaves the vault is a deed of its own, before its first byte."""
        await self._series.record(
            Deed(
                actor=actor_of(listener),
                action=Action.ACTION_RECORDING_DOWNLOADED,
                tenant=tenant,
                object_id=recording,
                purpose=PURPOSES.get(listener.purpose, Purpose.PURPOSE_UNSPECIFIED),
                request_id=request_id,
            )
        )

    async def damaged(self, listener: Listener, *, tenant: str, recording: str) -> None:
        """A sealed object did not open: somebody changed it, or a disk did."""
        integrity_failures().inc()
        await self._series.record(
            Deed(
                actor=actor_of(listener),
                action=Action.ACTION_INTEGRITY_FAILED,
                tenant=tenant,
                object_id=recording,
                outcome=Outcome.OUTCOME_FAILED,
            )
        )
