"""Changing one recording: its access document is written anew with the deed, in one write."""

from msgspec.structs import replace

from voicefile.auth.events import RecordingChanged
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, Recording
from voicefile.deeds.deed import Deed


async def write_recording(
    stored: Stored[Access], changed: Recording, deed: Deed, *, ports: Ports
) -> None:
    """Others are told if its state is another one now. Raises VersionConflict."""
    before = stored.record.recordings
    recordings = tuple(changed if each.id == changed.id else each for each in before)
    access = replace(stored.record, recordings=recordings)
    told = any(each.id == changed.id and each.state is not changed.state for each in before)
    records = ports.access.of(stored.tenant)
    await ports.deeds.write(
        deed,
        lambda event: records.replace(stored, access, pending=(event,)),
        RecordingChanged.of(stored.tenant, changed, access.letter) if told else None,
    )
