"""Reading the log in somebody's name: each reading is itself a deed, recorded before the answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from voicefile.audit.errors import NotFound
from voicefile.audit.look_up import Bounds, Cursor, Found, Wanted, look_up
from voicefile.audit.prove import (
    Entry,
    Proof,
    prove_recording,
    read_entries,
    read_head,
    require_filed,
    tenant_of,
)
from voicefile.audit.recordings import look_up_recording
from voicefile.audit.store import Head
from voicefile.deeds.deed import Action, Actor, Deed, Outcome, Purpose
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import DocStore
from voicefile.identity.principal import Principal, Role

_PURPOSES: Final = {
    "customer-request": Purpose.PURPOSE_CUSTOMER_REQUEST,
    "complaint": Purpose.PURPOSE_COMPLAINT,
    "dispute": Purpose.PURPOSE_DISPUTE,
    "quality": Purpose.PURPOSE_QUALITY,
    "legal": Purpose.PURPOSE_LEGAL,
    "authority": Purpose.PURPOSE_AUTHORITY,
}


@dataclass(frozen=True)
class Reader:
    """Who reads, and in which request."""

    principal: Principal
    purpose: str
    """A purpose code of the interface, or nothing."""
    request_id: str

    def deed(self, action: Action, object_id: str, outcome: Outcome) -> Deed:
        return Deed(
            actor=Actor.of(self.principal),
            action=action,
            tenant=self.principal.tenant,
            object_id=object_id,
            purpose=_PURPOSES.get(self.purpose, Purpose.PURPOSE_UNSPECIFIED),
            outcome=outcome,
            request_id=self.request_id,
        )


class Readings:
    """The readings that are deeds. Tiles and checkpoints tell nothing and are for everybody."""

    def __init__(self, docs: DocStore, series: DeedSeries[None]) -> None:
        self._docs = docs
        self._series = series

    async def entries(
        self, log: str, *, by: Reader, start: int, limit: int
    ) -> tuple[Head, list[Entry]]:
        """A page of the reader's own log. Raises NotFound, for a foreign log as for none."""
        action = Action.ACTION_LOG_READ
        tenant = tenant_of(log)
        try:
            _require_own(tenant, by.principal)
            page = await read_entries(self._docs, tenant, start=start, limit=limit)
        except NotFound:
            await self._series.record(by.deed(action, log, Outcome.OUTCOME_REFUSED))
            raise
        await self._series.record(by.deed(action, log, Outcome.OUTCOME_DONE))
        return page

    async def deeds(
        self, log: str, wanted: Wanted, *, by: Reader, cursor: Cursor, bounds: Bounds
    ) -> tuple[Head, Found]:
        """Deeds of the reader's own log that fit. Raises NotFound."""
        head = await self._own_head(log, by, Action.ACTION_LOG_READ)
        found = await look_up(
            self._docs, tenant_of(log), wanted, head=head, cursor=cursor, bounds=bounds
        )
        await self._series.record(by.deed(Action.ACTION_LOG_READ, log, Outcome.OUTCOME_DONE))
        return head, found

    async def export(
        self, log: str, wanted: Wanted, *, by: Reader, bounds: Bounds
    ) -> tuple[Head, AsyncIterator[Entry]]:
        """All deeds that fit, up to the head as it is now, read while they are sent.

        Recorded before the first leaves. Raises NotFound.
        """
        head = await self._own_head(log, by, Action.ACTION_LOG_EXPORTED)
        await self._series.record(by.deed(Action.ACTION_LOG_EXPORTED, log, Outcome.OUTCOME_DONE))
        return head, self._all(tenant_of(log), wanted, head=head, bounds=bounds)

    async def about(
        self, recording: str, *, by: Reader, cursor: Cursor, bounds: Bounds
    ) -> tuple[Head, Found]:
        """Deeds about one recording of the reader's tenant, how its listenings ended among them.

        Raises NotFound; also of a foreign one that somebody of the tenant has asked for in vain.
        """
        tenant, action = by.principal.tenant, Action.ACTION_LOG_READ
        try:
            head = await read_head(self._docs, tenant)
            await require_filed(self._docs, tenant, recording, head=head)
        except NotFound:
            await self._series.record(by.deed(action, recording, Outcome.OUTCOME_REFUSED))
            raise
        found = await look_up_recording(
            self._docs, tenant, recording, head=head, cursor=cursor, bounds=bounds
        )
        await self._series.record(by.deed(action, recording, Outcome.OUTCOME_DONE))
        return head, found

    async def _own_head(self, log: str, by: Reader, action: Action) -> Head:
        try:
            _require_own(tenant_of(log), by.principal)
            return await read_head(self._docs, tenant_of(log))
        except NotFound:
            await self._series.record(by.deed(action, log, Outcome.OUTCOME_REFUSED))
            raise

    async def _all(
        self, tenant: str, wanted: Wanted, *, head: Head, bounds: Bounds
    ) -> AsyncIterator[Entry]:
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            found = await look_up(
                self._docs, tenant, wanted, head=head, cursor=cursor, bounds=bounds
            )
            for entry in found.entries:
                yield entry
            cursor = found.cursor

    async def proof(self, recording: str, *, by: Reader) -> Proof:
        """The proof for a recording of the reader's tenant. Raises NotFound.

        A partner reads only what it brought, like everywhere.
        """
        action = Action.ACTION_PROOF_READ
        who = by.principal
        partner = who.id if who.role is Role.PARTNER else None
        try:
            proof = await prove_recording(self._docs, who.tenant, recording, brought_by=partner)
        except NotFound:
            await self._series.record(by.deed(action, recording, Outcome.OUTCOME_REFUSED))
            raise
        await self._series.record(by.deed(action, recording, Outcome.OUTCOME_DONE))
        return proof


def _require_own(tenant: str, principal: Principal) -> None:
    if tenant != principal.tenant:
        raise NotFound
