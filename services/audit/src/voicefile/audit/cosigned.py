"""Cosigned: a log's newest checkpoint that witnesses cosigned, kept beside its head.

The head moves several times a second and witnesses don't, so the two are rarely the same; where
they are, the head is shown with the witnesses' lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from voicefile.audit.store import COSIGNED, HEADS, Cosigned, Head, body_of, record_of
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.translog.note import SignatureLine, split_note
from voicefile.translog.origin import log_of


@dataclass(frozen=True)
class Signed:
    """A checkpoint as it is told: the note, and how many leaves it is over."""

    size: int
    checkpoint: str


async def read_cosigned(docs: DocStore, tenant: str) -> Cosigned | None:
    """The newest checkpoint of a log that a witness cosigned."""
    stored = await docs.get(COSIGNED, log_of(tenant))
    return None if stored is None else record_of(stored, Cosigned)


async def with_cosignatures(docs: DocStore, tenant: str, head: Head) -> Signed:
    """The head's checkpoint, and the witnesses' lines if they cosigned this one."""
    cosigned = await read_cosigned(docs, tenant)
    if cosigned is not None and (cosigned.size, cosigned.root) == (head.size, head.root):
        return Signed(head.size, cosigned.checkpoint)
    return Signed(head.size, head.checkpoint)


async def best_over(docs: DocStore, tenant: str, index: int, head: Head) -> Signed:
    """The checkpoint to prove a leaf under: a cosigned one as soon as there is one over it."""
    cosigned = await read_cosigned(docs, tenant)
    if cosigned is not None and index < cosigned.size <= head.size:
        return Signed(cosigned.size, cosigned.checkpoint)
    return Signed(head.size, head.checkpoint)


async def keep_cosigned(
    docs: DocStore, tenant: str, head: Head, lines: Sequence[SignatureLine]
) -> bool:
    """Keeps what witnesses signed under this head; whether it could.

    The newest checkpoint counts, however few cosigned it: each further line lends it more weight,
    and one that few have seen so far is offered again with the next.
    """
    stored = await docs.get(COSIGNED, log_of(tenant))
    before = None if stored is None else record_of(stored, Cosigned)
    if before is not None and before.size > head.size and await _published(docs, tenant, before):
        return True
    known: dict[tuple[str, bytes], SignatureLine] = {}
    if before is not None and (before.size, before.root) == (head.size, head.root):
        known = {(line.name, line.key_id): line for line in split_note(before.checkpoint)[1][1:]}
    known |= {(line.name, line.key_id): line for line in lines}
    note = head.checkpoint + "".join(str(line) for line in known.values())
    body = body_of(Cosigned(head.size, head.root, note))
    try:
        if stored is None:
            await docs.insert(COSIGNED, Document(log_of(tenant), tenant, body))
        else:
            await docs.replace(COSIGNED, Document(stored.id, tenant, body, stored.version))
    except (DocumentExists, VersionConflict):
        return False
    return True


async def _published(docs: DocStore, tenant: str, cosigned: Cosigned) -> bool:
    """Whether the log still has what was cosigned; a store brought back from a copy may not."""
    stored = await docs.get(HEADS, log_of(tenant))
    return stored is not None and record_of(stored, Head).size >= cosigned.size
