"""Listing: what a session or a care agent may hear, with the details only they may read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from voicefile.auth.issuing.details import open_details
from voicefile.auth.keys.custody import Custody
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import NotHearable
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.listeners import Listener, access_of, listener_with_purpose
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Recording, RecordingDetails
from voicefile.deeds.deed import Action, Deed


@dataclass(frozen=True)
class Listed:
    """One recording as its listener sees it; no details of what may not be heard."""

    recording: Recording
    heard: bool
    details: RecordingDetails | None = field(repr=False)


@dataclass(frozen=True)
class Hearable:
    """What one listener may know of."""

    listener: Listener
    recordings: Sequence[Listed]


async def list_hearable(
    doors: Doors,
    bearer: str,
    *,
    credential: str | None,
    recording: str | None,
    purpose: str | None,
    request_id: str,
) -> Hearable:
    """Recorded before it is answered. Raises as `listener_with_purpose`, NotHearable."""
    listener = await listener_with_purpose(doors, bearer, purpose=purpose, request_id=request_id)
    deed = Deed(
        actor=listener.actor,
        action=Action.ACTION_RECORDINGS_LISTED,
        tenant=listener.tenant,
        object_id=credential or recording or "",
        purpose=access_deeds.purpose_of(purpose),
        request_id=request_id,
    )
    async with refusal_told(doors.ports.deeds, deed, NotHearable):
        access = await access_of(
            doors, listener, request_id=request_id, credential=credential, recording=recording
        )
    await doors.ports.deeds.record(replace(deed, object_id=access.id))
    listed = [
        await _listed(doors.ports.custody, listener, found) for found in listener.seen(access)
    ]
    return Hearable(listener, listed)


async def details_of(custody: Custody, tenant: str, recording: Recording) -> RecordingDetails:
    """Opened with the recording's own key. Raises Tampered, EpochGone."""
    key = await custody.slip_key(tenant, recording.id, recording.slip)
    return open_details(
        recording.details,
        key,
        deployment=custody.deployment,
        tenant=tenant,
        recording=recording.id,
    )


async def _listed(custody: Custody, listener: Listener, recording: Recording) -> Listed:
    heard = listener.may_hear(recording)
    if not heard:
        return Listed(recording, heard, None)
    return Listed(recording, heard, await details_of(custody, listener.tenant, recording))
