"""Recordings: what the log knows about one of them, and who heard it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from voicefile.audit.events import deed_of
from voicefile.audit.findable import HEARD
from voicefile.audit.look_up import Bounds, Cursor, Found, Wanted, look_up
from voicefile.audit.prove import Entry
from voicefile.audit.store import Head
from voicefile.contracts.deed.v1 import Action, Outcome, Purpose, Role
from voicefile.docstore.port import DocStore

_ENDED: Final = frozenset({Action.ACTION_LISTENING_ENDED})


@dataclass(frozen=True)
class Hearing:
    """That somebody was given a recording to hear, or as a file; who by name, no log knows."""

    at_ms: int
    role: Role
    purpose: Purpose
    downloaded: bool


async def look_up_recording(
    docs: DocStore,
    tenant: str,
    recording: str,
    *,
    head: Head,
    cursor: Cursor,
    bounds: Bounds,
) -> Found:
    """Deeds whose object it is, and how each listening ended: that deed names a release alone."""
    wanted = Wanted(object_id=recording)
    found = await look_up(docs, tenant, wanted, head=head, cursor=cursor, bounds=bounds)
    ends = [
        end
        for entry in found.entries
        async for end in _ends(docs, tenant, entry, head=head, bounds=bounds)
    ]
    entries = sorted((*found.entries, *ends), key=lambda entry: entry.index)
    return Found(entries, found.cursor)


async def _ends(
    docs: DocStore, tenant: str, entry: Entry, *, head: Head, bounds: Bounds
) -> AsyncIterator[Entry]:
    deed = deed_of(entry.entry)
    if deed.action != Action.ACTION_RELEASE_GRANTED or not deed.related_id:
        return
    wanted = Wanted(object_id=deed.related_id, actions=_ENDED)
    # It ended after it began, or its deed overtook the other one's by a moment: from the start.
    found = await look_up(docs, tenant, wanted, head=head, cursor=Cursor(), bounds=bounds)
    for end in found.entries:
        yield end


async def look_up_hearings(
    docs: DocStore,
    tenant: str,
    recording: str,
    *,
    head: Head,
    cursor: Cursor,
    bounds: Bounds,
) -> tuple[list[Hearing], Cursor | None]:
    """Who heard it, oldest first, and where to go on."""
    wanted = Wanted(object_id=recording, actions=HEARD, outcome=Outcome.OUTCOME_DONE)
    found = await look_up(docs, tenant, wanted, head=head, cursor=cursor, bounds=bounds)
    # Two services tell of it, and either may be the first to reach the log.
    hearings = sorted(map(_hearing, found.entries), key=lambda hearing: hearing.at_ms)
    return hearings, found.cursor


def _hearing(entry: Entry) -> Hearing:
    deed = deed_of(entry.entry)
    return Hearing(
        deed.at_ms,
        deed.role,
        deed.purpose,
        downloaded=deed.action == Action.ACTION_RECORDING_DOWNLOADED,
    )
