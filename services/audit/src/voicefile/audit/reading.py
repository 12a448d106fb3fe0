"""Reading the log in somebody's name: each reading is itself a deed, recorded before the answer."""

from dataclasses import dataclass
from typing import Final

from voicefile.audit.errors import NotFound
from voicefile.audit.prove import Entry, Proof, prove_recording, read_entries, tenant_of
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
