"""Dumps of changes: when one will do, and whether those that are named follow one another."""

from collections.abc import Sequence
from typing import Final

from voicefile.backup.manifest import Dump
from voicefile.backup.repository import Repository, Room

LAYERS_MAX: Final = 32
"""Dumps that a restore reads side by side, a segment of each in memory."""


async def goes_on_from(
    known: Sequence[Dump], repository: Repository, whole_every_s: int, *, now_s: float
) -> str:
    """The mark that the next dump's changes are asked for with; empty: it has to be whole.

    Whole once in so many seconds; where a dump before is not all there; where time went back.
    """
    if not known or len(known) >= LAYERS_MAX or out_of_order(known):
        return ""
    if not 0 <= now_s - known[0].begun_at_s < whole_every_s:
        return ""
    for dump in known:
        if not await _there(dump, repository):
            return ""
    return known[-1].mark


async def _there(dump: Dump, repository: Repository) -> bool:
    for segment in dump.segments:
        if await repository.size(Room.OBJECTS, segment.object.named) != segment.object.bytes:
            return False
    return True


def out_of_order(dumps: Sequence[Dump]) -> list[Dump]:
    """Those that do not follow the dump of their service before: not whole, nor its changes."""
    last: dict[str, Dump] = {}
    found = []
    for dump in dumps:
        before = last.get(dump.service)
        wanted = before.mark if before else ""
        if dump.since != wanted or (before is not None and not dump.since):
            found.append(dump)
        last[dump.service] = dump
    return found
