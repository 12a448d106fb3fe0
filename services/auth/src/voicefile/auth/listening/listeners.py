"""Listeners: who wants to hear something, checked live at every step, and what they may hear.

A customer shows a session, a care agent an access token; for whoever is on the telephone playback
shows the session and the call. Nothing of what was true at sign-in is believed later: credential,
PIN generation, tenant and level are looked at each time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from voicefile.auth.errors import TenantClosed
from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import (
    NotHearable,
    PurposeMissing,
    ReleaseOver,
    SessionOver,
)
from voicefile.auth.listening.access_store import Release, Session
from voicefile.auth.listening.candidates import OPEN_STATES, is_tenant_open
from voicefile.auth.listening.customer_sessions import hashed, hashed_call
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.open_session import LEVEL_ANSWER
from voicefile.auth.records import Stored
from voicefile.auth.stamped import Kept
from voicefile.auth.store import Access, Recording, RecordingState
from voicefile.auth.tampering import tampering_told
from voicefile.auth.tokens.issue_token import principal_of
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Actor
from voicefile.identity.guard import SESSION_PREFIX, TELEPHONE_PREFIX, NotPermitted
from voicefile.identity.ids import PLATFORM
from voicefile.identity.principal import Principal, Role

HEARD_STATES = frozenset({RecordingState.PLAYABLE, RecordingState.HELD})
"""Held is against erasing, not against hearing."""


@dataclass(frozen=True)
class Listener:
    """Somebody who was checked just now."""

    tenant: str
    id: str
    """The session's or the principal's."""
    role: Role
    actor: Actor
    level: int
    department: str = ""
    project: str = ""
    access: Stored[Access] | None = None
    """A customer's own access document; care names one."""
    session: Kept[Session] | None = None

    def sees(self, recording: Recording) -> bool:
        """Whether it is one of theirs to know of."""
        return (
            recording.state is not RecordingState.ERASED
            and self.department in {"", recording.department}
            and self.project in {"", recording.project}
        )

    def may_hear(self, recording: Recording) -> bool:
        return (
            self.sees(recording)
            and recording.state in HEARD_STATES
            and (not recording.sensitive or self.level >= LEVEL_ANSWER)
        )

    def seen(self, access: Stored[Access]) -> Iterator[Recording]:
        return (recording for recording in access.record.recordings if self.sees(recording))


async def listener_of(doors: Doors, bearer: str, *, request_id: str) -> Listener:
    """Raises SessionOver, TokenRefused, KeysUnavailable, NotPermitted, TenantClosed."""
    if bearer.startswith(SESSION_PREFIX):
        session = hashed(SecretText(bearer))
        return await _customer(doors, session, call="", request_id=request_id)
    if bearer.startswith(TELEPHONE_PREFIX):
        session, _, call_id = bearer.removeprefix(TELEPHONE_PREFIX).partition(".")
        call = hashed_call(call_id)
        return await _customer(doors, session, call=call, request_id=request_id)
    return await _care(doors, await doors.tokens.verify(bearer))


async def listener_with_purpose(
    doors: Doors, bearer: str, *, purpose: str | None, request_id: str
) -> Listener:
    """Raises as `listener_of` does, and PurposeMissing: care says why, customers need not."""
    listener = await listener_of(doors, bearer, request_id=request_id)
    if listener.role is Role.CARE and purpose is None:
        raise PurposeMissing
    return listener


async def holder_of(doors: Doors, release: Release, *, request_id: str) -> Listener:
    """Whoever a release was given to, as they are now. Needs no token, so playback keeps none.

    Raises SessionOver, ReleaseOver, NotPermitted, TenantClosed.
    """
    if release.role == Role.CUSTOMER:
        return await _customer(doors, release.session, call=None, request_id=request_id)
    async with tampering_told(
        doors.ports.deeds,
        tenant=release.tenant,
        object_id=release.holder,
        request_id=request_id,
        instead=ReleaseOver,
    ):
        agent = await doors.ports.principals.of(release.tenant).get(release.holder)
    # An agent whose token lapsed and who did not come back with another has gone.
    if agent is None or not agent.record.active or release.vouched_until_s <= doors.ports.now_s():
        raise ReleaseOver
    return await _care(doors, principal_of(agent))


async def access_of(
    doors: Doors,
    listener: Listener,
    *,
    request_id: str,
    credential: str | None = None,
    recording: str | None = None,
) -> Stored[Access]:
    """The customer's own access document, or the one care named. Raises NotHearable."""
    if listener.access is not None:
        return listener.access
    documents = doors.ports.access.of(listener.tenant)
    found = None
    async with tampering_told(
        doors.ports.deeds,
        tenant=listener.tenant,
        object_id=credential or recording or "",
        request_id=request_id,
        instead=NotHearable,
    ):
        if credential is not None:
            found = await documents.get(credential)
        elif recording is not None:
            found = await documents.find_one("recording", recording)
    # A credential of which nothing is to be seen in this agent's scope is missing.
    if found is None or not any(listener.seen(found)):
        raise NotHearable
    return found


def recording_of(listener: Listener, access: Stored[Access], recording_id: str) -> Recording:
    """The recording, if this listener may hear it now. Raises NotHearable."""
    for recording in access.record.recordings:
        if recording.id == recording_id and listener.may_hear(recording):
            return recording
    raise NotHearable


async def _customer(
    doors: Doors, session_id: str, *, call: str | None, request_id: str
) -> Listener:
    deeds = doors.ports.deeds
    async with tampering_told(
        deeds, tenant=PLATFORM, object_id="session", request_id=request_id, instead=SessionOver
    ):
        kept = await doors.sessions.use(session_id, call=call)
    session = kept.record
    async with tampering_told(
        deeds,
        tenant=session.tenant,
        object_id=session.credential,
        request_id=request_id,
        instead=SessionOver,
    ):
        access = await doors.ports.access.of(session.tenant).get(session.credential)
        tenant_open = await is_tenant_open(doors.ports, session.tenant)
    if (
        access is None
        or not tenant_open
        or access.record.state not in OPEN_STATES
        or access.record.generation != session.generation
    ):
        raise SessionOver
    return Listener(
        tenant=session.tenant,
        id=session.id,
        role=Role.CUSTOMER,
        actor=await access_deeds.customer(access, doors.ports.custody),
        level=session.level,
        access=access,
        session=kept,
    )


async def _care(doors: Doors, principal: Principal) -> Listener:
    if principal.role is not Role.CARE:
        raise NotPermitted(principal=principal)
    if not await is_tenant_open(doors.ports, principal.tenant):
        raise TenantClosed
    return Listener(
        tenant=principal.tenant,
        id=principal.id,
        role=Role.CARE,
        actor=Actor.of(principal),
        level=LEVEL_ANSWER,
        department=principal.department,
        project=principal.project,
    )
