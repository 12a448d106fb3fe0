"""Gathering the papers of a bundle: everything in it but the audio, for whoever may hear that.

The receipt and its key are auth's, the proofs and deeds are the log's. Reading them is a deed.
"""

from dataclasses import dataclass, field

from voicefile.auth.keys.signing_keys import published_keys
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import NotHearable
from voicefile.auth.listening.ask_audit import ask_papers
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.list_hearable import details_of
from voicefile.auth.listening.listeners import access_of, listener_with_purpose, recording_of
from voicefile.auth.refusals import refusal_told
from voicefile.deeds.deed import Action, Deed


@dataclass(frozen=True)
class GatheredPapers:
    """The texts of a bundle's files."""

    receipt: str = field(repr=False)
    receipt_keys: list[tuple[str, bytes]]
    """All the tenant's, by id: the receipt names its own."""
    proof: str = field(repr=False)
    receipt_key_proof: str = field(repr=False)
    log_key: str
    deeds: str = field(repr=False)


async def gather_papers(
    doors: Doors, bearer: str, recording_id: str, *, purpose: str | None, request_id: str
) -> GatheredPapers:
    """Recorded before it is answered.

    Raises as `listener_with_purpose`, NotHearable, AuditUnavailable, ProofPending.
    """
    listener = await listener_with_purpose(doors, bearer, purpose=purpose, request_id=request_id)
    deed = Deed(
        actor=listener.actor,
        action=Action.ACTION_PROOF_READ,
        tenant=listener.tenant,
        object_id=recording_id,
        purpose=access_deeds.purpose_of(purpose),
        request_id=request_id,
    )
    async with refusal_told(doors.ports.deeds, deed, NotHearable):
        access = await access_of(doors, listener, request_id=request_id, recording=recording_id)
        recording = recording_of(listener, access, recording_id)
    await doors.ports.deeds.record(deed)
    custody = doors.ports.custody
    details = await details_of(custody, listener.tenant, recording)
    told = await ask_papers(doors.audit, listener.tenant, recording_id)
    return GatheredPapers(
        receipt=details.receipt,
        receipt_keys=await published_keys(listener.tenant, ports=doors.ports),
        proof=told["proof"],
        receipt_key_proof=told["receipt_key_proof"],
        log_key=told["log_key"],
        deeds=told["deeds"],
    )
