"""Findable: by which tokens a segment is found again without reading the log.

A token is a number made of a kind and a value ("object", an id): eight bytes in an index, whatever
they stand for. It says only where to look. What stands there is read and compared, so two values
that share a token cost a look and nothing else.
"""

from collections.abc import Sequence
from typing import Final

from voicefile.audit.events import deed_of
from voicefile.audit.store import FINDABLE, INDEXED, Findable, Indexed, Segment, body_of, record_of
from voicefile.contracts.deed.v1 import Action, Deed, Outcome
from voicefile.crypto.primitives import sha256
from voicefile.docstore.port import DocStore, Document
from voicefile.docstore.tenant import TenantCollection
from voicefile.translog.origin import log_of

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
HEARD: Final = frozenset({Action.ACTION_RELEASE_GRANTED, Action.ACTION_RECORDING_DOWNLOADED})
"""What says that somebody heard a recording."""
_TOKEN_BYTES: Final = 8


def token(kind: str, *values: str | int) -> int:
    """The number that stands for it in the index."""
    named = "\0".join((kind, *map(str, values)))
    return int.from_bytes(sha256(named.encode())[:_TOKEN_BYTES], "big", signed=True)


def is_heard(deed: Deed) -> bool:
    """Whether the deed says that somebody heard its object."""
    return deed.action in HEARD and deed.outcome == Outcome.OUTCOME_DONE


def tokens_of(entries: Sequence[bytes]) -> list[int]:
    """All that these deeds can be found by."""
    found: set[int] = set()
    for entry in entries:
        deed = deed_of(entry)
        found.update(
            (
                token("action", deed.action),
                token("action, outcome", deed.action, deed.outcome),
                token("role", deed.role),
                token("outcome", deed.outcome),
                token("hour", deed.at_ms // HOUR_MS),
                token("day", deed.at_ms // DAY_MS),
            )
        )
        found.update(token("object", each) for each in (deed.object_id, deed.related_id) if each)
        if deed.actor:
            found.add(token("actor", deed.actor))
        if is_heard(deed):
            found.add(token("heard", deed.object_id))
    return sorted(found)


def place(tenant: str, last: int) -> str:
    """The id of what says how the segment is found whose last entry this is.

    By its last entry: whatever holds entry `n` or comes after it has an id above `place(n - 1)`.
    """
    return f"{log_of(tenant)}:{last:016x}"


def document_of(tenant: str, segment: Segment) -> Document:
    """How the segment is found, as it is stored."""
    findable = Findable(segment.first, segment.stop, tokens_of(segment.entries))
    return Document(place(tenant, segment.stop - 1), tenant, body_of(findable))


async def with_token(
    docs: DocStore, tenant: str, wanted: int, *, start: int, limit: int
) -> list[Findable]:
    """The segments from entry `start` on that have the token, in the log's order."""
    theirs = TenantCollection(docs, FINDABLE, tenant)
    after = place(tenant, start - 1) if start else ""
    found = await theirs.find("token", wanted, after=after, limit=limit)
    return [record_of(document, Findable) for document in found]


async def indexed_document(docs: DocStore, tenant: str) -> Document | None:
    """What says how far the log is indexed."""
    return await TenantCollection(docs, INDEXED, tenant).get(log_of(tenant))


async def indexed_to(docs: DocStore, tenant: str) -> int:
    """The entries below this one are found by tokens; what comes later has to be read."""
    stored = await indexed_document(docs, tenant)
    return 0 if stored is None else record_of(stored, Indexed).stop
