"""Who heard a recording: told to the customer it belongs to, out of the log, and itself a deed.

Auth knows the session and the log knows the deeds. What the customer sees is when, in which role
and for which purpose; who it was by name, the log does not know.
"""

from collections.abc import Mapping
from typing import Any

from voicefile.auth.listening.access_errors import NotHearable
from voicefile.auth.listening.ask_audit import ask_hearings
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.listeners import access_of, listener_of, recording_of
from voicefile.auth.refusals import refusal_told
from voicefile.deeds.deed import Action, Deed
from voicefile.identity.principal import Role


async def list_hearings(
    doors: Doors, bearer: str, recording_id: str, *, cursor: str, request_id: str
) -> Mapping[str, Any]:
    """Recorded before it is answered. Raises as `listener_of`, NotHearable, AuditUnavailable.

    Only what the session may hear: a sensitive recording's hearings need the answer, too.
    """
    listener = await listener_of(doors, bearer, request_id=request_id)
    deed = Deed(
        actor=listener.actor,
        action=Action.ACTION_HEARINGS_READ,
        tenant=listener.tenant,
        object_id=recording_id,
        request_id=request_id,
    )
    async with refusal_told(doors.ports.deeds, deed, NotHearable):
        if listener.role is not Role.CUSTOMER:
            raise NotHearable
        access = await access_of(doors, listener, request_id=request_id, recording=recording_id)
        recording_of(listener, access, recording_id)
    await doors.ports.deeds.record(deed)
    return await ask_hearings(doors.audit, listener.tenant, recording_id, cursor=cursor)
