"""Opening a session for a proved credential, and freezing one that was guessed at too often."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from voicefile.auth.listening import access_deeds
from voicefile.auth.listening.access_errors import Busy, SignInRefused
from voicefile.auth.listening.access_store import Session
from voicefile.auth.listening.candidates import OPEN_STATES
from voicefile.auth.listening.customer_sessions import NewSession
from voicefile.auth.listening.doors import Doors
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, CredentialState
from voicefile.auth.throttling.throttles import Visitor
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Deed
from voicefile.docstore.port import PendingEvent, VersionConflict

LEVEL_PIN = 1
LEVEL_ANSWER = 2


@dataclass(frozen=True)
class SignedIn:
    """A session, and its token, shown once; a telephone session has none."""

    session: Session
    token: SecretText | None


async def open_session(
    doors: Doors, access: Stored[Access], *, level: int, by: Visitor, request_id: str
) -> SignedIn:
    """The session, once its deed is durable. Raises SignInRefused if the credential changed."""
    actor = await access_deeds.customer(access, doors.ports.custody)
    deed = access_deeds.of_customer(actor, Action.ACTION_CUSTOMER_SIGNED_IN, access, request_id)
    new = doors.sessions.new(
        tenant=access.tenant,
        credential=access.id,
        generation=access.record.generation,
        level=level,
        call=by.call,
    )
    await _recorded_and_stored(doors, access, new, deed)
    await doors.throttles.remember(access.record.locator, by)
    return SignedIn(new.session, new.token)


async def freeze(doors: Doors, access: Stored[Access], *, request_id: str) -> None:
    """Nobody gets in before a new letter; sessions under way end, too."""
    newest: Stored[Access] | None = access
    for _ in range(doors.settings.access_write_tries_max):
        if newest is None or newest.record.state not in OPEN_STATES:
            return
        deed = access_deeds.frozen(newest, request_id)
        try:
            await doors.ports.deeds.write(deed, _changing(doors, newest, CredentialState.FROZEN))
        except VersionConflict:
            newest = await doors.ports.access.of(access.tenant).get(access.id)
        else:
            return


async def _recorded_and_stored(
    doors: Doors, access: Stored[Access], new: NewSession, deed: Deed
) -> None:
    newest: Stored[Access] | None = access
    for _ in range(doors.settings.access_write_tries_max):
        if newest is None or not _still(newest, new):
            raise SignInRefused
        if newest.record.state is CredentialState.ACTIVE:
            await doors.ports.deeds.write(deed, lambda event: doors.sessions.store(new, event))
            return
        try:
            # The first sign-in shows that the letter arrived: this change carries the deed.
            await doors.ports.deeds.write(deed, _changing(doors, newest, CredentialState.ACTIVE))
        except VersionConflict:
            newest = await doors.ports.access.of(access.tenant).get(access.id)
        else:
            await doors.sessions.store(new)
            return
    raise Busy


def _still(access: Stored[Access], new: NewSession) -> bool:
    return access.record.state in OPEN_STATES and access.record.generation == new.session.generation


def _changing(
    doors: Doors, access: Stored[Access], state: CredentialState
) -> Callable[[PendingEvent], Awaitable[Stored[Access]]]:
    documents = doors.ports.access.of(access.tenant)
    record = replace(access.record, state=state)
    return lambda event: documents.replace(access, record, pending=(event,))
