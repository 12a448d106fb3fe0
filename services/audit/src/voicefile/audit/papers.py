"""Papers: what an evidence bundle holds of the log, all of it under one checkpoint."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from voicefile.audit.errors import NotFound
from voicefile.audit.look_up import Bounds, Cursor, Wanted, look_up
from voicefile.audit.prove import Proof, inclusion_proofs, prove_recording, read_head
from voicefile.contracts.deed.v1 import Outcome
from voicefile.docstore.port import DocStore
from voicefile.verify.deed_list import ProvenDeed, deeds_text
from voicefile.verify.deed_wire import read_deed
from voicefile.verify.entry_json import ShownEntry

DEEDS_MAX: Final = 500
"""Deeds in a bundle, the first ones; a bundle does not say that its list is complete."""


@dataclass(frozen=True)
class Papers:
    """The proofs, and the deeds as the bundle's file has them."""

    proof: Proof
    receipt_key: Proof
    deeds: str


async def gather_papers(
    docs: DocStore, tenant: str, recording: str, *, bounds: Bounds, deeds_max: int = DEEDS_MAX
) -> Papers:
    """Raises NotFound for what is not in the log, or not there yet: minutes at most."""
    proof = await prove_recording(docs, tenant, recording)
    if proof.receipt_key is None:
        raise NotFound
    shown: list[ShownEntry] = []
    async for entry in _about(docs, tenant, recording, size=proof.size, bounds=bounds):
        shown.append(entry)
        if len(shown) == deeds_max:
            break
    return Papers(proof, proof.receipt_key, await _deeds(docs, tenant, shown, proof.size))


async def _about(
    docs: DocStore, tenant: str, recording: str, *, size: int, bounds: Bounds
) -> AsyncIterator[ShownEntry]:
    """Deeds below `size` that were done with the recording."""
    head = await read_head(docs, tenant)
    # What was refused names others who asked in vain, and says nothing of the recording.
    wanted = Wanted(object_id=recording, outcome=Outcome.OUTCOME_DONE)
    cursor: Cursor | None = Cursor()
    while cursor is not None and cursor.at < size:
        found = await look_up(docs, tenant, wanted, head=head, cursor=cursor, bounds=bounds)
        for entry in found.entries:
            deed = read_deed(entry.entry)
            if entry.index < size and deed.object_id == recording:
                yield ShownEntry(entry.index, entry.salt, entry.entry, deed)
        cursor = found.cursor


async def _deeds(docs: DocStore, tenant: str, shown: list[ShownEntry], size: int) -> str:
    proofs = await inclusion_proofs(docs, tenant, [entry.index for entry in shown], size)
    return deeds_text(map(ProvenDeed, shown, proofs))
