"""Objecting: "this is not my contract", says a customer; the recording is held, and care sees why.

Held is against erasing: whoever may hear it may go on hearing it. Nothing else comes of it by
itself, and said twice it is said once.
"""

from msgspec.structs import replace

from voicefile.auth.change_recording import write_recording
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.listening.access_errors import Busy, NotHearable
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.listeners import Listener, listener_of, recording_of
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Access, Recording, RecordingState
from voicefile.deeds.deed import Action, Deed
from voicefile.docstore.port import VersionConflict
from voicefile.identity.guard import TELEPHONE_PREFIX


async def object_to_recording(
    doors: Doors, bearer: str, recording_id: str, *, request_id: str
) -> Recording:
    """The recording as it is held. Raises as `listener_of`, NotHearable, Busy."""
    for _ in range(doors.settings.access_write_tries_max):
        listener = await listener_of(doors, bearer, request_id=request_id)
        deed = Deed(
            actor=listener.actor,
            action=Action.ACTION_RECORDING_HELD,
            tenant=listener.tenant,
            object_id=recording_id,
            request_id=request_id,
        )
        async with refusal_told(doors.ports.deeds, deed, NotHearable):
            access, before = _own(listener, recording_id)
        if before.objected and before.state is RecordingState.HELD:
            return before
        held = replace(
            before,
            state=RecordingState.HELD,
            objected=True,
            objected_on=before.objected_on or day_of(int(doors.ports.now_s() * 1000)),
            objected_by=before.objected_by or _way(bearer),
        )
        try:
            await write_recording(access, held, deed, ports=doors.ports)
        except VersionConflict:
            continue
        return held
    raise Busy


def _way(bearer: str) -> str:
    return "telephone" if bearer.startswith(TELEPHONE_PREFIX) else "portal"


def _own(listener: Listener, recording_id: str) -> tuple[Stored[Access], Recording]:
    """A customer's own recording, as far as they may hear it. Raises NotHearable."""
    if listener.access is None:
        raise NotHearable  # Care has nothing to object to.
    return listener.access, recording_of(listener, listener.access, recording_id)
