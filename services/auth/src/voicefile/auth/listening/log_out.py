"""Logging out: the session ends everywhere, releases taken with it end at their next renewal.

On the telephone that is hanging up; playback says it for the caller.
"""

from collections.abc import Awaitable, Callable

from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import Busy, SessionOver
from voicefile.auth.listening.access_store import Session
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.listeners import listener_of
from voicefile.auth.stamped import Kept
from voicefile.deeds.deed import Action
from voicefile.docstore.port import PendingEvent, VersionConflict
from voicefile.identity.guard import TELEPHONE_PREFIX


async def log_out(doors: Doors, token: str, *, request_id: str) -> None:
    """Raises SessionOver if there is nothing to end."""
    for _ in range(doors.settings.access_write_tries_max):
        listener = await listener_of(doors, token, request_id=request_id)
        if listener.session is None or listener.access is None:
            raise SessionOver
        deed = access_deeds.of_customer(
            listener.actor, Action.ACTION_CUSTOMER_SIGNED_OUT, listener.access, request_id
        )
        try:
            await doors.ports.deeds.write(deed, _ending(doors, listener.session))
        except VersionConflict:
            continue
        return
    raise Busy


async def hang_up(doors: Doors, bearer: str, *, request_id: str) -> None:
    """Raises SessionOver if there is nothing to end, or it is a session of another way in."""
    if not bearer.startswith(TELEPHONE_PREFIX):
        raise SessionOver
    await log_out(doors, bearer, request_id=request_id)


def _ending(doors: Doors, session: Kept[Session]) -> Callable[[PendingEvent], Awaitable[None]]:
    return lambda event: doors.sessions.end(session, event)
