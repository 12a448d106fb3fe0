"""Erasing as backups see it: the slip is gone, and auth has told so."""

from msgspec.structs import replace
from tests.services.backup.conftest import House
from tests.stand import Company

from voicefile.auth.dumping.bring_back import as_erased
from voicefile.auth.events import RecordingChanged
from voicefile.auth.store import RecordingState
from voicefile.deeds.deed import Action, Actor, Deed


async def erase(house: House, home: Company, recording: str) -> None:
    """One recording's slip, its blobs' names and details; the others' stay."""
    ports = house.stand.ports
    records = ports.access.of(home.id)
    stored = await records.find_one("recording", recording)
    assert stored is not None
    access = stored.record
    changed = replace(
        access,
        recordings=tuple(
            as_erased(each) if each.id == recording else each for each in access.recordings
        ),
    )
    partner = next(each.partner for each in access.recordings if each.id == recording)
    fact = RecordingChanged(home.id, recording, partner, RecordingState.ERASED, access.letter)
    deed = Deed(
        actor=Actor.service(),
        action=Action.ACTION_RECORDING_ERASED,
        tenant=home.id,
        object_id=recording,
    )
    await ports.deeds.write(
        deed, lambda event: records.replace(stored, changed, pending=(event,)), fact
    )
